r"""The hyperboloid of curvature -1 in spatial coordinates: formulas and gradients in which nothing large cancels.

The distance of two points is :math:`2 \operatorname{arsinh} \omega` with a chord of the half sphere on which the points
:math:`(1, x) / x_0` lie, where :math:`x_0 = \sqrt{1 + \lVert x \rVert^2}` is the time:

.. math::
    \omega = \frac{\sqrt{x_0 y_0}}{2} \Big\lVert \frac{(1, x)}{x_0} - \frac{(1, y)}{y_0} \Big\rVert
    = \frac{1}{2} \sqrt{\frac{(x_0 - y_0)^2}{x_0 y_0} + \frac{x_0}{y_0} \Big\lVert \frac{y_0}{x_0} x - y \Big\rVert^2} .

The first square holds the difference of the radii, the other that of the directions.
"""

from __future__ import annotations

from math import sinh
from typing import TYPE_CHECKING, Any

from curvi.manifolds._kernel import Kernel, dot, least, root
from curvi.manifolds._radial import farthest

if TYPE_CHECKING:
    import torch


def _time(xp: Any, x: Any) -> Any:
    return xp.sqrt(dot(xp, x, x) + 1)


def _chord(xp: Any, x: Any, y: Any, x0: Any, y0: Any) -> tuple[Any, Any, Any]:
    """Four times the square of the chord, the gap between the points, and their share of the times."""
    share = y0 / x0
    gap, late = x * share - y, y0 - x0
    return dot(xp, gap, gap) / share + late * late / (x0 * y0), gap, share


def _dist(xp: Any, dtype: torch.dtype, x: Any, y: Any) -> Any:
    square, gap, share = _chord(xp, x, y, _time(xp, x), _time(xp, y))
    chord = root(xp, square) * 0.5
    return (xp.arcsinh(chord) * 2,), (chord, gap, share)


def _dist_backward(xp: Any, chord: Any, gap: Any, share: Any, g: Any) -> Any:
    g = g * _by_sinh(xp, chord)
    return g * gap, (-g / share) * gap


def _by_sinh(xp: Any, chord: Any) -> Any:
    """1 / sinh(r), and 0 at r = 0, where the gradient of a distance is 0."""
    sinh_r = xp.sqrt(chord * chord + 1) * chord * 2
    return (chord > 0) / xp.where(chord > 0, sinh_r, 1.0)


def _log(xp: Any, dtype: torch.dtype, x: Any, y: Any) -> Any:
    x0, y0 = _time(xp, x), _time(xp, y)
    square, gap, share = _chord(xp, x, y, x0, y0)
    chord = root(xp, square) * 0.5
    r, cosh_half = xp.arcsinh(chord) * 2, xp.sqrt(square * 0.25 + 1)
    # r / sinh(r) and r tanh(r/2).
    along = xp.where(chord > 0, r / xp.where(chord > 0, 2 * chord * cosh_half, 1.0), 1.0)
    u = along * (y - x) - (r * chord / cosh_half) * x
    u0 = dot(xp, x, u) / x0
    return (u0, u), (x, y, x0, r, chord, gap, share, along, u0, u)


def _log_backward(xp: Any, *left_and_grads: Any) -> Any:
    x, y, x0, r, chord, gap, share, along, u0, u, g0, g = left_and_grads
    by_x = 1 / x0
    g = g + (g0 * by_x) * x
    # The derivatives of both factors by sinh(r), which is what the gradient of r lacks.
    small = r < 0.15
    sinh_r = xp.where(small, 1.0, 2 * chord * xp.sqrt(chord * chord + 1))
    s = xp.where(small, r * r, 0.0)
    series = -1 / 3 + s * (2 / 15 - s * (2 / 63 - s * (4 / 675 - s * (2 / 2079))))
    cosh_half_2 = 1 + chord * chord
    in_along = xp.where(small, series, (1 - r * (1 + 2 * chord * chord) / sinh_r) / (sinh_r * sinh_r))
    in_back = (1 + along) / (2 * cosh_half_2)
    back = r * chord / xp.sqrt(cosh_half_2)
    a = in_along * (dot(xp, g, y) - dot(xp, g, x)) - in_back * dot(xp, g, x)
    time = g0 * by_x
    in_x = a * gap - (along + back) * g + time * u - (time * u0 * by_x) * x
    return in_x, along * g - (a / share) * gap


def _exp(xp: Any, dtype: torch.dtype, x: Any, u: Any) -> Any:
    by_x = 1 / _time(xp, x)
    u0 = dot(xp, x, u) * by_x
    time = u0 * by_x
    # <u, u> as a sum of squares.
    beside = u - time * x
    r = root(xp, time * time + dot(xp, beside, beside))
    most = farthest(dtype)
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
    g = far * (g + (g0 / y0) * y)
    s = r * r
    series = 1 / 3 + s * (1 / 30 + s * (1 / 840 + s * (1 / 45360 + s * (1 / 3991680 + s * (1 / 518918400)))))
    bend = xp.where(r < 0.5, series, (cosh_r - sinhc) / s)
    a = sinhc * dot(xp, g, x) + bend * dot(xp, g, u)
    return cosh_r * g - (a * time) * beside, sinhc * g + a * beside


def _transport(xp: Any, dtype: torch.dtype, x: Any, y: Any, u: Any) -> Any:
    x0, y0 = _time(xp, x), _time(xp, y)
    square, gap, _ = _chord(xp, x, y, x0, y0)
    w = u - (dot(xp, u, gap) / (2 + square * 0.5)) * (x + y)
    return (dot(xp, y, w) / y0, w), ()


DIST = Kernel(_dist, _dist_backward, time=True)
LOG = Kernel(_log, _log_backward, time=True)
EXP = Kernel(_exp, _exp_backward, time=True)
TRANSPORT = Kernel(_transport, time=True)
