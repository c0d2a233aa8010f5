r"""Distances in the two charts of hyperbolic space, as sums without cancellation, and their gradients.

With :math:`\sinh(r/2) = \omega` for points at distance :math:`r` (at curvature -1), :math:`\omega` is a chord. On the
hyperboloid, with the times :math:`x_0 = \sqrt{1 + \lVert x \rVert^2}`, it is that of the half sphere on which the
points :math:`(1, x) / x_0` lie,

.. math::
    \omega = \frac{\sqrt{x_0 y_0}}{2} \Big\lVert \frac{(1, x)}{x_0} - \frac{(1, y)}{y_0} \Big\rVert ,

where the first number keeps the difference of the radii and the others that of the directions. In the ball it is
:math:`\lVert x - y \rVert / \sqrt{(1 - \lVert x \rVert^2)(1 - \lVert y \rVert^2)}`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from curvi.manifolds._radial import working

if TYPE_CHECKING:
    from collections.abc import Callable


def hyperboloid_distance(x: Tensor, y: Tensor, curvature: Tensor | float) -> Tensor:
    """Distances ``(...)`` of points ``(..., dim + 1)`` on a hyperboloid, of which the spatial coordinates count."""
    return _distance(_hyperboloid, _hyperboloid_slopes, 1, x, y, curvature)


def ball_distance(x: Tensor, y: Tensor, curvature: Tensor | float) -> Tensor:
    """Distances ``(...)`` of points ``(..., dim)`` in the Poincare ball."""
    return _distance(_ball, _ball_slopes, 0, x, y, curvature)


def _hyperboloid(xp: Any, x: Any, y: Any) -> tuple[Any, ...]:
    """The distance of points ``(dim, ...)`` at curvature 1, and what its gradient needs."""
    x0, y0 = xp.sqrt(_dot(xp, x, x) + 1), xp.sqrt(_dot(xp, y, y) + 1)
    share = y0 / x0
    gap = x * share - y
    across, late = _dot(xp, gap, gap) / share, y0 - x0
    chord = xp.sqrt(across + late * late / (x0 * y0)) * 0.5
    return xp.arcsinh(chord) * 2, chord, gap, share, across


def _hyperboloid_slopes(xp: Any, r: Any, chord: Any, gap: Any, share: Any, across: Any, g: Any) -> tuple[Any, ...]:
    """Factors and vectors of the gradients in the points, and that along the way outwards."""
    g = g * _by_sinh(xp, chord)
    return (g, gap), (-g / share, gap), lambda: g * across


def _ball(xp: Any, x: Any, y: Any) -> tuple[Any, ...]:
    gap = x - y
    square = _dot(xp, gap, gap)
    by_a, by_b = 1 / (1 - _dot(xp, x, x)), 1 / (1 - _dot(xp, y, y))
    chord = xp.sqrt(square * by_a * by_b)
    return xp.arcsinh(chord) * 2, chord, gap, square, by_a, by_b, x, y


def _ball_slopes(
    xp: Any, r: Any, chord: Any, gap: Any, square: Any, by_a: Any, by_b: Any, x: Any, y: Any, g: Any
) -> tuple[Any, ...]:
    # The square of the chord changes by sinh(r) / 2.
    g = g * (4 * by_a * by_b) * _by_sinh(xp, chord)
    return (
        (g, gap + (square * by_a) * x),
        (g, (square * by_b) * y - gap),
        lambda: g * square * (by_a + by_b - 1),
    )


def _by_sinh(xp: Any, chord: Any) -> Any:
    """1 / sinh(r), and 0 at r = 0, where the gradient of a distance is 0."""
    sinh = xp.sqrt(chord * chord + 1) * chord * 2
    return (chord > 0) / xp.where(chord > 0, sinh, 1.0)


def _dot(xp: Any, a: Any, b: Any) -> Any:
    return np.einsum("i...,i...->...", a, b) if xp is np else (a * b).sum(0)


def _distance(
    forward: Callable[..., Any], slopes: Callable[..., Any], skip: int, x: Tensor, y: Tensor, curvature: Tensor | float
) -> Tensor:
    if torch.is_grad_enabled() and (x.requires_grad or y.requires_grad or isinstance(curvature, Tensor)):
        return _Distance.apply(x, y, curvature, forward, slopes, skip)
    return _measured(forward, skip, x, y, curvature)[0]


def _measured(forward: Callable[..., Any], skip: int, x: Tensor, y: Tensor, curvature: Tensor | float) -> Any:
    """Distances, the library, the root of the curvature, and what :func:`_hyperboloid` and its like have made."""
    # On the CPU the calls of numpy cost a third of those of torch.
    xp: Any = np if x.device.type == "cpu" and not torch.compiler.is_compiling() else torch
    root: Any = curvature.detach().sqrt() if isinstance(curvature, Tensor) else curvature**0.5
    if xp is np:
        root = float(root)
    ndim = max(x.ndim, y.ndim)
    parts = forward(xp, *(_components(xp, points.detach(), ndim, skip, root) for points in (x, y)))
    d = parts[0] / root if root != 1 else parts[0]
    return (torch.from_numpy(np.asarray(d)) if xp is np else d).to(x.dtype), xp, root, parts


def _components(xp: Any, x: Tensor, ndim: int, skip: int, root: Any) -> Any:
    """The last coordinates of rows ``(..., skip + dim)`` as ``(dim, ...)`` with ``ndim`` axes, times ``root``."""
    if x.ndim < ndim:
        x = x.reshape((1,) * (ndim - x.ndim) + x.shape)
    if xp is torch:
        x = root * x.movedim(-1, 0)[skip:].to(working(x))
        return x.contiguous()
    components = np.ascontiguousarray(x.numpy().transpose(_turned(ndim))[skip:], dtype=np.float64)
    return components if root == 1 else root * components


@cache
def _turned(ndim: int) -> tuple[int, ...]:
    """The order of axes with the last one first."""
    return (ndim - 1, *range(ndim - 1))


class _Distance(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        curvature: Tensor | float,
        forward: Callable[..., Any],
        slopes: Callable[..., Any],
        skip: int,
    ) -> Tensor:
        d, ctx.xp, ctx.root, ctx.parts = _measured(forward, skip, x, y, curvature)
        ctx.slopes, ctx.skip, ctx.curvature, ctx.shapes = slopes, skip, curvature, (x.shape, y.shape)
        return d

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        xp, root = ctx.xp, ctx.root
        g = grad.numpy() if xp is np else grad.to(ctx.parts[0].dtype)
        *in_points, outwards = ctx.slopes(xp, *ctx.parts, g)
        needed = zip(ctx.needs_input_grad[:2], in_points, ctx.shapes, strict=True)
        grads = [
            _rows(xp, factor, vectors, ctx.skip, shape, grad.dtype) if wanted else None
            for wanted, (factor, vectors), shape in needed
        ]
        in_curvature = None
        if ctx.needs_input_grad[2]:
            # The points at curvature 1 move outwards as the curvature grows, and the unit of length shrinks.
            total = (outwards() - g * ctx.parts[0]).sum() / (2 * root**3)
            in_curvature = torch.as_tensor(total).to(ctx.curvature).reshape(ctx.curvature.shape)
        return *grads, in_curvature, None, None, None


def _rows(xp: Any, factor: Any, vectors: Any, skip: int, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Components ``(dim, ...)`` times a factor as rows ``(..., skip + dim)`` of the shape that was broadcast."""
    values = factor * vectors
    if xp is torch:
        return torch.nn.functional.pad(values.movedim(0, -1), (skip, 0)).sum_to_size(shape).to(dtype)
    whole = values.shape[1:] == shape[:-1]
    rows = np.empty((*values.shape[1:], shape[-1]), np.float32 if whole and dtype == torch.float32 else np.float64)
    rows[..., :skip] = 0
    rows.transpose(_turned(rows.ndim))[skip:] = values
    tensor = torch.from_numpy(rows)
    return (tensor if whole else tensor.sum_to_size(shape)).to(dtype)
