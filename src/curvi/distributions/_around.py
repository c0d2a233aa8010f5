"""Random points at a given depth below a pole of the sphere, differentiable in the pole and in the depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from curvi.distributions._arrays import add_product, components, dot, enter, leave, library, rows, single

# From this dimension on a Gaussian row is never so close to the pole that one projection leaves a visible error.
_SAFE_DIMENSION = 9
# From this dimension on it is fast to run along rows.
_LONG_ROW = 16


def around(loc: Tensor, depth: Tensor) -> Tensor:
    r"""Random unit rows :math:`z` with :math:`1 - \langle\mu, z\rangle = y`, in a uniform direction from :math:`\mu`.

    :math:`z = (1 - y) \mu + \sqrt{y (2 - y)}\, v` with :math:`v` uniform on the unit sphere orthogonal to :math:`\mu`.
    The gradient in :math:`\mu` is that of the smallest rotation that moves the pole (``z`` turns with it), the gradient
    in :math:`y` that of ``z`` moving along its meridian; both need no reflection and no coordinate axis.

    Parameters
    ----------
    loc
        Poles :math:`\mu`, unit rows ``(..., m)``.
    depth
        :math:`y \in [0, 2]`, with at least the leading dimensions of ``loc``.

    Returns
    -------
    Unit rows ``(..., m)`` in the leading shape of ``depth``.
    """
    return _Around.apply(loc, depth)


class _Around(Function):
    @staticmethod
    def forward(ctx: Any, loc: Tensor, depth: Tensor) -> Tensor:
        m, dtype = loc.shape[-1], single(depth.dtype)
        xp = library(loc.device) if m < _LONG_ROW else torch
        y = enter(xp, depth, dtype)
        pole = components(xp, enter(xp, loc, dtype)).reshape(m, *[1] * (depth.ndim + 1 - loc.ndim), *loc.shape[:-1])
        z = _place(xp, pole, y, _gaussian(xp, m, depth, dtype))
        ctx.save_for_backward(*(leave(xp, values) for values in (pole, y, z)))
        ctx.xp, ctx.shape = xp, loc.shape
        return leave(xp, rows(xp, z)).to(depth.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        xp = ctx.xp
        pole, y, z = (enter(xp, values) for values in ctx.saved_tensors)
        g = components(xp, enter(xp, grad, ctx.saved_tensors[1].dtype))
        along, cosine = dot(xp, g, pole), 1 - y
        # dz/dy = (cos z - mu) / sin^2; the least number is for the pole itself.
        grad_depth = (cosine * dot(xp, g, z) - along) / (y * (2 - y) + 1e-37)
        turned = add_product(xp, g * cosine, z, -along)
        grad_loc = leave(xp, rows(xp, turned)).to(grad.dtype).sum_to_size(ctx.shape)
        return grad_loc, leave(xp, grad_depth).to(grad.dtype)


def _gaussian(xp: Any, m: int, like: Tensor, dtype: torch.dtype) -> Any:
    """Standard normal components ``(m, ...)``."""
    if xp is np:
        return torch.randn(m, *like.shape, dtype=dtype).numpy()
    return torch.randn(*like.shape, m, dtype=dtype, device=like.device).moveaxis(-1, 0)


def _place(xp: Any, pole: Any, y: Any, v: Any) -> Any:
    """Components of points at depths ``y`` below ``pole (m, ...)``, in the directions of Gaussian ``v (m, ...)``."""
    cosine, sine = 1 - y, xp.sqrt(y * (2 - y))
    if len(pole) == 2:
        # Two directions are orthogonal to the pole.
        sine = xp.copysign(sine, v[0])
        return xp.stack([cosine * pole[0] - sine * pole[1], cosine * pole[1] + sine * pole[0]])
    if len(pole) < _SAFE_DIMENSION:
        v -= pole * dot(xp, v, pole)
    along = dot(xp, v, pole)
    sine /= xp.sqrt(dot(xp, v, v) - along * along)
    v *= sine
    return add_product(xp, v, pole, cosine - sine * along)
