"""Functions of lengths in hyperbolic space that are exact at 0 and keep within the range of their dtype."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import torch
from torch import Tensor

from curvi._recording import Function
from curvi.manifolds._device import library


def length(x: Tensor) -> Tensor:
    """The length of rows ``(..., n)``, ``(..., 1)``: at least the least number that can be squared, to divide by."""
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny ** 0.5)


def log_sinhc(r: Tensor) -> Tensor:
    r""":math:`\log(\sinh r / r)` for :math:`r \ge 0`, which is close to :math:`r^2 / 6` near 0."""
    small = r < 0.1
    s = torch.where(small, r, 0.0).square()
    # The coefficients are those of the series of log(sinh(r) / r) in r^2.
    series = s / 6 * (1 - s / 30 * (1 - 4 * s / 63 * (1 - 3 * s / 40)))
    safe = torch.where(small, 1.0, r)
    return torch.where(small, series, safe + torch.log1p(-torch.exp(-2 * safe)) - log(2) - torch.log(safe))


def farthest(dtype: torch.dtype, within: torch.dtype) -> float:
    """How far from the origin (in units of R) points on a hyperboloid have numbers in ``dtype``.

    The formulas, in the dtype ``within``, hold squares of products of two points.
    """
    return min(log(torch.finfo(dtype).max) - 2.7, log(torch.finfo(within).max) / 4 - 2)


def no_longer(x: Tensor, most: Any) -> Tensor:
    """Rows ``(..., n)``, those that are longer than ``most`` made so long."""
    return x * (most / length(x)).clamp_max(1.0)


def inside_ball(p: Tensor, radius: Any, dtype: torch.dtype) -> Tensor:
    """Points ``(..., dim)`` in ``dtype``, drawn back where its rounding could put them on the edge of the ball."""
    return no_longer(p, (1 - 4 * torch.finfo(dtype).eps) * radius).to(dtype)


def asinh(x: Tensor) -> Tensor:
    """The inverse of the hyperbolic sine, on the CPU by numpy, which is ten times as fast there."""
    return _Asinh.apply(x) if library(x.device) is np and x.dtype != torch.bfloat16 else torch.asinh(x)


class _Asinh(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.from_numpy(np.asarray(np.arcsinh(x.detach().numpy())))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * torch.rsqrt(torch.addcmul(torch.ones((), dtype=x.dtype), x, x))
