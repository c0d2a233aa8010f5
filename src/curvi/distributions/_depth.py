r"""Exact draws of :math:`1 - \langle\mu, z\rangle` under a von Mises-Fisher distribution, differentiable in kappa."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
import torch
from torch import Tensor

from curvi.distributions._arrays import LIMIT, enter, kept, leave, library
from curvi.distributions._bessel import shortfall

# Where a loop would have to wait for a device, so many proposals are made at once. Each is accepted with a probability
# of at least 0.657: all of them fail once in 1e15 draws.
_PROPOSALS = 32
# Nodes of the Gauss-Legendre rule, and the range that it covers in standard deviations; the law is the smoother, the
# larger m. The gradient of an expectation is then wrong by less than 1e-3 (m = 4) or 2e-4 (else) of itself in float32,
# and 3e-5 in float64.
_SINGLE, _SINGLE_SMOOTH, _DOUBLE = (8, 6.0), (6, 5.0), (24, 9.0)
_SMOOTH = 12
_BLOCK = 8192


def sample_depth(m: int, kappa: Tensor, cosine: Tensor) -> Tensor:
    r"""Depths :math:`y = 1 - \langle\mu, z\rangle \in [0, 2]` of von Mises-Fisher draws.

    Their density is proportional to :math:`e^{-\kappa y} (y (2-y))^{(m-3)/2}`. They come by inversion on the globe
    (``m = 3``), else by rejection from a Moebius image of the uniform law :cite:p:`Ulrich1984`.

    Parameters
    ----------
    m
        Ambient dimension, at least 2.
    kappa
        Concentrations ``(...)``, at least 0.
    cosine
        First coordinates ``(*sample_shape, ...)`` of uniform points of the sphere, which the depths are made from, in
        float32 or float64.

    Returns
    -------
    Depths in the shape and dtype of ``cosine``.
    """
    xp = library(cosine.device)
    k = enter(xp, kappa.detach().clamp_max(LIMIT).expand(cosine.shape), cosine.dtype).reshape(-1)
    r = enter(xp, cosine).reshape(-1)
    y = _invert(xp, k, r) if m == 3 else _reject(xp, m, k, r, cosine)
    return leave(xp, y).view(cosine.shape)


def _invert(xp: Any, kappa: Any, r: Any) -> Any:
    # The height on the globe is uniform. Nothing may be so unlikely that the logarithm has no number for it.
    u = xp.clip((1 - r) / 2, 0, 1 - xp.finfo(r.dtype).eps / 2)
    kappa = xp.clip(kappa, 1e-30, None)
    return xp.clip(-xp.log1p(u * xp.expm1(-2 * kappa)) / kappa, 0, 2)


def _reject(xp: Any, m: int, kappa: Any, r: Any, like: Tensor) -> Any:
    def uniform(*shape: int) -> Any:
        return enter(xp, torch.rand(shape, dtype=like.dtype, device=like.device))

    d = m - 1
    b = d / (2 * kappa + xp.sqrt(4 * kappa * kappa + d * d))
    middle = 2 * b / (1 + b)
    envelope = (1 - b) / (1 + b), middle, 2 * kappa * middle / (1 + b)
    if xp is torch:
        # No device is waited for: many proposals at once.
        r = torch.cat([r[None], _coordinate(xp, m, uniform(2, _PROPOSALS - 1, len(r)))])
        y, accepted = _propose(xp, m, *envelope, r, uniform(*r.shape))
        return y.gather(0, (accepted * 1).argmax(0, keepdim=True))[0]
    y, accepted = _propose(xp, m, *envelope, r, uniform(len(r)))
    left = np.flatnonzero(~accepted)
    while len(left) > 0:
        # Again where it was not accepted, several at once where a round costs more than its numbers.
        u = uniform(3, max(1, min(8, 4096 // len(left))), len(left))
        gamma, middle, rate = (x[left] for x in envelope)
        again, accepted = _propose(xp, m, gamma, middle, rate, _coordinate(xp, m, u[1:]), u[0])
        y[left] = again[0] if len(again) == 1 else again[accepted.argmax(0), np.arange(len(left))]
        left = left[~accepted.any(0)]
    return y


def _coordinate(xp: Any, m: int, u: Any) -> Any:
    """First coordinates ``(...)`` of uniform points of the sphere, by the polar formula from ``u (2, ...)``."""
    r = u[0] * (2 * pi)
    r = xp.cos(r, out=r)
    if m > 2:
        square = xp.log1p(-u[1])
        square *= 2 / (m - 2)
        square = xp.expm1(square, out=square)
        square *= -1
        r *= xp.sqrt(square, out=square)
    return r


def _propose(xp: Any, m: int, gamma: Any, middle: Any, rate: Any, r: Any, u: Any) -> tuple[Any, Any]:
    """Depths middle (1 - r) / (1 + gamma r) for coordinates ``r``, and whether uniform numbers ``u`` accept them.

    The logarithm of the probability is rate r / (1 + gamma r) - (m - 1) log(1 + gamma r).
    """
    # A little less than 1 keeps 1 + gamma r positive.
    r = r * (1 - 2 * xp.finfo(r.dtype).eps)
    shift = gamma * r
    log_ratio = xp.log1p(shift)
    log_ratio *= 1 - m
    shift += 1
    log_ratio += rate * r / shift
    y = 1 - r
    y *= middle
    y /= shift
    # What is not a number is accepted: it would be drawn again for ever.
    return y, ~(xp.log1p(-u) > log_ratio)


def depth_slope(m: int, kappa: Tensor, depth: Tensor) -> Tensor:
    r"""The gradient of depths in the concentration at fixed probability, that of the quantile function.

    By implicit reparameterisation :cite:p:`Figurnov2018`: the derivative of the distribution function is an integral of
    :math:`1 - y - A(\kappa)` times the density, on either side of the draw; on the side away from the mode nothing
    cancels.

    Parameters
    ----------
    m
        Ambient dimension, at least 2.
    kappa
        Concentrations ``(...)``.
    depth
        Depths ``(*sample_shape, ...)``, in float32 or float64.

    Returns
    -------
    Slopes in the shape and dtype of ``depth``.
    """
    xp, dtype = library(depth.device), depth.dtype
    kappa = kappa.detach().clamp_max(LIMIT)
    y, k = (enter(xp, x.expand(depth.shape), dtype).reshape(-1) for x in (depth, kappa))
    if m == 3:
        return leave(xp, _slope_on_the_globe(xp, k, y)).view(depth.shape)
    y, q = xp.clip(y, 1e-30, None), enter(xp, shortfall(m, kappa).expand(depth.shape), dtype).reshape(-1)
    nodes, reach = _DOUBLE if dtype == torch.float64 else _SINGLE if m < _SMOOTH else _SINGLE_SMOOTH
    rule = _rule(nodes, xp, dtype, depth.device)
    integrate = _integrate_circle if m == 2 else _integrate
    size = _BLOCK if xp is np else max(len(k), 1)
    blocks = [
        integrate(xp, m, k[i : i + size], q[i : i + size], y[i : i + size], reach, *rule)
        for i in range(0, max(len(k), 1), size)
    ]
    return leave(xp, blocks[0] if len(blocks) == 1 else xp.concatenate(blocks)).view(depth.shape)


def _slope_on_the_globe(xp: Any, kappa: Any, y: Any) -> Any:
    """(2 exp(-kappa (2 - y)) expm1(-kappa y) / expm1(-2 kappa) - y) / kappa; its expansion near 0, where it cancels."""
    limit = xp.finfo(y.dtype).eps ** (1 / 3)
    k = xp.clip(kappa, limit, None)
    quotient = (2 * xp.exp(-k * (2 - y)) * xp.expm1(-k * y) / xp.expm1(-2 * k) - y) / k
    return xp.where(kappa > limit, quotient, y * (y - 2) * (0.5 + kappa * (y - 1) / 6))


@torch.compiler.assume_constant_result
def _legendre(nodes: int) -> tuple[list[list[float]], list[float]]:
    x, w = np.polynomial.legendre.leggauss(nodes)
    return [[(value + 1) / 2] for value in x.tolist()], (w / 2).tolist()


@kept
def _rule(nodes: int, xp: Any, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any]:
    """Nodes ``(nodes, 1)`` and weights ``(nodes,)`` of Gauss and Legendre on [0, 1]."""
    x, w = (enter(xp, torch.tensor(values, dtype=dtype, device=device)) for values in _legendre(nodes))
    return x, w


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
