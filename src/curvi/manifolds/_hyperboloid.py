r"""The hyperboloid of curvature -1 in spatial coordinates: formulas and gradients in which nothing large cancels.

The distance of two points is :math:`2 \operatorname{arsinh} \omega` with a chord of the half sphere on which the points
:math:`(1, x) / x_0` lie, where :math:`x_0 = \sqrt{1 + \lVert x \rVert^2}` is the time:

.. math::
    \omega = \frac{\sqrt{x_0 y_0}}{2} \Big\lVert \frac{(1, x)}{x_0} - \frac{(1, y)}{y_0} \Big\rVert
    = \frac{1}{2} \sqrt{\frac{(x_0 - y_0)^2 + \lVert y_0 x - x_0 y \rVert^2}{x_0 y_0}} .

The first square holds the difference of the radii, the other that of the directions, and is 0 for points on one axis.
"""

from __future__ import annotations

from math import sinh
from typing import Any

import numpy as np
import torch

from curvi.manifolds._kernel import Kernel, Passes, dot, drawn_back, least, length, root, slope_of_r_by_sinh
from curvi.manifolds._radial import farthest
from curvi.manifolds._rows import (
    distance_gradient_rows,
    from_origin_gradient_rows,
    hyperboloid_distance_rows,
    to_hyperboloid_rows,
)


def _time(xp: Any, x: Any) -> Any:
    return xp.sqrt(dot(xp, x, x) + 1)


def _chord(xp: Any, x: Any, y: Any, x0: Any, y0: Any) -> tuple[Any, Any]:
    """Four times the square of the chord, and the gap between the points."""
    gap, late = x * y0 - y * x0, y0 - x0
    return (dot(xp, gap, gap) + late * late) / (x0 * y0), gap


def _dist(xp: Any, dtype: torch.dtype, x: Any, y: Any) -> Any:
    x0, y0 = _time(xp, x), _time(xp, y)
    square, gap = _chord(xp, x, y, x0, y0)
    chord = root(xp, square) * 0.5
    return (xp.arcsinh(chord) * 2,), (x0, y0, chord, gap)


def _dist_backward(xp: Any, x0: Any, y0: Any, chord: Any, gap: Any, g: Any) -> Any:
    g = g * _by_sinh(xp, chord)
    return (g / x0) * gap, (-g / y0) * gap


def _by_sinh(xp: Any, chord: Any) -> Any:
    """1 / sinh(r), and 0 at r = 0, where the gradient of a distance is 0."""
    sinh_r = xp.sqrt(chord * chord + 1) * chord * 2
    return (chord > 0) / xp.where(chord > 0, sinh_r, 1.0)


def _log(xp: Any, dtype: torch.dtype, x: Any, y: Any) -> Any:
    x0, y0 = _time(xp, x), _time(xp, y)
    square, gap = _chord(xp, x, y, x0, y0)
    chord = root(xp, square) * 0.5
    r, cosh_half = xp.arcsinh(chord) * 2, xp.sqrt(square * 0.25 + 1)
    # r / sinh(r) and r tanh(r/2).
    along = xp.where(chord > 0, r / xp.where(chord > 0, 2 * chord * cosh_half, 1.0), 1.0)
    u = along * (y - x) - (r * chord / cosh_half) * x
    u0 = dot(xp, x, u) / x0
    return (u0, u), (x, y, x0, y0, r, chord, gap, along, u0, u)


def _log_backward(xp: Any, *left_and_grads: Any) -> Any:
    x, y, x0, y0, r, chord, gap, along, u0, u, g0, g = left_and_grads
    by_x = 1 / x0
    g = g + (g0 * by_x) * x
    # The derivatives of both factors by sinh(r), which is what the gradient of r lacks.
    cosh_half_2 = 1 + chord * chord
    in_along = slope_of_r_by_sinh(xp, r, 2 * chord * xp.sqrt(cosh_half_2))
    in_back = (1 + along) / (2 * cosh_half_2)
    back = r * chord / xp.sqrt(cosh_half_2)
    a = in_along * (dot(xp, g, y) - dot(xp, g, x)) - in_back * dot(xp, g, x)
    time = g0 * by_x
    in_x = (a * by_x) * gap - (along + back) * g + time * u - (time * u0 * by_x) * x
    return in_x, along * g - (a / y0) * gap


def _exp(xp: Any, dtype: torch.dtype, x: Any, u: Any) -> Any:
    by_x = 1 / _time(xp, x)
    u0 = dot(xp, x, u) * by_x
    time = u0 * by_x
    # <u, u> as a sum of squares.
    beside = u - time * x
    r = root(xp, time * time + dot(xp, beside, beside))
    most = farthest(dtype, torch.float64 if xp is np else x.dtype)
    r = xp.clip(r, least(xp, x), min(3 * most, 350.0))
    cosh_r, sinhc = xp.cosh(r), xp.sinh(r) / r
    y = cosh_r * x + sinhc * u
    size = root(xp, dot(xp, y, y))
    far = xp.clip(sinh(most) / xp.clip(size, 1.0, None), None, 1.0)
    y = far * y
    y0 = _time(xp, y)
    return (y0, y), (x, u, time, beside, r, cosh_r, sinhc, far, y, y0)


def _exp_backward(xp: Any, *left_and_grads: Any) -> Any:
    x, u, time, beside, r, cosh_r, sinhc, far, y, y0, g0, g = left_and_grads
    g = drawn_back(xp, g + (g0 / y0) * y, y, far)
    s = r * r
    series = 1 / 3 + s * (1 / 30 + s * (1 / 840 + s * (1 / 45360 + s * (1 / 3991680 + s * (1 / 518918400)))))
    bend = xp.where(r < 0.5, series, (cosh_r - sinhc) / s)
    a = sinhc * dot(xp, g, x) + bend * dot(xp, g, u)
    return cosh_r * g - (a * time) * beside, sinhc * g + a * beside


def _exp0(xp: Any, dtype: torch.dtype, v: Any) -> Any:
    r = length(xp, v)
    most = farthest(dtype, torch.float64 if xp is np else v.dtype)
    near = xp.clip(r, None, most)
    cosh_r, sinhc = xp.cosh(near), xp.sinh(near) / r
    return (cosh_r, sinhc * v), (v, r, r <= most, cosh_r, sinhc)


def _exp0_backward(xp: Any, v: Any, r: Any, inside: Any, cosh_r: Any, sinhc: Any, g0: Any, g: Any) -> Any:
    # Beyond the last numbers the length is constant.
    change = xp.where(inside, cosh_r, 0.0) - sinhc
    return (sinhc * g + (xp.where(inside, g0 * sinhc, 0.0) + change * (dot(xp, g, v) / r) / r) * v,)


def _transport(xp: Any, dtype: torch.dtype, x: Any, y: Any, u: Any) -> Any:
    x0, y0 = _time(xp, x), _time(xp, y)
    square, gap = _chord(xp, x, y, x0, y0)
    w = u - (dot(xp, u, gap) / (x0 * (2 + square * 0.5))) * (x + y)
    w0 = dot(xp, y, w) / y0
    return (w0, w), (x, y, u, x0, y0, square, gap, w0, w)


def _transport_backward(xp: Any, *left_and_grads: Any) -> Any:
    x, y, u, x0, y0, square, gap, w0, w, g0, g = left_and_grads
    time, middle = g0 / y0, 2 + square * 0.5
    g = g + time * y
    by_middle = 1 / (x0 * middle)
    share = dot(xp, u, gap) * by_middle
    # Gradients in the products, in the gap, and in both times.
    e = dot(xp, g, x + y)
    in_product, in_square = -e * by_middle, 0.5 * e * share / middle
    by_times = 1 / (x0 * y0)
    in_gap = in_product * u + (2 * in_square * by_times) * gap
    late = 2 * in_square * by_times * (y0 - x0)
    in_x0 = (e * share - in_square * square) / x0 - dot(xp, in_gap, y) - late
    in_y0 = dot(xp, in_gap, x) + late - in_square * square / y0
    both = share * g
    in_x = y0 * in_gap + (in_x0 / x0) * x - both
    in_y = ((in_y0 - time * w0) / y0) * y + time * w - x0 * in_gap - both
    return in_x, in_y, g + in_product * gap


DIST = Kernel(
    _dist,
    _dist_backward,
    time=True,
    passes=Passes(hyperboloid_distance_rows, distance_gradient_rows, lambda size: 2 * size + 1),
)
LOG = Kernel(_log, _log_backward, time=True)
EXP0 = Kernel(
    _exp0,
    _exp0_backward,
    passes=Passes(
        to_hyperboloid_rows,
        from_origin_gradient_rows,
        lambda size: size + 5,
        extra=1,
        most=lambda dtype: farthest(dtype, torch.float64),
    ),
)
EXP = Kernel(_exp, _exp_backward, time=True)
TRANSPORT = Kernel(_transport, _transport_backward, time=True)
