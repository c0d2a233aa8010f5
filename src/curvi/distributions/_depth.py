r"""Exact draws of :math:`1 - \langle\mu, z\rangle` under a von Mises-Fisher distribution, differentiable in kappa."""

from __future__ import annotations

from functools import cache
from math import pi, sqrt
from typing import Any

import numpy as np
import torch
from torch import Size, Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from curvi.distributions._arrays import enter, leave, library
from curvi.distributions._bessel import shortfall

# Proposals are accepted with a probability of at least 0.657: all of 32 fail once in 1e15 draws.
_PROPOSALS = 32
# Nodes of the Gauss-Legendre rule, and the range that it covers in standard deviations.
_SINGLE, _DOUBLE = (10, 6.0), (24, 9.0)
_BLOCK = 2048


def vmf_depth(m: int, kappa: Tensor, sample_shape: Size = Size()) -> Tensor:
    r"""Draws of :math:`y = 1 - \langle\mu, z\rangle \in [0, 2]` under a von Mises-Fisher distribution.

    Their density is proportional to :math:`e^{-\kappa y} (y (2-y))^{(m-3)/2}`. They come by inversion on the globe
    (``m = 3``), else by rejection from a Moebius image of a Beta variable. The gradient in :math:`\kappa` is that of
    the quantile function, by implicit reparameterisation :cite:p:`Figurnov2018`.

    Parameters
    ----------
    m
        Ambient dimension, at least 2.
    kappa
        Concentrations ``(...)``, at least 0.
    sample_shape
        Shape of draws for each concentration.

    Returns
    -------
    Depths ``(*sample_shape, ...)``.
    """
    return _Depth.apply(kappa, m, sample_shape)


class _Depth(Function):
    @staticmethod
    def forward(ctx: Any, kappa: Tensor, m: int, sample_shape: Size) -> Tensor:
        full = kappa.expand(*sample_shape, *kappa.shape)
        u, y = _invert(full) if m == 3 else (None, _reject(m, full))
        ctx.save_for_backward(kappa, y, u)
        ctx.m = m
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        kappa, y, u = ctx.saved_tensors
        slope = _quadrature(ctx.m, kappa, y) if u is None else _invert_slope(kappa, y, u)
        return (grad * slope).sum_to_size(kappa.shape), None, None


def _invert(kappa: Tensor) -> tuple[Tensor, Tensor]:
    """Uniform numbers u and the depths -log(1 + u (exp(-2 kappa) - 1)) / kappa; 2u where kappa is 0."""
    u = torch.rand(kappa.shape, dtype=kappa.dtype, device=kappa.device)
    safe = kappa.clamp_min(torch.finfo(kappa.dtype).tiny)
    return u, torch.expm1(-2 * safe).mul_(u).log1p_().neg_().div_(safe).clamp_max_(2.0)


def _invert_slope(kappa: Tensor, y: Tensor, u: Tensor) -> Tensor:
    """dy/dkappa at fixed u; near 0, where the quotient cancels, its expansion."""
    minus = torch.expm1(-2 * kappa)
    limit = torch.finfo(kappa.dtype).eps ** (1 / 3)
    quotient = (u * (minus + 1)).mul_(2).div_((u * minus).add_(1)).sub_(y).div_(kappa.clamp_min(limit))
    return torch.where(kappa > limit, quotient, y * (y - 2) * (0.5 + kappa * (y - 1) / 6))


def _working(kappa: Tensor) -> torch.dtype:
    return torch.float64 if kappa.dtype == torch.float64 else torch.float32


def _reject(m: int, kappa: Tensor) -> Tensor:
    """Depths by rejection, in the shape of ``kappa``: many proposals at once, or again only where none was accepted."""
    xp, dtype = library(kappa.device), _working(kappa)
    # Beyond this limit squares overflow in float32, and every point is the pole.
    flat = enter(xp, kappa.detach().clamp_max(1e18), dtype)
    b = (m - 1) / (2 * flat + xp.sqrt(4 * flat * flat + (m - 1) ** 2))

    def propose(kappa: Any, b: Any, proposals: int) -> tuple[Any, Any]:
        u = torch.rand(3, proposals, len(b), dtype=dtype, device=device)
        return _first_accepted(xp, m, kappa, b, u.numpy() if xp is np else u)

    device = kappa.device
    if xp is torch:
        return propose(flat, b, _PROPOSALS)[0].view(kappa.shape).to(kappa.dtype)
    y, accepted = propose(flat, b, _some(len(b)))
    left = np.flatnonzero(~accepted)
    while len(left) > 0:
        y[left], accepted = propose(flat[left], b[left], _some(len(left)))
        left = left[~accepted]
    return leave(xp, y, kappa.shape).to(kappa.dtype)


def _some(n: int) -> int:
    """How many proposals to make for each of ``n`` draws: more than one where a round costs more than its numbers."""
    return max(1, min(8, 4096 // max(n, 1)))


def _first_accepted(xp: Any, m: int, kappa: Any, b: Any, u: Any) -> tuple[Any, Any]:
    """The first accepted of the proposals that ``u (3, proposals, n)`` makes, ``(n,)``, and whether there was one."""
    d = m - 1
    # e ~ Beta(d / 2, d / 2) by the polar formula.
    e = xp.cos(u[1] * (2 * pi))
    if m > 2:
        e *= xp.sqrt(-xp.expm1(xp.log1p(-u[2]) * (2 / (m - 2))))
    e = 0.5 - 0.5 * e
    below = xp.maximum(1 - (1 - b) * e, b)
    y = 2 * b * e / below
    accepted = xp.log1p(-u[0]) <= d * xp.log((1 + b) / 2 / below) + kappa * (2 * b / (1 + b) - y)
    if len(y) == 1:
        return y[0], accepted[0]
    which = (accepted * 1).argmax(0)
    return y[which, xp.arange(len(b), device=None if xp is np else b.device)], accepted.any(0)


@cache
def _rule(nodes: int, xp: Any, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any]:
    """Nodes ``(nodes, 1)`` and weights ``(nodes,)`` of Gauss and Legendre on [0, 1]."""
    x, w = (torch.from_numpy(values).to(device, dtype) for values in np.polynomial.legendre.leggauss(nodes))
    x, w = (x[:, None] + 1) / 2, w / 2
    return (x.numpy(), w.numpy()) if xp is np else (x, w)


def _quadrature(m: int, kappa: Tensor, y: Tensor) -> Tensor:
    """dy/dkappa of draws ``y (*sample_shape, ...)`` at fixed probability, in their shape.

    The derivative of the distribution function is an integral of (1 - y - A) times the density, on either side of the
    draw; the side away from the mode has no cancellation. In sqrt(y) its integrand is smooth.
    """
    xp, dtype = library(kappa.device), _working(kappa)
    nodes, reach = _DOUBLE if dtype == torch.float64 else _SINGLE
    rule = _rule(nodes, xp, dtype, kappa.device)
    q = shortfall(m, kappa)
    k, q, depth = (
        enter(xp, x, dtype)
        for x in (kappa.detach().clamp_max(1e18).expand_as(y), q.expand_as(y), y.clamp_min(torch.finfo(dtype).tiny))
    )
    integrate = _circle if m == 2 else _integrate
    blocks = [
        integrate(xp, m, k[i : i + _BLOCK], q[i : i + _BLOCK], depth[i : i + _BLOCK], reach, *rule)
        for i in range(0, max(len(k), 1), _BLOCK)
    ]
    return leave(xp, blocks[0] if len(blocks) == 1 else xp.concatenate(blocks), y.shape).to(kappa.dtype)


def _integrate(xp: Any, m: int, kappa: Any, q: Any, y: Any, reach: float, x: Any, w: Any) -> Any:
    d = m - 2
    root_y = xp.sqrt(y)
    # How far to go from y, by the curvature of the log-density at its mode.
    root = xp.sqrt(4 * kappa * kappa + d * d)
    peak = (d + root) / 2
    width = reach / xp.sqrt(kappa * (kappa / peak) + peak)
    theta = 2 * xp.arcsin(root_y * sqrt(0.5))
    # The depth of the mode is 1 - kappa / peak.
    beyond = y > d * (1 + d / (root + 2 * kappa)) / (2 * peak)
    end = xp.clip(theta + xp.where(beyond, width, -width), 0.0, pi)
    step = xp.sin(end / 2) * sqrt(2) - root_y
    s = root_y + step * x
    node = s * s
    delta = node - y
    f = 2 - node
    f *= node
    f /= y * (2 - y)
    xp.log(f, out=f)
    f *= (m - 3) / 2
    f -= kappa * delta
    xp.exp(f, out=f)
    f *= s
    f *= (q - y) - delta
    return (w @ f) * (2 * step)


def _circle(xp: Any, m: int, kappa: Any, q: Any, y: Any, reach: float, x: Any, w: Any) -> Any:
    """The integral on the circle, in the angle itself."""
    theta = 2 * xp.arcsin(xp.sqrt(y / 2))
    step = xp.clip(theta + reach / xp.sqrt(kappa), 0.0, pi) - theta
    node = 2 * xp.sin((theta + step * x) / 2) ** 2
    f = xp.exp(kappa * (y - node)) * (q - node)
    return (w @ f) * step * xp.sqrt(y * (2 - y))
