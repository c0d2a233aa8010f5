"""The log-likelihood of rows of counts whose means are shares of a total, in one pass over the features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Size, Tensor
from torch.autograd.function import once_differentiable

from curvi._compressed import compressed_counts, is_compressed, parts_of
from curvi._recording import Function

if TYPE_CHECKING:
    from curvi._threads import RowLoop


def takes_pass(size_factor: Tensor, x: Tensor, raw: Tensor, *parameters: Tensor) -> bool:
    """Whether :func:`pass_log_likelihood` can serve: float32 on a CPU, shapes that fit, sizes that are not learned."""
    cpu = all(each.is_cpu and each.dtype == torch.float32 for each in (size_factor, x, raw, *parameters))
    fits = x.ndim == 2 and raw.shape[-2:] == x.shape and size_factor.shape == (len(x), 1)
    fits = fits and all(_fits(each.shape, raw.shape) for each in parameters)
    return cpu and fits and not (size_factor.requires_grad or x.requires_grad)


def _fits(shape: Size, within: Size) -> bool:
    """Whether one shape can be expanded to another; of the usual ones torch need not be asked, which takes its time."""
    return shape in (within, within[-1:]) or torch.broadcast_shapes(shape, within) == within


def _by_rows(parameter: Tensor, shape: Size) -> Tensor:
    """A parameter of ``shape (..., n, f)`` in as few rows as say all: one, ``n``, or as many as there are."""
    n, f = shape[-2:]
    if parameter.numel() in (1, f) and parameter.ndim < 2:
        rows = parameter.expand(1, f)
    elif parameter.shape == (n, f):
        rows = parameter
    else:
        rows = parameter.expand(shape).reshape(-1, f)
    return rows.detach().contiguous()


class _Pass(Function):
    """The gradients are made together with the value, so that the backward pass only scales them."""

    @staticmethod
    def forward(ctx: Any, kernel: RowLoop, size_factor: Tensor, x: Tensor, *parameters: Tensor) -> Tensor:
        """``size_factor (n, 1)``, ``x (n, f)``, a map ``(..., n, f)``, parameters that broadcast with it."""
        raw = parameters[0]
        rows = [raw.detach().reshape(-1, x.shape[1]).contiguous()]
        rows += [_by_rows(each, raw.shape) for each in parameters[1:]]
        n_rows = len(rows[0])
        wanted = any(ctx.needs_input_grad[3:])
        slopes = raw.new_empty(len(rows), n_rows if wanted else 0, x.shape[1])
        value = torch.empty(n_rows, dtype=torch.float64)
        sizes = size_factor.detach().reshape(-1).contiguous()
        counts = parts_of(x if is_compressed(x) else compressed_counts(x))
        kernel(n_rows, rows[0], sizes, *rows[1:], value, *slopes, *counts)
        ctx.save_for_backward(*slopes)
        ctx.shapes = [each.shape for each in parameters]
        return value.to(raw.dtype).reshape(raw.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients in the map and the other parameters."""
        weight = grad.reshape(-1)
        found: list[Tensor | None] = [None, None, None]
        for needed, slope, shape in zip(ctx.needs_input_grad[3:], ctx.saved_tensors, ctx.shapes, strict=True):
            if not needed:
                found.append(None)
            elif shape == slope.shape[-1:]:
                found.append(weight @ slope)
            else:
                found.append((slope * weight[:, None]).view(ctx.shapes[0]).sum_to_size(shape))
        return tuple(found)


def pass_log_likelihood(kernel: RowLoop, size_factor: Tensor, x: Tensor, raw: Tensor, *parameters: Tensor) -> Tensor:
    r"""The log-likelihood ``(..., n)`` of counts whose means are :math:`s_i\, \mathrm{softmax}(r_i)`.

    Exact to the rounding of float32: what is summed over the features is summed in double precision where terms can
    cancel.

    Parameters
    ----------
    kernel
        The pass over rows of the distribution.
    size_factor
        :math:`s`, ``(n, 1)``; it has no gradient.
    x
        Counts ``(n, n_features)``, whole numbers, dense or compressed rows; they have no gradient.
    raw
        :math:`r`, ``(..., n, n_features)``.
    *parameters
        Further parameters of the distribution, of shapes that broadcast with ``raw``.
    """
    return _Pass.apply(kernel, size_factor, x, raw, *parameters)
