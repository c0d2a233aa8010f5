r"""The ball of curvature -1: formulas and gradients in which nothing large cancels.

They are made of the gaps :math:`A = 1 - \lVert x \rVert^2` and :math:`B = 1 - \lVert y \rVert^2` to the edge and of the
difference :math:`y - x`; the distance is :math:`2 \operatorname{arsinh}(\lVert y - x \rVert / \sqrt{A B})`.
"""

from __future__ import annotations

from typing import Any

import torch

from curvi.manifolds._kernel import Kernel, Passes, dot, drawn_back, length, root, slope_of_r_by_sinh
from curvi.manifolds._rows import (
    ball_distance_rows,
    distance_gradient_rows,
    from_origin_gradient_rows,
    to_ball_rows,
)


def _dist(xp: Any, dtype: torch.dtype, x: Any, y: Any) -> Any:
    gap = x - y
    square = dot(xp, gap, gap)
    by_a, by_b = 1 / (1 - dot(xp, x, x)), 1 / (1 - dot(xp, y, y))
    chord = root(xp, square * by_a * by_b)
    return (xp.arcsinh(chord) * 2,), (x, y, gap, square, by_a, by_b, chord)


def _dist_backward(xp: Any, x: Any, y: Any, gap: Any, square: Any, by_a: Any, by_b: Any, chord: Any, g: Any) -> Any:
    # The square of the chord changes by sinh(r) / 2; the gradient of a distance is 0 at r = 0.
    sinh_r = xp.sqrt(chord * chord + 1) * chord * 2
    g = g * (4 * by_a * by_b) * (chord > 0) / xp.where(chord > 0, sinh_r, 1.0)
    outwards = g * square
    g = g * gap
    return g + (outwards * by_a) * x, (outwards * by_b) * y - g


def _log(xp: Any, dtype: torch.dtype, x: Any, y: Any) -> Any:
    gap, A, B = y - x, 1 - dot(xp, x, x), 1 - dot(xp, y, y)
    square = dot(xp, gap, gap)
    chord = root(xp, square / (A * B))
    r, sinh_r = xp.arcsinh(chord) * 2, 2 * chord * xp.sqrt(chord * chord + 1)
    scale = xp.where(chord > 0, r / xp.where(chord > 0, sinh_r, 1.0), 1.0) / B
    return ((scale * A) * gap - (scale * square) * x,), (x, y, gap, A, B, square, r, sinh_r, scale)


def _log_backward(xp: Any, *left_and_grads: Any) -> Any:
    x, y, gap, A, B, square, r, sinh_r, scale, g = left_and_grads
    along, across = dot(xp, g, gap), dot(xp, g, x)
    total = A * along - square * across
    # Gradients in the square of the chord, in the square of the gap, and in the gaps to the edge.
    in_chord = 2 * total / B * slope_of_r_by_sinh(xp, r, sinh_r)
    by_gaps = in_chord / (A * B)
    in_square = by_gaps - scale * across
    in_a, in_b = scale * along - by_gaps * square / A, -(by_gaps * square + total * scale) / B
    v = (scale * A) * g + (2 * in_square) * gap
    return (-2 * in_a) * x - v - (scale * square) * g, v - (2 * in_b) * y


def _exp(xp: Any, dtype: torch.dtype, x: Any, u: Any) -> Any:
    A, size = 1 - dot(xp, x, x), length(xp, u)
    tanh = xp.tanh(size / A)
    share = tanh / size
    q = x + share * u
    square, slope = dot(xp, q, q), 1 / xp.cosh(xp.clip(size / A, None, 300.0)) ** 2
    by_sum = 1 / (square + A * slope)
    y = (A * by_sum) * q + (square * by_sum) * x
    # Drawn back where rounding could put points on the edge.
    far = xp.clip((1 - 4 * torch.finfo(dtype).eps) / length(xp, y), None, 1.0)
    y = far * y
    return (y,), (x, u, A, size, tanh, share, q, square, slope, by_sum, far, y)


def _exp_backward(xp: Any, *left_and_grads: Any) -> Any:
    x, u, A, size, tanh, share, q, square, slope, by_sum, far, y, g = left_and_grads
    g = by_sum * drawn_back(xp, g, y, far)
    e = dot(xp, g, y) / far
    # Gradients in the gap to the edge, in the square of q, and in the slope of the hyperbolic tangent.
    in_a, in_square, in_slope = dot(xp, g, q) - e * slope, dot(xp, g, x) - e, -e * A
    v = A * g + (2 * in_square) * q
    along = dot(xp, v, u)
    in_half = slope * (along / size - 2 * tanh * in_slope)
    in_a = in_a - in_half * size / (A * A)
    radial = along * (slope / A - share) / (size * size) - 2 * tanh * slope * in_slope / (A * size)
    return v + square * g - (2 * in_a) * x, share * v + radial * u


def _exp0(xp: Any, dtype: torch.dtype, v: Any) -> Any:
    r, most = length(xp, v), 1 - 4 * torch.finfo(dtype).eps
    tanh = xp.tanh(0.5 * r)
    share = xp.clip(tanh, None, most) / r
    return (share * v,), (v, r, tanh, tanh <= most, share)


def _exp0_backward(xp: Any, v: Any, r: Any, tanh: Any, inside: Any, share: Any, g: Any) -> Any:
    # Beyond the last numbers the length is constant.
    change = xp.where(inside, (1 - tanh) * (1 + tanh) * 0.5, 0.0) - share
    return (share * g + (change * (dot(xp, g, v) / r) / r) * v,)


def _to_lorentz(xp: Any, dtype: torch.dtype, x: Any) -> Any:
    twice = 2 / (1 - dot(xp, x, x))
    return (twice - 1, twice * x), (x, twice)


def _to_lorentz_backward(xp: Any, x: Any, twice: Any, g0: Any, g: Any) -> Any:
    return (twice * g + (twice * twice * (g0 + dot(xp, g, x))) * x,)


def _transport(xp: Any, dtype: torch.dtype, x: Any, y: Any, u: Any) -> Any:
    A, B, gap = 1 - dot(xp, x, x), 1 - dot(xp, y, y), y - x
    square, eta, xi = dot(xp, gap, gap), dot(xp, gap, u), dot(xp, x, u)
    share = B / A
    turn = 2 * share / (A * B + square)
    on_x, on_gap = A * eta - square * xi, (1 - A) * eta + (B + square) * xi
    made = share * u + (turn * on_x) * x - (turn * on_gap) * gap
    return (made,), (x, y, u, A, B, gap, square, eta, xi, share, turn, on_x, on_gap)


def _transport_backward(xp: Any, *left_and_grads: Any) -> Any:
    x, y, u, A, B, gap, square, eta, xi, share, turn, on_x, on_gap, g = left_and_grads
    of_x, of_gap = dot(xp, g, x), dot(xp, g, gap)
    e = (on_x * of_x - on_gap * of_gap) * turn
    by_sum = 1 / (A * B + square)
    # Gradients in the share, and in the products from which the rotation is made.
    in_share, fading, both = dot(xp, g, u) + e / share, -e * by_sum, turn * (of_x + of_gap)
    in_a = fading * B + both * eta - in_share * share / A
    in_b = fading * A - turn * of_gap * xi + in_share / A
    in_square = fading - both * xi
    in_eta, in_xi = A * both - turn * of_gap, -square * both - turn * of_gap * B
    v = in_eta * u + (2 * in_square) * gap - (turn * on_gap) * g
    in_x = in_xi * u + (turn * on_x) * g - (2 * in_a) * x - v
    return in_x, v - (2 * in_b) * y, share * g + in_eta * gap + in_xi * x


DIST = Kernel(
    _dist,
    _dist_backward,
    passes=Passes(ball_distance_rows, distance_gradient_rows, lambda size: 2 * size + 1),
)
LOG = Kernel(_log, _log_backward)
EXP = Kernel(_exp, _exp_backward)
EXP0 = Kernel(
    _exp0,
    _exp0_backward,
    passes=Passes(
        to_ball_rows,
        from_origin_gradient_rows,
        lambda size: size + 5,
        extra=0,
        most=lambda dtype: 1 - 4 * torch.finfo(dtype).eps,
    ),
)
TO_LORENTZ = Kernel(_to_lorentz, _to_lorentz_backward)
TRANSPORT = Kernel(_transport, _transport_backward)
