"""Passes over few rows, compiled: draws on the sphere, their gradients, and the normaliser of their law.

They do what the formulas on arrays do, in float64 whatever the arrays have; on a few hundred rows the calls of an array
library cost several times their numbers.
"""

from __future__ import annotations

from math import asin, copysign, cos, exp, expm1, log, log1p, pi, sin, sqrt
from typing import Any

import numpy as np
from numba import njit

from curvi._compiled import compiled
from curvi.distributions._arrays import LIMIT

Array = np.ndarray[Any, Any]

# A product of factors above 1 is taken into the sum of logarithms before it overflows.
_MUCH = 1e100


@njit(error_model="numpy")
def _shortfall(k: float, nu: float, steps: int, y1: Array) -> float:
    """1 - A alone, from the coefficients ``y1`` of Y1."""
    s = sqrt(k * k + nu * nu)
    p = nu / s
    value = 0.0
    for j in range(len(y1) - 1, -1, -1):
        value = (value + y1[j]) * p
    value = nu * (1 + nu / (s + k)) / (s + nu) + k * (value + 0.5) / (s * s)
    if steps == 0:
        return value
    left = 2 * nu - k * value
    for step in range(1, steps):
        left = 2 * (nu - step) - k / (k + left) * left
    return left / (k + left)


@njit(error_model="numpy")
def _terms(k: float, nu: float, steps: int, table: Array) -> tuple[float, float, float, float, float, float]:
    """Phi, kappa - Phi, A, 1 - A, A' and the divergence from the uniform law."""
    s = sqrt(k * k + nu * nu)
    wide, high = s + nu, s + k
    first, r, p = k / wide, k / s, nu / s
    t = k * first
    y0 = y1 = y2 = 0.0
    for j in range(table.shape[1] - 1, -1, -1):
        y0 = (y0 + table[0, j]) * p
        y1 = (y1 + table[1, j]) * p
        y2 = (y2 + table[2, j]) * p
    g = y1 + 0.5
    bend = g * r / s
    length = first - bend
    shortfall = nu * (1 + nu / high) / wide + bend
    slope = p / wide + ((r - p) * (r + p) * g + r * r * y2) / (s * s)
    # One less than the product of all 1 + kappa A / (2j), and the logarithm of what was taken out of it.
    product = logarithm = 0.0
    if steps > 0:
        # 2j - kappa (1 - A) and 2j - kappa^2 A' stay positive and accurate for ever.
        left, right = 2 * nu - k * shortfall, 2 * nu - k * k * slope
        for step in range(1, steps + 1):
            x = length * k / (2 * (nu - step + 1))
            product += x + product * x
            if product > _MUCH:
                logarithm, product = logarithm + log1p(product), 0.0
            if step < steps:
                length = k / (k + left)
                left, right = 2 * (nu - step) - length * left, 2 * (nu - step) - length * length * right
        below = k + left
        length, shortfall, slope = k / below, left / below, right / (below * below)
    rest = logarithm + log1p(product) - t / nu * y0
    rest -= nu * log1p(t / (2 * nu)) + 0.5 * log1p(t / nu)
    # kappa - t = nu (t + kappa) / (s + kappa).
    phi, gap = t + rest, nu * (t + k) / high - rest
    divergence = gap - k * shortfall if k > nu else k * length - phi
    return phi, gap, length, shortfall, slope, divergence


@compiled(nogil=True, error_model="numpy")
def bessel_rows(kappa: Array, nu: float, steps: int, table: Array, out: Array) -> None:
    """All terms of the normaliser of the von Mises-Fisher law.

    Parameters
    ----------
    kappa
        Concentrations ``(n,)``.
    nu, steps, table
        The order at which the expansion starts, the steps down from there, and its coefficients.
    out
        Takes the terms, ``(7, n)``.
    """
    for i in range(len(kappa)):
        k = np.float64(kappa[i])
        phi, gap, length, shortfall, slope, divergence = _terms(k, nu, steps, table)
        out[0, i], out[1, i], out[2, i], out[3, i] = phi, gap, length, shortfall
        out[4, i], out[5, i], out[6, i] = slope, divergence, k * slope


@compiled(nogil=True, error_model="numpy")
def divergence_rows(kappa: Array, nu: float, steps: int, table: Array, value: Array, slope: Array) -> None:
    """The divergence ``value (n,)`` from the uniform law, and its ``slope (n,)``; see :func:`bessel_rows`."""
    for i in range(len(kappa)):
        k = np.float64(kappa[i])
        terms = _terms(k, nu, steps, table)
        value[i], slope[i] = terms[5], k * terms[4]


@compiled(nogil=True, error_model="numpy")
def meridian_rows(normal: Array, by_row: bool, pole: Array, side: Array, cosine: Array) -> None:
    """Gaussian vectors, taken apart into their directions beside a pole and their cosines with it.

    Parameters
    ----------
    normal
        Gaussian numbers ``(n * m,)``, row by row or else component by component.
    by_row
        Which of the two.
    pole
        Unit rows ``(k, m)``; row ``i`` of what is made goes with row ``i % k``.
    side
        Takes unit rows orthogonal to the poles, ``(n, m)``.
    cosine
        Takes the cosines between poles and Gaussian vectors, ``(n,)``, independent of the directions.
    """
    n, m = side.shape
    across, down = (m, 1) if by_row else (1, n)
    v = np.empty(m)
    for i in range(n):
        mu = pole[i % len(pole)]
        along = 0.0
        for j in range(m):
            v[j] = normal[i * across + j * down]
            along += v[j] * mu[j]
        if m == 2:
            # Two directions are orthogonal to the pole; which of them, no rounding may leave open.
            beside = v[1] * mu[0] - v[0] * mu[1]
            sign = copysign(1.0, beside)
            side[i, 0], side[i, 1] = -mu[1] * sign, mu[0] * sign
            cosine[i] = along / sqrt(along * along + beside * beside)
            continue
        rest = 0.0
        for j in range(m):
            v[j] -= along * mu[j]
            rest += v[j] * mu[j]
        square = 0.0
        for j in range(m):
            v[j] -= rest * mu[j]
            square += v[j] * v[j]
        inverse = 1 / sqrt(square)
        for j in range(m):
            side[i, j] = v[j] * inverse
        cosine[i] = along / sqrt(along * along + square)


@compiled(nogil=True, error_model="numpy")
def place_rows(pole: Array, depth: Array, side: Array) -> None:
    """Points at depths ``(n,)`` below poles ``(k, m)``, in the place of their directions ``side (n, m)``."""
    n, m = side.shape
    for i in range(n):
        mu, y = pole[i % len(pole)], np.float64(depth[i])
        scale = sqrt(y * (2 - y))
        for j in range(m):
            side[i, j] = (1 - y) * mu[j] + scale * side[i, j]


@compiled(nogil=True, error_model="numpy")
def pull_back_rows(depth: Array, pole: Array, z: Array, grad: Array, in_pole: Array, in_depth: Array) -> None:
    """Gradients in poles and depths from that in points, as :func:`~curvi.distributions._around.pull_back`.

    Parameters
    ----------
    depth, pole, z
        Depths ``(n,)``, poles ``(k, m)`` and points ``(n, m)``.
    grad
        The gradient in the points, ``(n, m)``.
    in_pole, in_depth
        Take the gradients in the pole and the depth of each point, ``(n, m)`` and ``(n,)``.
    """
    n, m = z.shape
    for i in range(n):
        mu, y = pole[i % len(pole)], np.float64(depth[i])
        along = beyond = 0.0
        for j in range(m):
            g = np.float64(grad[i, j])
            along += g * mu[j]
            beyond += g * (np.float64(z[i, j]) - mu[j])
        cosine = 1 - y
        in_depth[i] = (cosine * beyond - y * along) / (y * (2 - y) + 1e-37)
        for j in range(m):
            in_pole[i, j] = cosine * grad[i, j] - along * z[i, j]


@njit(error_model="numpy")
def _limited(kappa: float) -> float:
    return LIMIT if kappa > LIMIT else np.float64(kappa)


@njit(error_model="numpy")
def _envelope(power: bool, m: int, k: float) -> tuple[float, float, float]:
    d = m - 1
    if power:
        return k / (k + d), d / (k + d), k
    b = d / (2 * k + sqrt(4 * k * k + d * d))
    middle = 2 * b / (1 + b)
    return (1 - b) / (1 + b), middle, 2 * k * middle / (1 + b)


@njit(error_model="numpy")
def _propose(power: bool, m: int, envelope: tuple[float, float, float], r: float, u: float) -> tuple[float, bool]:
    """The depth that a coordinate proposes, and whether a uniform number accepts it."""
    gamma, middle, factor = envelope
    shift = gamma * r
    shape = r / (1 + shift)
    gain = factor * (log1p(middle * shape) if power else shape)
    # What is not a number is accepted: it would be drawn again for ever.
    return (1 - r) * middle / (1 + shift), not log1p(-u) > gain + log1p(shift) * (1 - m)


@compiled(nogil=True, error_model="numpy")
def propose_rows(
    power: bool, m: int, eps: float, kappa: Array, cosine: Array, u: Array, depth: Array, left: Array
) -> int:
    """Depths from the coordinates of uniform points where they are accepted.

    Parameters
    ----------
    power
        Whether the law is the power spherical one, or else that of von Mises and Fisher.
    m
        Ambient dimension, not 3.
    eps
        The rounding of the coordinates: a little less than 1 keeps what they are multiplied by positive.
    kappa
        Concentrations ``(k,)``; depth ``i`` goes with that at ``i % k``.
    cosine, u
        First coordinates of uniform points of the sphere, and uniform numbers, ``(n,)``.
    depth
        Takes depths, ``(n,)``.
    left
        Takes the places, of ``(n,)``, at which nothing was accepted.

    Returns
    -------
    How many these are.
    """
    count = 0
    for i in range(len(cosine)):
        envelope = _envelope(power, m, _limited(kappa[i % len(kappa)]))
        y, accepted = _propose(power, m, envelope, cosine[i] * (1 - 2 * eps), np.float64(u[i]))
        depth[i] = y
        if not accepted:
            left[count] = i
            count += 1
    return count


@compiled(nogil=True, error_model="numpy")
def propose_again(power: bool, m: int, eps: float, kappa: Array, u: Array, depth: Array, left: Array) -> int:
    """Depths at the places ``left (l,)`` from uniform numbers ``u (3, tries, l)``; see :func:`propose_rows`."""
    count = 0
    for a in range(len(left)):
        i = left[a]
        envelope = _envelope(power, m, _limited(kappa[i % len(kappa)]))
        accepted = False
        for c in range(u.shape[1]):
            # The polar formula of a coordinate of a uniform point.
            r = cos(2 * pi * u[1, c, a])
            if m > 2:
                r *= sqrt(-expm1(log1p(-np.float64(u[2, c, a])) * (2 / (m - 2))))
            y, accepted = _propose(power, m, envelope, r * (1 - 2 * eps), np.float64(u[0, c, a]))
            if accepted:
                depth[i] = y
                break
        if not accepted:
            left[count] = i
            count += 1
    return count


@compiled(nogil=True, error_model="numpy")
def globe_rows(power: bool, eps: float, kappa: Array, cosine: Array, depth: Array) -> None:
    """Depths on the globe, by inversion; the arguments are those of :func:`propose_rows`."""
    for i in range(len(cosine)):
        k = _limited(kappa[i % len(kappa)])
        u = min(max((1 - np.float64(cosine[i])) / 2, 0.0), 1 - eps / 2)
        if power:
            depth[i] = -2 * expm1(log1p(-u) / (1 + k))
        else:
            k = 1e-30 if k < 1e-30 else k
            y = -log1p(u * expm1(-2 * k)) / k
            depth[i] = 2.0 if y > 2 else y


@compiled(nogil=True, error_model="numpy")
def globe_slope_rows(power: bool, eps: float, kappa: Array, depth: Array, slope: Array) -> None:
    """The slopes of depths on the globe in their concentrations, ``slope (n,)``; see :func:`propose_rows`."""
    limit = eps ** (1 / 3)
    for i in range(len(depth)):
        k = _limited(kappa[i % len(kappa)])
        y: float = np.float64(depth[i])
        if power:
            y = min(y, 2 - 2 * eps)
            slope[i] = (2 - y) * log1p(-y / 2) / (1 + k)
        elif k <= limit:
            slope[i] = y * (y - 2) * (0.5 + k * (y - 1) / 6)
        else:
            slope[i] = (2 * exp(-k * (2 - y)) * expm1(-k * y) / expm1(-2 * k) - y) / k


@njit(error_model="numpy")
def _rise(power: bool, two: float, y: float, delta: float) -> float:
    """By how much the potential grows from ``y`` to ``y + delta``."""
    return -log1p(delta / (y - two)) if power else delta


@njit(error_model="numpy")
def _mode(power: bool, m: int, k: float) -> tuple[float, float]:
    """The depth of the mode in the angle, and the curvature of the log-density there."""
    d = m - 2
    if power:
        return d / (k + d), k + d
    root = sqrt(4 * k * k + d * d)
    peak = (d + root) / 2
    return d * (1 + d / (root + 2 * k)) / (2 * peak), k * (k / peak) + peak


@njit(error_model="numpy")
def _circle_end(power: bool, k: float, angle: float, reach: float) -> float:
    """Up to which angle to integrate on the circle."""
    if power:
        end = angle + reach / sqrt(k / 2 + 1e-30)
        return 0.0 if angle * sqrt(k + 1) < 2.8 else min(end, pi)
    return min(angle + reach / sqrt(k + 1e-30), pi)


@compiled(nogil=True, error_model="numpy")
def slope_rows(
    power: bool,
    m: int,
    eps: float,
    kappa: Array,
    potential: Array,
    nu: float,
    steps: int,
    depth: Array,
    reach: float,
    x: Array,
    w: Array,
    slope: Array,
) -> None:
    """The slopes of depths in their concentrations, by a quadrature on the side away from the mode.

    Parameters
    ----------
    power, m, eps, kappa
        As of :func:`propose_rows`.
    potential
        The means of the potential ``(k,)`` under the power spherical law, else the coefficients of what they are made
        of.
    nu, steps
        The order at which the expansion of that starts, and the steps down from there.
    depth
        Depths ``(n,)``.
    reach
        How many standard deviations the quadrature covers.
    x, w
        Its nodes ``(nodes, 1)`` and weights ``(nodes,)``.
    slope
        Takes the slopes, ``(n,)``.
    """
    two, exponent = 2 + 4 * eps, (m - 3) / 2
    for i in range(len(depth)):
        k = _limited(kappa[i % len(kappa)])
        y: float = np.float64(depth[i])
        # Neither end of the sphere is reached, where the density is 0 or the potential infinite.
        y = 1e-30 if y < 1e-30 else y
        y = 2 - 2 * eps if y > 2 - 2 * eps else y
        angle = 2 * asin(sqrt(y / 2))
        mean = np.float64(potential[i % len(kappa)]) if power else _shortfall(k, nu, steps, potential)
        mean -= _rise(power, two, 0.0, y)
        total = 0.0
        if m == 2:
            # On the circle the density is smooth in the angle only.
            step = _circle_end(power, k, angle, reach) - angle
            for j in range(len(x)):
                half = sin((angle + step * x[j, 0]) / 2)
                rise = _rise(power, two, y, 2 * half * half - y)
                total += w[j] * exp(-k * rise) * (mean - rise)
            slope[i] = total * step * sqrt(y * (2 - y))
            continue
        # How far to go in the angle, by the curvature of the log-density at its mode.
        mode, curvature = _mode(power, m, k)
        width = reach / sqrt(curvature)
        end = min(max(angle + (width if y > mode else -width), 0.0), pi)
        half = sin(end / 2)
        step = 2 * half * half - y
        inverse = 1 / (y * (two - y))
        for j in range(len(x)):
            delta = step * x[j, 0]
            node = delta + y
            rise = _rise(power, two, y, delta)
            total += w[j] * exp(exponent * log((two - node) * node * inverse) - k * rise) * (mean - rise)
        slope[i] = total * step
