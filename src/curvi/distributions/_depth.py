r"""Exact draws of :math:`1 - \langle\mu, z\rangle` under a von Mises-Fisher distribution, differentiable in kappa."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
import torch
from torch import Size, Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from curvi.distributions._arrays import LIMIT, enter, kept, leave, library, single
from curvi.distributions._bessel import shortfall

# Where a loop would have to wait for a device, so many proposals are made at once. Each is accepted with a probability
# of at least 0.657: all of them fail once in 1e15 draws.
_PROPOSALS = 32
# Nodes of the Gauss-Legendre rule, and the range that it covers in standard deviations. The gradient of an expectation
# is then wrong by less than 1e-3 (m = 4) or 2e-4 (else) of itself in float32, and 3e-5 in float64.
_SINGLE, _DOUBLE = (8, 6.0), (24, 9.0)
_BLOCK = 8192


def vmf_depth(m: int, kappa: Tensor, sample_shape: Size = Size()) -> Tensor:
    r"""Draws of :math:`y = 1 - \langle\mu, z\rangle \in [0, 2]` under a von Mises-Fisher distribution.

    Their density is proportional to :math:`e^{-\kappa y} (y (2-y))^{(m-3)/2}`. They come by inversion on the globe
    (``m = 3``), else by rejection from a Moebius image of the uniform law :cite:p:`Ulrich1984`. The gradient in
    :math:`\kappa` is that of the quantile function, by implicit reparameterisation :cite:p:`Figurnov2018`.

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
        full = kappa.expand(sample_shape + kappa.shape)
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


def _reject(m: int, kappa: Tensor) -> Tensor:
    """Depths by rejection, in the shape of ``kappa``: many proposals at once, or again only where none was accepted."""
    xp, dtype, d = library(kappa.device), single(kappa.dtype), m - 1
    flat = enter(xp, kappa.detach().clamp_max(LIMIT), dtype).reshape(-1)
    b = d / (2 * flat + xp.sqrt(4 * flat * flat + d * d))
    middle = 2 * b / (1 + b)
    envelope = (1 - b) / (1 + b), middle, 2 * flat * middle / (1 + b)

    def propose(gamma: Any, middle: Any, rate: Any, proposals: int) -> tuple[Any, Any]:
        u = torch.rand(3, proposals, len(gamma), dtype=dtype, device=kappa.device)
        return _first_accepted(xp, m, gamma, middle, rate, enter(xp, u))

    if xp is torch:
        y, _ = propose(*envelope, _PROPOSALS)
    else:
        y, accepted = propose(*envelope, _some(len(flat)))
        left = np.flatnonzero(~accepted)
        while len(left) > 0:
            gamma, middle, rate = (x[left] for x in envelope)
            y[left], accepted = propose(gamma, middle, rate, _some(len(left)))
            left = left[~accepted]
    return leave(xp, y).view(kappa.shape).to(kappa.dtype)


def _some(n: int) -> int:
    """How many proposals to make for each of ``n`` draws: more than one where a round costs more than its numbers."""
    return max(1, min(8, 4096 // max(n, 1)))


def _first_accepted(xp: Any, m: int, gamma: Any, middle: Any, rate: Any, u: Any) -> tuple[Any, Any]:
    """The first accepted of the proposals that ``u (3, proposals, n)`` makes, ``(n,)``, and whether there was one.

    With r the first coordinate of a uniform point of the sphere, a proposal is y = middle (1 - r) / (1 + gamma r); its
    probability of acceptance has the logarithm rate r / (1 + gamma r) - (m - 1) log(1 + gamma r).
    """
    r = u[1] * (2 * pi)
    r = xp.cos(r, out=r)
    # A little less than 1 keeps 1 + gamma r positive.
    radius = -(1 - 2 * xp.finfo(u.dtype).eps)
    if m == 2:
        r *= radius
    else:
        square = xp.log1p(-u[2])
        square *= 2 / (m - 2)
        square = xp.expm1(square, out=square)
        square *= radius
        r *= xp.sqrt(square, out=square)
    shift = gamma * r
    log_ratio = xp.log1p(shift)
    log_ratio *= 1 - m
    shift += 1
    log_ratio += rate * r / shift
    y = 1 - r
    y *= middle
    y /= shift
    accepted = xp.log1p(-u[0]) <= log_ratio
    if len(y) == 1:
        return y[0], accepted[0]
    # The last proposal where none was accepted, which the caller draws again.
    which = (accepted * 1).argmax(0)
    index = xp.arange(y.shape[1]) if xp is np else xp.arange(y.shape[1], device=y.device)
    return y[which, index], accepted.any(0)


@torch.compiler.assume_constant_result
def _legendre(nodes: int) -> tuple[list[list[float]], list[float]]:
    x, w = np.polynomial.legendre.leggauss(nodes)
    return [[(value + 1) / 2] for value in x.tolist()], (w / 2).tolist()


@kept
def _rule(nodes: int, xp: Any, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any]:
    """Nodes ``(nodes, 1)`` and weights ``(nodes,)`` of Gauss and Legendre on [0, 1]."""
    x, w = (enter(xp, torch.tensor(values, dtype=dtype, device=device)) for values in _legendre(nodes))
    return x, w


def _quadrature(m: int, kappa: Tensor, y: Tensor) -> Tensor:
    """dy/dkappa of draws ``y (*sample_shape, ...)`` at fixed probability, in their shape.

    It is an integral of (1 - y - A) times the density relative to that of the draw, on either side of the draw; on the
    side away from the mode nothing cancels.
    """
    xp, dtype = library(kappa.device), single(kappa.dtype)
    nodes, reach = _DOUBLE if dtype == torch.float64 else _SINGLE
    rule = _rule(nodes, xp, dtype, kappa.device)
    kappa = kappa.detach().clamp_max(LIMIT)
    k, q, depth = (
        enter(xp, x.expand_as(y), dtype).reshape(-1) for x in (kappa, shortfall(m, kappa), y.clamp_min(1e-30))
    )
    integrate = _integrate_circle if m == 2 else _integrate
    size = _BLOCK if xp is np else max(len(k), 1)
    blocks = [
        integrate(xp, m, k[i : i + size], q[i : i + size], depth[i : i + size], reach, *rule)
        for i in range(0, max(len(k), 1), size)
    ]
    slope = blocks[0] if len(blocks) == 1 else xp.concatenate(blocks)
    return leave(xp, slope).view(y.shape).to(y.dtype)


def _integrate(xp: Any, m: int, kappa: Any, q: Any, y: Any, reach: float, x: Any, w: Any) -> Any:
    d = m - 2
    # How far to go in the angle, by the curvature of the log-density at its mode, whose depth is 1 - kappa / peak.
    root = xp.sqrt(4 * kappa * kappa + d * d)
    peak = (d + root) / 2
    width = reach / xp.sqrt(kappa * (kappa / peak) + peak)
    beyond = y > d * (1 + d / (root + 2 * kappa)) / (2 * peak)
    end = 2 * xp.arcsin(xp.sqrt(y / 2)) + xp.where(beyond, width, -width)
    step = 2 * xp.sin(xp.clip(end, 0.0, pi) / 2) ** 2 - y
    delta = step * x
    # A little more than 2 keeps the logarithm finite at the antipode.
    two = 2 + 1e-6
    node = delta + y
    f = two - node
    f *= node
    f /= y * (two - y)
    f = xp.log(f, out=f)
    f *= (m - 3) / 2
    f -= xp.multiply(kappa, delta, out=node)
    f = xp.exp(f, out=f)
    f *= xp.subtract(q - y, delta, out=delta)
    return (w @ f) * step


def _integrate_circle(xp: Any, m: int, kappa: Any, q: Any, y: Any, reach: float, x: Any, w: Any) -> Any:
    # On the circle the density is smooth in the angle only.
    theta = 2 * xp.arcsin(xp.sqrt(y / 2))
    step = xp.clip(theta + reach / xp.sqrt(kappa + 1e-30), 0.0, pi) - theta
    node = step * x
    node += theta
    node /= 2
    node = xp.sin(node, out=node)
    node *= node
    node *= 2
    f = xp.exp(kappa * (y - node))
    f *= q - node
    return (w @ f) * step * xp.sqrt(y * (2 - y))
