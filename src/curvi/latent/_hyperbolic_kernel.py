"""Passes over rows of hyperbolic latent spaces, compiled: codes, coordinates for the decoder, and their gradients."""

from __future__ import annotations

from math import cosh, exp, sinh, sqrt
from typing import Any

import numpy as np

from curvi._compiled import compiled

Array = np.ndarray[Any, Any]

_TINY = float(np.finfo(np.float64).tiny) ** 0.5


@compiled(nogil=True, error_model="numpy")
def code_rows(
    raw: Array, bend: float, limit: float, floor: float, mean: Array, scale: Array, share: Array, slope: Array
) -> None:
    r"""Tangent coordinates of locations, and standard deviations, of raw codes.

    Parameters
    ----------
    raw
        Raw codes ``(n, 2 dim)``, of which the first half is made :math:`1 / \sqrt{1 + b r^2}` times as long.
    bend
        :math:`b`.
    limit, floor
        The greatest log-variance, and what is added to the variance.
    mean, scale
        Take the coordinates and the standard deviations, ``(n, dim)``.
    share
        Takes by how much each location was made shorter, float64 ``(n,)``.
    slope
        Takes the derivatives of the standard deviations, float64 ``(n, dim)``.
    """
    n, dim = mean.shape
    for i in range(n):
        square = 0.0
        for c in range(dim):
            square += np.float64(raw[i, c]) ** 2
        share[i] = 1 / sqrt(1 + bend * square)
        for c in range(dim):
            mean[i, c] = share[i] * raw[i, c]
            r = np.float64(raw[i, dim + c])
            variance = exp(limit if r > limit else r)
            made = sqrt(variance + floor)
            scale[i, c] = made
            slope[i, c] = 0.0 if r > limit else 0.5 * variance / made


@compiled(nogil=True, error_model="numpy")
def code_gradient_rows(
    mean: Array, share: Array, slope: Array, bend: float, in_mean: Array, in_scale: Array, in_raw: Array
) -> float:
    """The gradient ``in_raw (n, 2 dim)`` from those in both, and that in :math:`b`; see :func:`code_rows`."""
    n, dim = mean.shape
    total = 0.0
    for i in range(n):
        along = square = 0.0
        for c in range(dim):
            m = np.float64(mean[i, c])
            along += m * in_mean[i, c]
            square += m * m
        total -= 0.5 * along * square
        for c in range(dim):
            in_raw[i, c] = share[i] * (in_mean[i, c] - bend * along * mean[i, c])
            in_raw[i, dim + c] = in_scale[i, c] * slope[i, c]
    return total


@compiled(nogil=True, error_model="numpy")
def height_rows(t: Array, planes: Array, root: float, most: float, points: Array, heights: Array) -> None:
    """Products of points of the hyperboloid of curvature -1 with the normal vectors of hyperplanes.

    Parameters
    ----------
    t
        Tangent coordinates of the points at the origin, ``(n, dim)``.
    planes
        The normal vectors, ``(h, dim + 1)``.
    root
        The square root of the curvature, by which the coordinates are multiplied.
    most
        How far from the origin there are numbers for points.
    points
        Takes the points, ``(n, dim + 1)``.
    heights
        Takes the products, ``(n, h)``.
    """
    n, size = points.shape
    columns = np.ascontiguousarray(planes.T)
    for i in range(n):
        square = 0.0
        for c in range(size - 1):
            square += (root * t[i, c]) ** 2
        r = max(sqrt(square), _TINY)
        near = min(r, most)
        points[i, 0] = cosh(near)
        for c in range(size - 1):
            points[i, 1 + c] = root * t[i, c] * sinh(near) / r
        row = heights[i]
        row[:] = 0
        for c in range(size):
            x = points[i, c]
            for j in range(len(row)):
                row[j] += x * columns[c, j]


@compiled(nogil=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"})
def height_gradient_rows(
    t: Array, planes: Array, root: float, most: float, points: Array, heights: Array, grad: Array, in_t: Array
) -> tuple[Array, float]:
    """Gradients from that in coordinates ``grad (n, dim + h)``, of which the last are arsinh of the heights by root.

    That in ``t`` is written to ``in_t (n, dim)``; what is returned are that in the normal vectors, ``(dim + 1, h)``,
    and the sum of the products of ``t`` with the part of its gradient that comes from heights.
    """
    n, size = points.shape
    dim, own = size - 1, points.dtype.type
    columns = np.ascontiguousarray(planes.T)
    in_columns, by_height, in_point = np.zeros_like(columns), np.empty(heights.shape[1], heights.dtype), np.empty(size)
    total = 0.0
    for i in range(n):
        for j in range(len(by_height)):
            x = heights[i, j]
            by_height[j] = grad[i, dim + j] / np.sqrt(own(1) + x * x)
        # Matrix products in the numbers of the rows themselves.
        for c in range(size):
            along, x = own(0), own(points[i, c] / root)
            column, in_column = columns[c], in_columns[c]
            for j in range(len(by_height)):
                along += by_height[j] * column[j]
                in_column[j] += by_height[j] * x
            in_point[c] = along
        square = along = 0.0
        for c in range(dim):
            square += (root * t[i, c]) ** 2
            along += root * t[i, c] * in_point[1 + c]
        r = max(sqrt(square), _TINY)
        near = min(r, most)
        inside, share = r <= most, sinh(near) / r
        outwards = ((cosh(near) if inside else 0.0) - share) * (along / r) / r
        outwards += in_point[0] * share if inside else 0.0
        for c in range(dim):
            of_height = share * in_point[1 + c] + outwards * root * t[i, c]
            in_t[i, c] = grad[i, c] + of_height
            total += of_height * t[i, c]
    return in_columns, total
