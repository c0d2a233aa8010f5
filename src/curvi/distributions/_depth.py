r"""Exact draws of :math:`1 - \langle\mu, z\rangle`, differentiable in the concentration."""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from curvi.distributions._arrays import LIMIT, enter, few, flat, kept, leave, repeated, shaped
from curvi.distributions._row_kernel import globe_rows, globe_slope_rows, propose_again, propose_rows, slope_rows
from curvi.manifolds._device import library

if TYPE_CHECKING:
    from curvi.distributions._tilts import Tilt

# Where a loop would have to wait for a device, so many proposals are made at once. Each is accepted with a probability
# of at least 0.657: all of them fail once in 1e15 draws.
_PROPOSALS = 32
# Nodes of the Gauss-Legendre rule, by which power they are denser at the far end, where a root or a logarithm may not
# be smooth, and the range that they cover in standard deviations; the law is the smoother, the larger m. The gradient
# of an expectation is then wrong by less than 1e-3 (m = 4) or 2e-4 (else) of itself in float32, and 3e-8 in float64.
_SINGLE, _SINGLE_SMOOTH, _DOUBLE = (8, 1, 6.0), (6, 1, 5.0), (28, 2, 9.0)
_SMOOTH = 12
_BLOCK = 8192


def sample_depth(tilt: Tilt, m: int, kappa: Tensor, cosine: Tensor) -> Tensor:
    r"""Depths :math:`y = 1 - \langle\mu, z\rangle \in [0, 2]` with the law of ``tilt``.

    They come by inversion on the globe (``m = 3``), else by rejection from a Moebius image of the uniform law, which
    for the von Mises-Fisher law is due to :cite:t:`Ulrich1984`.

    Parameters
    ----------
    tilt
        The law.
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
    if few(cosine, cosine.numel()):
        return _sample_few(tilt, m, kappa, cosine)
    xp = library(cosine.device)
    k = enter(xp, kappa.detach().clamp_max(LIMIT).expand(cosine.shape), cosine.dtype).reshape(-1)
    r = enter(xp, cosine).reshape(-1)
    if m == 3:
        # The height on the globe is uniform. Nothing may be so unlikely that the logarithm has no number for it.
        y = tilt.on_the_globe(xp, k, xp.clip((1 - r) / 2, 0, 1 - xp.finfo(r.dtype).eps / 2))
    else:
        y = _reject(xp, tilt, m, k, r, cosine)
    return leave(xp, y).view(cosine.shape)


def _sample_few(tilt: Tilt, m: int, kappa: Tensor, cosine: Tensor) -> Tensor:
    eps = torch.finfo(cosine.dtype).eps
    k, r = flat(repeated(kappa, cosine.shape)), flat(cosine)
    y = np.empty(r.shape, r.dtype)
    if m == 3:
        globe_rows(tilt.is_power, eps, k, r, y)
        return shaped(y, cosine.shape)
    left = np.empty(len(r), np.int64)
    u = torch.rand(len(r), dtype=cosine.dtype).numpy()
    count = propose_rows(tilt.is_power, m, eps, k, r, u, y, left)
    while count > 0:
        u = torch.rand((3, _tries(count), count), dtype=cosine.dtype).numpy()
        count = propose_again(tilt.is_power, m, eps, k, u, y, left[:count])
    return shaped(y, cosine.shape)


def _tries(left: int) -> int:
    # Several at once where a round costs more than its numbers.
    return max(1, min(8, 4096 // left))


def _reject(xp: Any, tilt: Tilt, m: int, kappa: Any, r: Any, like: Tensor) -> Any:
    def uniform(*shape: int) -> Any:
        return enter(xp, torch.rand(shape, dtype=like.dtype, device=like.device))

    envelope = tilt.envelope(xp, m, kappa)
    if xp is torch:
        # No device is waited for: many proposals at once.
        r = torch.cat([r[None], _coordinate(xp, m, uniform(2, _PROPOSALS - 1, len(r)))])
        y, accepted = _propose(xp, tilt, m, *envelope, r, uniform(*r.shape))
        return y.gather(0, (accepted * 1).argmax(0, keepdim=True))[0]
    y, accepted = _propose(xp, tilt, m, *envelope, r, uniform(len(r)))
    left = np.flatnonzero(~accepted)
    while len(left) > 0:
        # Again where it was not accepted.
        u = uniform(3, _tries(len(left)), len(left))
        gamma, middle, factor = (x[left] for x in envelope)
        again, accepted = _propose(xp, tilt, m, gamma, middle, factor, _coordinate(xp, m, u[1:]), u[0])
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


def _propose(xp: Any, tilt: Tilt, m: int, gamma: Any, middle: Any, factor: Any, r: Any, u: Any) -> tuple[Any, Any]:
    """Depths middle (1 - r) / (1 + gamma r) for coordinates ``r``, and whether uniform numbers ``u`` accept them.

    The logarithm of the probability is -kappa (U(y) - U(middle)) - (m - 1) log(1 + gamma r).
    """
    # A little less than 1 keeps 1 + gamma r positive.
    r = r * (1 - 2 * xp.finfo(r.dtype).eps)
    shift = gamma * r
    log_ratio = xp.log1p(shift)
    log_ratio *= 1 - m
    shift += 1
    log_ratio += tilt.gain(xp, middle, factor, r / shift)
    y = 1 - r
    y *= middle
    y /= shift
    # What is not a number is accepted: it would be drawn again for ever.
    return y, ~(xp.log1p(-u) > log_ratio)


def depth_slope(tilt: Tilt, m: int, kappa: Tensor, depth: Tensor) -> Tensor:
    r"""The gradient of depths in the concentration at fixed probability, that of the quantile function.

    By implicit reparameterisation :cite:p:`Figurnov2018`: the derivative of the distribution function is an integral of
    :math:`\mathbb{E}\,U - U(y)` times the density, on either side of the draw; on the side away from the mode nothing
    cancels.

    Parameters
    ----------
    tilt
        The law.
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
    if few(depth, depth.numel()):
        return _slope_of_few(tilt, m, kappa, depth)
    xp, dtype = library(depth.device), depth.dtype
    kappa = kappa.detach().clamp_max(LIMIT)
    y, k = (enter(xp, x.expand(depth.shape), dtype).reshape(-1) for x in (depth, kappa))
    if m == 3:
        return leave(xp, tilt.slope_on_the_globe(xp, k, y)).view(depth.shape)
    # Neither end of the sphere is reached, where the density is 0 or the potential infinite.
    y = xp.clip(y, 1e-30, 2 - 2 * xp.finfo(y.dtype).eps)
    q = enter(xp, tilt.mean_potential(m, kappa).expand(depth.shape), dtype).reshape(-1)
    nodes, power, reach = _nodes(m, dtype)
    rule = _rule(nodes, power, xp, dtype, depth.device)
    integrate = _integrate_circle if m == 2 else _integrate
    size = _BLOCK if xp is np else max(len(k), 1)
    blocks = [
        integrate(xp, tilt, m, k[i : i + size], q[i : i + size], y[i : i + size], reach, *rule)
        for i in range(0, max(len(k), 1), size)
    ]
    return leave(xp, blocks[0] if len(blocks) == 1 else xp.concatenate(blocks)).view(depth.shape)


def _nodes(m: int, dtype: torch.dtype) -> tuple[int, int, float]:
    return _DOUBLE if dtype == torch.float64 else _SINGLE if m < _SMOOTH else _SINGLE_SMOOTH


def _slope_of_few(tilt: Tilt, m: int, kappa: Tensor, depth: Tensor) -> Tensor:
    eps = torch.finfo(depth.dtype).eps
    k, y = flat(repeated(kappa, depth.shape)), flat(depth)
    slope = np.empty(y.shape, y.dtype)
    if m == 3:
        globe_slope_rows(tilt.is_power, eps, k, y, slope)
    else:
        *rule, reach = _nodes(m, depth.dtype)
        nodes = _rule(*rule, np, torch.float64, depth.device)
        known = tilt.known_of_potential(m, torch.from_numpy(k))
        slope_rows(tilt.is_power, m, eps, k, *known, y, reach, *nodes, slope)
    return shaped(slope, depth.shape)


@torch.compiler.assume_constant_result
def _legendre(nodes: int, power: int) -> tuple[list[list[float]], list[float]]:
    x, w = np.polynomial.legendre.leggauss(nodes)
    left = (1 - x) / 2
    return (1 - left[:, None] ** power).tolist(), (power * w / 2 * left ** (power - 1)).tolist()


@kept
def _rule(nodes: int, power: int, xp: Any, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any]:
    """Nodes ``(nodes, 1)`` and weights ``(nodes,)`` of Gauss and Legendre on [0, 1], denser at 1 for a larger power."""
    x, w = (enter(xp, torch.tensor(values, dtype=dtype, device=device)) for values in _legendre(nodes, power))
    return x, w


def _integrate(xp: Any, tilt: Tilt, m: int, kappa: Any, q: Any, y: Any, reach: float, x: Any, w: Any) -> Any:
    # How far to go in the angle, by the curvature of the log-density at its mode.
    mode, curvature = tilt.mode(xp, m, kappa)
    width = reach / xp.sqrt(curvature)
    end = 2 * xp.arcsin(xp.sqrt(y / 2)) + xp.where(y > mode, width, -width)
    step = 2 * xp.sin(xp.clip(end, 0.0, pi) / 2) ** 2 - y
    delta = step * x
    # A little more than 2 keeps the logarithm finite at the antipode.
    two = 2 + 4 * xp.finfo(y.dtype).eps
    node = delta + y
    f = two - node
    f *= node
    f /= y * (two - y)
    f = xp.log(f, out=f)
    f *= (m - 3) / 2
    rise = tilt.rise(xp, y, delta)
    f -= xp.multiply(kappa, rise, out=node)
    f = xp.exp(f, out=f)
    f *= xp.subtract(q - tilt.rise(xp, 0 * y, y), rise, out=delta)
    return (w @ f) * step


def _integrate_circle(xp: Any, tilt: Tilt, m: int, kappa: Any, q: Any, y: Any, reach: float, x: Any, w: Any) -> Any:
    # On the circle the density is smooth in the angle only.
    angle = 2 * xp.arcsin(xp.sqrt(y / 2))
    step = tilt.end_on_the_circle(xp, kappa, angle, reach) - angle
    node = step * x
    node += angle
    node /= 2
    node = xp.sin(node, out=node)
    node *= node
    node *= 2
    node -= y
    rise = tilt.rise(xp, y, node)
    f = xp.exp(-kappa * rise)
    f *= (q - tilt.rise(xp, 0 * y, y)) - rise
    return (w @ f) * step * xp.sqrt(y * (2 - y))
