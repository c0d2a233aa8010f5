"""Passes over rows, compiled: draws, densities and divergences of wrapped normals, and their gradients.

They are those of ``_carried``, compute in float64, and go through what is repeated along the first axes again and
again: row ``i`` of what is made goes with row ``i % k`` of an argument that has ``k`` rows. What has one number a row
leaves its slopes at once, since the gradient is nothing but a multiple of them.
"""

from __future__ import annotations

from math import asinh, exp, expm1, log, pi, sqrt, tanh
from typing import Any

import numpy as np
from numba import njit

from curvi._compiled import compiled

Array = np.ndarray[Any, Any]

# The least length whose square is a number, and up to where a length has an exponential whose square is one.
_TINY = float(np.finfo(np.float64).tiny) ** 0.5
_MOST = 0.45 * log(float(np.finfo(np.float64).max))
# How many numbers without direction :func:`point_rows` keeps of a row.
SCALARS = 5


@njit(error_model="numpy")
def _log_sinhc(r: float) -> float:
    return r + log(expm1(-2 * r) / (-2 * r))


@njit(error_model="numpy")
def _log_sinhc_slope(r: float) -> float:
    """The slope of log(sinh(r) / r) divided by r; near 0 that at the bound, moved by the second term of its series."""
    far = max(r, 0.005)
    return (1 / tanh(far) - 1 / far) / far + (far * far - r * r) / 45


@compiled(nogil=True, error_model="numpy")
def point_rows(mean: Array, scale: Array, noise: Array, root: float, t: Array, kept: Array) -> None:
    """Tangent coordinates at the origin of the points reached from ``mean`` along ``scale * noise``.

    Parameters
    ----------
    mean, scale
        ``(k, dim)``.
    noise
        ``(n, dim)``.
    root
        The square root of the curvature.
    t
        Takes the coordinates, ``(n, dim)``.
    kept
        Takes what the gradient needs, float64 ``(n, 5 + 3 dim)``: the numbers of a translation (``_translate``).
    """
    n, dim = noise.shape
    for i in range(n):
        j = i % len(mean)
        d, e, w = kept[i, 5 : 5 + dim], kept[i, 5 + dim : 5 + 2 * dim], kept[i, 5 + 2 * dim :]
        a = b = h = spatial = 0.0
        for c in range(dim):
            d[c], e[c] = root * mean[j, c], root * scale[j, c] * noise[i, c]
            a += d[c] * d[c]
            b += e[c] * e[c]
        a, b = max(sqrt(a), _TINY), max(sqrt(b), _TINY)
        for c in range(dim):
            d[c] /= a
            e[c] /= b
            h += 0.5 * (d[c] + e[c]) ** 2
        gap, total = a - b, a + b
        size = abs(gap)
        sinh_gap = exp(size - total) * expm1(-2 * size) * (-0.5 if gap > 0 else 0.5)
        one, sinh_b = expm1(-a), expm1(-2 * b) * -0.5
        along, beside = sinh_gap + h * sinh_b * one * one * 0.5, sinh_b * (one + 1)
        for c in range(dim):
            w[c] = along * d[c] + beside * (d[c] + e[c])
            spatial += w[c] * w[c]
        spatial = max(sqrt(spatial), _TINY)
        if total < _MOST:
            radius = asinh(spatial * exp(total))
        else:
            radius = total + log(spatial + sqrt(spatial * spatial + exp(-2 * total)))
        for c in range(dim):
            w[c] /= spatial
            t[i, c] = w[c] * radius / root
        kept[i, 0], kept[i, 1], kept[i, 2], kept[i, 3], kept[i, 4] = a, b, h, spatial, radius


@compiled(nogil=True, error_model="numpy")
def point_gradient_rows(kept: Array, noise: Array, root: float, grad: Array, in_mean: Array, in_scale: Array) -> float:
    """Adds gradients in mean and scale, ``(k, dim)``, and returns that in the curvature; see :func:`point_rows`."""
    n, dim = noise.shape
    change = 0.0
    for i in range(n):
        j = i % len(in_mean)
        a, b, h, spatial, radius = kept[i, 0], kept[i, 1], kept[i, 2], kept[i, 3], kept[i, 4]
        d, e, direction = kept[i, 5 : 5 + dim], kept[i, 5 + dim : 5 + 2 * dim], kept[i, 5 + 2 * dim :]
        exp_a, exp_b = exp(-a), exp(-b)
        inverse = max(exp_a * exp_b, _TINY)
        # The gradient in w, times exp(a + b): what points along w shrinks by 1 / cosh, across by radius / sinh.
        across, along, g_d, g_u = radius / spatial, 0.0, 0.0, 0.0
        for c in range(dim):
            along += grad[i, c] * direction[c]
        outwards, along = along, along * (1 / sqrt(spatial * spatial + inverse * inverse) - across)
        for c in range(dim):
            g = along * direction[c] + across * grad[i, c]
            g_d += g * d[c]
            g_u += g * (d[c] + e[c])
        # Each divided by exp(a), exp(b) or exp(a + b): cosh a - 1, sinh a, cosh b, sinh b, cosh(a - b).
        square_a, square_b, one = exp_a * exp_a, exp_b * exp_b, -expm1(-a)
        sinh_a, cosh_b, sinh_b = (1 - square_a) * 0.5, (1 + square_b) * 0.5, expm1(-2 * b) * -0.5
        bent, cosh_gap = one * one * 0.5, (square_a + square_b) * 0.5
        turning = sinh_b * bent / a
        moving = (one / a) * (square_b + exp_a) * 0.5 + h * turning
        by_d, by_u = g_d * (cosh_gap + h * (sinh_a * sinh_b - turning) - moving), g_d * turning
        bent *= g_d
        around = sinh_b / b
        by_e = h * bent * cosh_b - g_d * cosh_gap + exp_a * cosh_b * g_u
        by_e -= around * (exp_a * (g_u - g_d) + h * bent)
        in_m = in_v = 0.0
        for c in range(dim):
            g, u = along * direction[c] + across * grad[i, c], d[c] + e[c]
            of_m, of_v = by_d * d[c] + moving * g + by_u * u, by_e * e[c] + around * (exp_a * g + bent * u)
            in_mean[j, c] += of_m
            in_scale[j, c] += of_v * noise[i, c]
            in_m += of_m * d[c]
            in_v += of_v * e[c]
        change += in_m * a + in_v * b - outwards * radius
    return change / (2 * root**3)


@compiled(nogil=True, error_model="numpy")
def divergence_rows(
    t: Array, mean: Array, scale: Array, prior: Array, noise: Array, root: float, value: Array, slopes: Array
) -> None:
    """Estimates of the divergence from a wrapped normal at the origin, ``value (n,)``, and their slopes.

    Parameters
    ----------
    t, noise
        ``(n, dim)``.
    mean, scale, prior
        ``(k, dim)``, each with a ``k`` of its own.
    root
        The square root of the curvature.
    slopes
        Takes those in t, mean, scale, the scale of the prior and the curvature, float64 ``(n, 4 dim + 1)``.
    """
    n, dim = noise.shape
    bend = dim - 1
    for i in range(n):
        m, s, p, y, e, slope = (
            mean[i % len(mean)],
            scale[i % len(scale)],
            prior[i % len(prior)],
            t[i],
            noise[i],
            slopes[i],
        )
        total = far = near = spread = product = 0.0
        ratio = 1.0
        for c in range(dim):
            m_c, s_c, p_c, y_c = np.float64(m[c]), np.float64(s[c]), np.float64(p[c]), np.float64(y[c])
            v_c = s_c * e[c]
            far += y_c * y_c
            near += v_c * v_c
            spread += m_c * m_c + s_c * s_c
            product += m_c * v_c
            by_p = 1 / p_c
            excess = (s_c * s_c + y_c * y_c - v_c * (v_c + 2 * m_c)) * by_p * by_p
            total += 0.5 * excess
            slope[3 * dim + c] = (1 - excess) * by_p
            ratio *= p_c / s_c
            if not 1e-100 < ratio < 1e100:
                # Taken into the sum of logarithms before it overflows.
                total, ratio = total + log(ratio), 1.0
        far, near = root * sqrt(far) + 1e-30, root * sqrt(near) + 1e-30
        weight = bend * root**2 / (0.5 + sqrt(6.25 + root**2 * spread))
        value[i] = total + log(ratio) + bend * (_log_sinhc(far) - _log_sinhc(near)) - weight * product - dim / 2
        out, back = bend * root**2 * _log_sinhc_slope(far), bend * root**2 * _log_sinhc_slope(near)
        for c in range(dim):
            m_c, s_c, e_c, inverse = np.float64(m[c]), np.float64(s[c]), np.float64(e[c]), 1 / (np.float64(p[c]) ** 2)
            slope[c] = (inverse + out) * y[c]
            slope[dim + c] = -(inverse + weight) * s_c * e_c
            slope[2 * dim + c] = (
                s_c * inverse - 1 / s_c - ((inverse + weight) * m_c + (inverse + back) * s_c * e_c) * e_c
            )
        slope[4 * dim] = ((out * far * far - back * near * near) / (2 * root**2) - weight * product) / root**2


@compiled(nogil=True, error_model="numpy")
def density_rows(v: Array, scale: Array, root: float, value: Array, slopes: Array) -> None:
    """Log-densities ``value (n,)`` at tangent vectors at the mean, and their slopes.

    Parameters
    ----------
    v, scale
        ``(k, dim)``, each with a ``k`` of its own, the larger of which is ``n``.
    root
        The square root of the curvature.
    slopes
        Takes those in v, the scale and the curvature, float64 ``(n, 2 dim + 1)``.
    """
    n, dim = len(value), v.shape[1]
    for i in range(n):
        x, s, slope = v[i % len(v)], scale[i % len(scale)], slopes[i]
        total, square = dim * 0.5 * log(2 * pi), 0.0
        for c in range(dim):
            x_c, s_c = np.float64(x[c]), np.float64(s[c])
            relative = x_c / s_c
            total += 0.5 * relative * relative + log(s_c)
            square += x_c * x_c
            slope[dim + c] = (relative * relative - 1) / s_c
        r = root * sqrt(square) + 1e-30
        bend = (dim - 1) * _log_sinhc_slope(r)
        value[i] = -total - (dim - 1) * _log_sinhc(r)
        for c in range(dim):
            x_c, s_c = np.float64(x[c]), np.float64(s[c])
            slope[c] = -(x_c / (s_c * s_c) + bend * root**2 * x_c)
        slope[2 * dim] = -bend * r * r / (2 * root**2)


@compiled(nogil=True, error_model="numpy")
def weighted_rows(grad: Array, slopes: Array, first: int, into: Array) -> None:
    """Adds ``slopes`` times ``grad (n,)`` to rows ``into (k, size)``, from column ``first`` on."""
    for i in range(len(grad)):
        row, g = into[i % len(into)], np.float64(grad[i])
        for c in range(len(row)):
            row[c] += g * slopes[i, first + c]
