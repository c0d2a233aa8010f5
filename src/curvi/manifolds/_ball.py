r"""The ball of curvature -1: formulas and gradients in which nothing large cancels.

They are made of the gaps :math:`A = 1 - \lVert x \rVert^2` and :math:`B = 1 - \lVert y \rVert^2` to the edge and of the
difference :math:`y - x`; the distance is :math:`2 \operatorname{arsinh}(\lVert y - x \rVert / \sqrt{A B})`.
"""

from __future__ import annotations

from typing import Any

import torch

from curvi.manifolds._kernel import Kernel, dot, length, root


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
    gap, by_b = y - x, 1 / (1 - dot(xp, y, y))
    A, size = 1 - dot(xp, x, x), length(xp, gap)
    r = xp.arcsinh(size * xp.sqrt(by_b / A)) * 2
    scale = r / xp.sinh(r) * by_b
    return ((scale * A) * gap - (scale * size * size) * x,), ()


def _exp(xp: Any, dtype: torch.dtype, x: Any, u: Any) -> Any:
    A, size = 1 - dot(xp, x, x), length(xp, u)
    half = size / A
    tanh = xp.tanh(half)
    q = x + (tanh / size) * u
    s = dot(xp, q, q)
    y = (A * q + s * x) / (s + A / xp.cosh(xp.clip(half, None, 300.0)) ** 2)
    return (_inside(xp, dtype, y),), ()


def _inside(xp: Any, dtype: torch.dtype, y: Any) -> Any:
    """Points, drawn back where rounding to ``dtype`` could put them on the edge."""
    return y * xp.clip((1 - 4 * torch.finfo(dtype).eps) / length(xp, y), None, 1.0)


def _transport(xp: Any, dtype: torch.dtype, x: Any, y: Any, u: Any) -> Any:
    A, B, gap = 1 - dot(xp, x, x), 1 - dot(xp, y, y), y - x
    s, eta, xi = dot(xp, gap, gap), dot(xp, gap, u), dot(xp, x, u)
    turn, share = 2 / (A * B + s), B / A
    turn = turn * share
    return (share * u + (turn * (A * eta - s * xi)) * x - (turn * ((1 - A) * eta + (B + s) * xi)) * gap,), ()


DIST = Kernel(_dist, _dist_backward)
LOG = Kernel(_log)
EXP = Kernel(_exp)
TRANSPORT = Kernel(_transport)
