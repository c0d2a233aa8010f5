"""Passes over rows, compiled: maps from the origin, distances and angles, and their gradients.

They do what the formulas on arrays do, in float64 whatever the rows have, and without making an array for each
operation. Row ``i`` of what is made goes with row ``i % k`` of an argument that has ``k`` rows.
"""

from __future__ import annotations

from math import asinh, atan2, cosh, sinh, sqrt, tanh
from typing import Any

import numpy as np

from curvi._compiled import compiled

Array = np.ndarray[Any, Any]

# The least length whose square is a number.
_TINY = float(np.finfo(np.float64).tiny) ** 0.5


@compiled(nogil=True, error_model="numpy")
def to_hyperboloid_rows(root: float, most: float, v: Array, y: Array, kept: Array) -> None:
    """Points of the hyperboloid with tangent coordinates ``v`` at the origin.

    Parameters
    ----------
    root
        The square root of the curvature.
    most
        How far from the origin, in units of the radius of curvature, there are numbers for points.
    v
        ``(n, dim)``.
    y
        Takes the points, ``(n, dim + 1)``.
    kept
        Takes what the gradient needs, float64 ``(n, dim + 5)``.
    """
    n, dim = v.shape
    for i in range(n):
        square = 0.0
        for c in range(dim):
            kept[i, 5 + c] = root * v[i, c]
            square += kept[i, 5 + c] ** 2
        r = max(sqrt(square), _TINY)
        near = min(r, most)
        time, share = cosh(near), sinh(near) / r
        # Beyond the last numbers the length is constant.
        inside = r <= most
        kept[i, 0], kept[i, 1], kept[i, 2] = r, share, (time if inside else 0.0) - share
        kept[i, 3], kept[i, 4] = time, share if inside else 0.0
        y[i, 0] = time / root
        for c in range(dim):
            y[i, 1 + c] = share * v[i, c]


@compiled(nogil=True, error_model="numpy")
def to_ball_rows(root: float, most: float, v: Array, y: Array, kept: Array) -> None:
    """Points of the ball, ``y (n, dim)``, no longer than ``most``; else as :func:`to_hyperboloid_rows`."""
    n, dim = v.shape
    for i in range(n):
        square = 0.0
        for c in range(dim):
            kept[i, 5 + c] = root * v[i, c]
            square += kept[i, 5 + c] ** 2
        r = max(sqrt(square), _TINY)
        half = tanh(0.5 * r)
        share = min(half, most) / r
        slope = (1 - half) * (1 + half) * 0.5 if half <= most else 0.0
        kept[i, 0], kept[i, 1], kept[i, 2], kept[i, 3], kept[i, 4] = r, share, slope - share, 0.0, 0.0
        for c in range(dim):
            y[i, c] = share * v[i, c]


@compiled(nogil=True, error_model="numpy")
def from_origin_gradient_rows(root: float, kept: Array, grad: Array, in_v: Array) -> float:
    """The gradient ``in_v (n, dim)`` from that in the points, and that in the curvature; see above."""
    n, dim = in_v.shape
    first = grad.shape[1] - dim
    total = 0.0
    for i in range(n):
        r, share, bend, time, slope = kept[i, 0], kept[i, 1], kept[i, 2], kept[i, 3], kept[i, 4]
        v = kept[i, 5:]
        in_time = np.float64(grad[i, 0]) if first else 0.0
        along = 0.0
        for c in range(dim):
            along += grad[i, first + c] * v[c]
        outwards = in_time * slope + bend * (along / r) / r
        total -= in_time * time
        for c in range(dim):
            in_v[i, c] = share * grad[i, first + c] + outwards * v[c]
            total += outwards * v[c] * v[c]
    return total / (2 * root**3)


@compiled(nogil=True, error_model="numpy")
def hyperboloid_distance_rows(root: float, most: float, x: Array, y: Array, distance: Array, slopes: Array) -> None:
    """Distances of points of the hyperboloid.

    Parameters
    ----------
    root
        The square root of the curvature.
    most
        Not used.
    x, y
        Points ``(k, dim + 1)``, each with a ``k`` of its own, the larger of which is ``n``.
    distance
        Takes the distances, ``(n,)``.
    slopes
        Takes those in both points and in the curvature, float64 ``(n, 2 (dim + 1) + 1)``.
    """
    size = x.shape[1]
    for i in range(len(distance)):
        a, b, slope = x[i % len(x)], y[i % len(y)], slopes[i]
        of_a = of_b = 0.0
        for c in range(1, size):
            of_a += (root * a[c]) ** 2
            of_b += (root * b[c]) ** 2
        a0, b0 = sqrt(of_a + 1), sqrt(of_b + 1)
        square = (b0 - a0) ** 2
        for c in range(1, size):
            slope[c] = root * a[c] * b0 - root * b[c] * a0
            square += slope[c] ** 2
        chord = 0.5 * sqrt(square / (a0 * b0))
        distance[i] = 2 * asinh(chord) / root
        by_sinh = 1 / (sqrt(chord * chord + 1) * chord * 2) if chord > 0 else 0.0
        slope[0] = slope[size] = 0.0
        change = -2 * asinh(chord) / root
        for c in range(1, size):
            gap = slope[c] * by_sinh
            slope[c], slope[size + c] = gap / a0, -gap / b0
            change += slope[c] * a[c] + slope[size + c] * b[c]
        slope[2 * size] = change / (2 * root * root)


@compiled(nogil=True, error_model="numpy")
def ball_distance_rows(root: float, most: float, x: Array, y: Array, distance: Array, slopes: Array) -> None:
    """Distances of points ``(k, dim)`` of the ball; else as :func:`hyperboloid_distance_rows`."""
    size = x.shape[1]
    for i in range(len(distance)):
        a, b, slope = x[i % len(x)], y[i % len(y)], slopes[i]
        square, by_a, by_b = 0.0, 1.0, 1.0
        for c in range(size):
            a_c, b_c = root * a[c], root * b[c]
            square += (a_c - b_c) ** 2
            by_a -= a_c * a_c
            by_b -= b_c * b_c
        by_a, by_b = 1 / by_a, 1 / by_b
        chord = sqrt(square * by_a * by_b)
        distance[i] = 2 * asinh(chord) / root
        factor = 4 * by_a * by_b / (sqrt(chord * chord + 1) * chord * 2) if chord > 0 else 0.0
        change = -2 * asinh(chord) / root
        for c in range(size):
            a_c, b_c = root * a[c], root * b[c]
            slope[c] = factor * (a_c - b_c + square * by_a * a_c)
            slope[size + c] = factor * (b_c - a_c + square * by_b * b_c)
            change += slope[c] * a[c] + slope[size + c] * b[c]
        slope[2 * size] = change / (2 * root * root)


@compiled(nogil=True, error_model="numpy")
def angle_rows(root: float, most: float, x: Array, y: Array, angle: Array, slopes: Array) -> None:
    """Angles of unit rows ``(k, m)`` whatever the curvature; else as :func:`hyperboloid_distance_rows`."""
    size = x.shape[1]
    for i in range(len(angle)):
        a, b, slope = x[i % len(x)], y[i % len(y)], slopes[i]
        near = far = 0.0
        for c in range(size):
            a_c, b_c = np.float64(a[c]), np.float64(b[c])
            near += (a_c - b_c) ** 2
            far += (a_c + b_c) ** 2
        total = near + far
        near, far = sqrt(near), sqrt(far)
        angle[i] = 2 * atan2(near, far)
        by_near = 2 * far / (near * total) if near > 0 else 0.0
        by_far = 2 * near / (far * total) if far > 0 else 0.0
        for c in range(size):
            gap, middle = by_near * (np.float64(a[c]) - b[c]), by_far * (np.float64(a[c]) + b[c])
            slope[c], slope[size + c] = gap - middle, -gap - middle
        slope[2 * size] = 0.0


@compiled(nogil=True, error_model="numpy")
def distance_gradient_rows(root: float, slopes: Array, grad: Array, in_x: Array, in_y: Array) -> float:
    """Adds gradients in both points, ``(k, size)``, and returns that in the curvature; see above."""
    size = in_x.shape[1]
    total = 0.0
    for i in range(len(grad)):
        p, q, slope, g = in_x[i % len(in_x)], in_y[i % len(in_y)], slopes[i], np.float64(grad[i])
        for c in range(size):
            p[c] += g * slope[c]
            q[c] += g * slope[size + c]
        total += g * slope[2 * size]
    return total
