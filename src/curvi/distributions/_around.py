"""Random points at a given depth below a pole of the sphere, differentiable in the pole and in the depth."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

# From this dimension on a Gaussian row is never so close to the pole that one projection leaves a visible error.
_SAFE_DIMENSION = 9
_LONG_ROW = 24


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


def _components(x: Tensor) -> Tensor:
    """Rows ``(..., m)`` as ``(m, ...)``: a view, or a copy where rows are too short to run along them fast."""
    components = x.movedim(-1, 0)
    return components.contiguous() if len(components) < _LONG_ROW else components


class _Around(Function):
    @staticmethod
    def forward(ctx: Any, loc: Tensor, depth: Tensor) -> Tensor:
        m, pole = loc.shape[-1], _components(loc)
        z = depth.new_empty(*depth.shape, m)
        if m == 2:
            # Two directions are orthogonal to the pole.
            v = torch.stack([-pole[1], pole[0]]) * torch.rand_like(depth).sub_(0.5).sign_()
            scale = torch.ones_like(depth)
        else:
            v = torch.randn_like(z).movedim(-1, 0) if m >= _LONG_ROW else depth.new_empty(m, *depth.shape).normal_()
            for _ in range(2 if m < _SAFE_DIMENSION else 1):
                v.addcmul_(pole, (v * pole).sum(0), value=-1)
            scale = torch.rsqrt((v * v).sum(0))
        sine = torch.sqrt(depth * (2 - depth)).mul_(scale)
        torch.addcmul(pole * (1 - depth), v, sine, out=z.movedim(-1, 0))
        ctx.save_for_backward(pole, depth, v, scale)
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        pole, depth, v, scale = ctx.saved_tensors
        g, cosine, sine = _components(grad), 1 - depth, torch.sqrt(depth * (2 - depth))
        product = g * pole
        along = product.sum(0)
        grad_depth = grad_loc = None
        if ctx.needs_input_grad[1]:
            slope = cosine * scale / sine.clamp_min(torch.finfo(depth.dtype).tiny)
            grad_depth = torch.mul(g, v, out=product).sum(0).mul_(slope).sub_(along)
        if ctx.needs_input_grad[0]:
            # cos(y) g - <g, mu> z, with z taken apart.
            turned = torch.addcmul(g, pole, along, value=-1, out=product).mul_(cosine)
            grad_loc = torch.empty_like(grad, memory_format=torch.contiguous_format)
            torch.addcmul(turned, v, along * sine * scale, value=-1, out=grad_loc.movedim(-1, 0))
            grad_loc = grad_loc.sum_to_size(*pole.shape[1:], len(pole))
        return grad_loc, grad_depth
