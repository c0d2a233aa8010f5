"""Formulas on points: arrays of numpy on the CPU, where its calls cost a third of those of torch, else of torch.

What every training step needs has compiled passes over rows, which on the CPU cost a fraction of that again.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Size, Tensor

from curvi._recording import Function
from curvi.manifolds._device import is_transforming, library, working

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


_COMPILED = frozenset({torch.float32, torch.float64})
# Up to so many rows, compiled passes are faster than the calls of numpy; beyond, numpy computes several at a time.
_FEW = 1024


class Passes(NamedTuple):
    """A formula as compiled passes over rows on the CPU, at any curvature; see ``_rows``."""

    forward: Callable[..., None]
    """``f(root, most, *rows, made, kept)`` with rows ``(k, size)``, of which one has as many as what is made."""
    backward: Callable[..., float]
    """``f(root, kept, grad, *in_rows)`` adds gradients in the rows, and returns that in the curvature."""
    kept: Callable[[int], int]
    """From the size of a row to how many numbers are kept of each."""
    extra: int | None = None
    """How many numbers a result has more than a row; None if it is a number."""
    most: Callable[[torch.dtype], float] = lambda dtype: 0.0
    """A limit that depends on the dtype of the results."""


class Kernel(NamedTuple):
    """A formula at curvature 1 on points and velocities with their components first, ``(dim, ...)``."""

    forward: Callable[..., tuple[tuple[Any, ...], tuple[Any, ...]]]
    """From the library, the dtype of the results and the arguments to results and to what their gradient needs.

    A result is ``(...)`` or ``(dim, ...)``; they are concatenated.
    """
    backward: Callable[..., tuple[Any, ...]]
    """From the library, what ``forward`` has left and the gradients in the results to those in the arguments.

    Second derivatives are those of the operations of torch.
    """
    time: bool = False
    """Whether the arguments begin with a time, which does not count."""
    passes: Passes | None = None
    """The same, compiled, where there is that."""


def evaluate(kernel: Kernel, curvature: Tensor | float, *rows: Tensor) -> Tensor:
    """The results of a formula for rows ``(..., ambient_dim)`` whose batch shapes broadcast, at any curvature.

    Computed in float64 where the device has it, and returned in the dtype of the first rows.
    """
    if is_transforming():
        return _forward(kernel, torch, curvature, rows)[0]
    learned = isinstance(curvature, Tensor) and curvature.requires_grad
    if torch.is_grad_enabled() and (learned or any(x.requires_grad for x in rows)):
        return _Evaluation.apply(kernel, curvature, *rows)
    xp, fixed = library(rows[0].device), tuple(x.detach() for x in rows)
    if _by_passes(kernel, xp, fixed):
        return _pass(kernel, curvature, fixed)[0]
    return _forward(kernel, xp, curvature, fixed)[0]


def dot(xp: Any, a: Any, b: Any) -> Any:
    """The sum of ``a * b`` over the components."""
    return np.einsum("i...,i...->...", a, b) if xp is np else (a * b).sum(0)


def length(xp: Any, a: Any) -> Any:
    """The length of vectors, at least the least number that can be squared, to divide by."""
    if xp is np:
        return np.maximum(np.sqrt(dot(np, a, a)), least(np, a))
    return torch.linalg.vector_norm(a, dim=0).clamp_min(least(torch, a))


def drawn_back(xp: Any, g: Any, y: Any, factor: Any) -> Any:
    """The gradient in vectors that were made ``y`` by a factor up to 1, below 1 where they were made so long."""
    if xp is np and np.all(factor == 1):
        return g
    radial = dot(xp, g, y) / xp.clip(dot(xp, y, y), least(xp, y), None)
    return factor * (g - xp.where(factor < 1, radial, 0.0) * y)


def root(xp: Any, square: Any) -> Any:
    """The square root, whose gradient at 0 is 0."""
    if xp is np:
        return np.sqrt(square)
    return torch.where(square > 0, torch.where(square > 0, square, 1.0).sqrt(), 0.0)


def slope_of_r_by_sinh(xp: Any, r: Any, sinh_r: Any) -> Any:
    """The derivative of r / sinh(r), divided by sinh(r), with a series where the difference would be rounding error."""
    small = r < 0.15
    s = xp.where(small, r * r, 0.0)
    series = -1 / 3 + s * (2 / 15 - s * (2 / 63 - s * (4 / 675 - s * (2 / 2079))))
    sinh_r = xp.where(small, 1.0, sinh_r)
    # cosh(r) by sinh(r) keeps r apart from what overflows.
    return xp.where(small, series, (1 - r * xp.sqrt(1 + 1 / (sinh_r * sinh_r))) / (sinh_r * sinh_r))


def least(xp: Any, a: Any) -> float:
    """The least number that can be squared in the dtype of ``a``."""
    return float(xp.finfo(a.dtype).tiny) ** 0.5


def _forward(kernel: Kernel, xp: Any, curvature: Tensor | float, rows: tuple[Tensor, ...]) -> Any:
    """The results, the root of the curvature, and the arguments, results and remains of the formula."""
    dtype, root = rows[0].dtype, curvature**0.5
    if xp is np:
        root = float(root)
    ndim = max(x.ndim for x in rows)
    with _quiet(xp):
        arguments = [_components(xp, x, ndim, kernel.time, root) for x in rows]
        results, left = kernel.forward(xp, dtype, *arguments)
        made = _rows(xp, [result / root for result in results] if xp is torch or root != 1 else results, ndim, dtype)
    return made, root, arguments, results, left


def _quiet(xp: Any) -> AbstractContextManager[Any]:
    """As torch is about what overflows or is not a number, so numpy shall be."""
    return np.errstate(all="ignore") if xp is np else nullcontext()


def _components(xp: Any, x: Tensor, ndim: int, time: bool, root: Any) -> Any:
    """Rows ``(..., dim)`` as ``(dim, ...)`` with ``ndim`` axes, without a time in front, times ``root``."""
    if x.ndim < ndim:
        x = x.reshape((1,) * (ndim - x.ndim) + x.shape)
    if xp is torch:
        return root * x.movedim(-1, 0)[time:].to(working(x))
    components = np.ascontiguousarray(_array(x).transpose(_turned(ndim))[time:], dtype=np.float64)
    return components if root == 1 else root * components


def _array(x: Tensor) -> np.ndarray:
    """A tensor as an array; numpy has no bfloat16."""
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


@cache
def _turned(ndim: int) -> tuple[int, ...]:
    """The order of axes with the last one first."""
    return (ndim - 1, *range(ndim - 1))


def _rows(xp: Any, parts: Any, ndim: int, dtype: torch.dtype, time: bool = False) -> Tensor:
    """Results ``(...)`` and ``(dim, ...)`` as rows, or one without components as it is; with zeros for a time."""
    if len(parts) == 1 and parts[0].ndim < ndim:
        return (torch.from_numpy(np.asarray(parts[0])) if xp is np else parts[0]).to(dtype)
    if xp is torch:
        made = torch.cat([part if part.ndim == ndim else part[None] for part in parts]).movedim(0, -1)
        return (torch.nn.functional.pad(made, (1, 0)) if time else made).to(
            dtype, memory_format=torch.contiguous_format
        )
    n = time + sum(len(part) if part.ndim == ndim else 1 for part in parts)
    rows = np.empty((*parts[-1].shape[1:], n), np.float32 if dtype == torch.float32 else np.float64)
    components, start = rows.transpose(_turned(ndim)), int(time)
    components[:start] = 0
    for part in parts:
        end = start + (len(part) if part.ndim == ndim else 1)
        components[start:end] = part
        start = end
    return torch.from_numpy(rows).to(dtype)


class _Evaluation(Function):
    @staticmethod
    def forward(ctx: Any, kernel: Kernel, curvature: Tensor | float, *rows: Tensor) -> Tensor:
        ctx.xp, ctx.kernel, ctx.curvature = library(rows[0].device), kernel, curvature
        ctx.shapes, ctx.dtypes = [x.shape for x in rows], [x.dtype for x in rows]
        ctx.save_for_backward(*rows)
        fixed = curvature.detach() if isinstance(curvature, Tensor) else curvature
        ctx.by_passes = _by_passes(kernel, ctx.xp, rows)
        if ctx.by_passes:
            made, ctx.root, ctx.kept = _pass(kernel, fixed, rows)
            return made
        made, ctx.root, ctx.arguments, ctx.results, ctx.left = _forward(
            kernel, ctx.xp, fixed, tuple(x.detach() for x in rows)
        )
        return made

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            return _differentiable(ctx, grad)
        if ctx.by_passes:
            return _pass_back(ctx, grad)
        with _quiet(ctx.xp):
            return _gradients(ctx, grad)


def _by_passes(kernel: Kernel, xp: Any, rows: tuple[Tensor, ...]) -> bool:
    """Whether there are passes for a few rows whose batch shapes are one, or the end of one."""
    if kernel.passes is None or xp is not np:
        return False
    shape = max((x.shape for x in rows), key=len)
    return shape[:-1].numel() <= _FEW and all(x.shape == shape[len(shape) - x.ndim :] for x in rows)


def _pass(kernel: Kernel, curvature: Tensor | float, rows: tuple[Tensor, ...]) -> tuple[Tensor, float, Any]:
    """The results of the compiled passes, the root of the curvature, and what the gradient needs."""
    passes: Any = kernel.passes
    dtype, root = rows[0].dtype, float(curvature) ** 0.5
    arrays = [_as_rows(x) for x in rows]
    shape = max((x.shape for x in rows), key=len)
    size = shape[-1]
    made_shape = shape[:-1] if passes.extra is None else (*shape[:-1], size + passes.extra)
    n = prod(shape[:-1])
    made = np.empty(n if passes.extra is None else (n, made_shape[-1]), arrays[0].dtype)
    kept = np.empty((n, passes.kept(size)))
    passes.forward(root, passes.most(dtype), *arrays, made, kept)
    result = torch.from_numpy(made if made.ndim == len(made_shape) else made.reshape(made_shape))
    return result if result.dtype == dtype else result.to(dtype), root, kept


def _pass_back(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """As :func:`_gradients`, by the compiled passes."""
    passes, n = ctx.kernel.passes, len(ctx.kept)
    g = np.ascontiguousarray(_as_array(grad)).reshape(n if passes.extra is None else (n, grad.shape[-1]))
    into = []
    for shape in ctx.shapes:
        k = prod(shape[:-1])
        # What is summed is summed in float64.
        into.append(np.zeros((k, shape[-1]), g.dtype if k == n else np.float64))
    change = passes.backward(ctx.root, ctx.kept, g, *into)
    rows = [
        torch.from_numpy(values).view(shape).to(dtype) if needed else None
        for needed, values, shape, dtype in zip(ctx.needs_input_grad[2:], into, ctx.shapes, ctx.dtypes, strict=True)
    ]
    in_curvature = None
    if ctx.needs_input_grad[1]:
        in_curvature = torch.full_like(ctx.curvature, change)
    return None, in_curvature, *rows


def _as_rows(x: Tensor) -> np.ndarray:
    """Rows ``(..., size)`` as contiguous ``(n, size)``."""
    values = np.ascontiguousarray(_as_array(x))
    return values if values.ndim == 2 else values.reshape(prod(values.shape[:-1]), x.shape[-1])


def _as_array(x: Tensor) -> np.ndarray:
    """A tensor as an array of numbers that can be compiled for."""
    return (x if x.dtype in _COMPILED else x.float()).detach().numpy()


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients in the curvature and in the rows, from that in the results."""
    xp, ndim = ctx.xp, ctx.arguments[0].ndim
    grads_out = _split(xp, grad, ctx.results, ndim, ctx.arguments[0].dtype)
    grads_in = ctx.kernel.backward(xp, *ctx.left, *grads_out)
    rows = [
        _summed(_rows(xp, [values], ndim, dtype, ctx.kernel.time), shape) if needed else None
        for needed, values, shape, dtype in zip(ctx.needs_input_grad[2:], grads_in, ctx.shapes, ctx.dtypes, strict=True)
    ]
    in_curvature = None
    if ctx.needs_input_grad[1]:
        # The arguments grow with the root of the curvature, and the results are divided by it.
        total = sum((a * g).sum() for a, g in zip(ctx.arguments, grads_in, strict=True)) - sum(
            (r * g).sum() for r, g in zip(ctx.results, grads_out, strict=True)
        )
        in_curvature = torch.as_tensor(total / (2 * ctx.root**3)).to(ctx.curvature).reshape(ctx.curvature.shape)
    return None, in_curvature, *rows


def _differentiable(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients that have gradients, for which the formula is run again as operations of torch."""
    made, *_ = _forward(ctx.kernel, torch, ctx.curvature, ctx.saved_tensors)
    of = (None, ctx.curvature, *ctx.saved_tensors)
    needed = [i for i, wanted in enumerate(ctx.needs_input_grad) if wanted]
    grads = torch.autograd.grad(made, [of[i] for i in needed], grad, create_graph=True)
    given = dict(zip(needed, grads, strict=True))
    return tuple(given.get(i) for i in range(len(of)))


def _split(xp: Any, grad: Tensor, results: tuple[Any, ...], ndim: int, dtype: Any) -> list[Any]:
    """The gradient in the rows as that in each result."""
    if len(results) == 1 and results[0].ndim < ndim:
        return [_array(grad) if xp is np else grad.to(dtype)]
    components, parts, start = _components(xp, grad, ndim, False, 1.0), [], 0
    for result in results:
        end = start + (len(result) if result.ndim == ndim else 1)
        parts.append(components[start:end] if result.ndim == ndim else components[start])
        start = end
    return parts


def _summed(grad: Tensor, shape: Size) -> Tensor:
    """A gradient of the shape that was broadcast, in the shape that was given."""
    return grad if grad.shape == shape else grad.sum_to_size(shape)
