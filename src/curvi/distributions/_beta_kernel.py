"""Passes over few rows, compiled: the divergence and the mean potential of the power spherical law, as in ``_beta``."""

from __future__ import annotations

from math import log1p
from typing import Any

import numpy as np
from numba import njit

from curvi._compiled import compiled

Array = np.ndarray[Any, Any]

_SERIES_LIMIT = 0.15


@njit(error_model="numpy")
def _series(p: float, constant: Array, table: Array) -> float:
    """A polynomial in ``p``."""
    value = 0.0
    for j in range(len(table) - 1, -1, -1):
        value = (value + table[j]) * p
    return value + constant[0]


@njit(error_model="numpy")
def _excess(r: float, q: float, tail: int) -> float:
    """log1p(r) - r / (1 + r) for r >= 0 and q = r / (1 + r)."""
    v = q / (2 - q)
    if not v < _SERIES_LIMIT:
        return log1p(r) - q
    square, rest = v * v, 0.0
    for k in range(tail, -1, -1):
        rest = rest * square + 1 / (2 * k + 3)
    return v * (q + 2 * square * rest)


@compiled(nogil=True, error_model="numpy")
def divergence_rows(
    kappa: Array,
    c: float,
    first: float,
    arguments: Array,
    weights: Array,
    constant: Array,
    table: Array,
    tail: int,
    value: Array,
    slope: Array,
) -> None:
    """The divergence from the uniform law and its slope.

    Parameters
    ----------
    kappa
        Concentrations ``(n,)``.
    c, first, arguments, weights, constant, table
        The constants of the ambient dimension.
    tail
        The highest power of the series of log1p(r) - r / (1 + r).
    value, slope
        Take the divergences and their slopes, ``(n,)``.
    """
    rows, second = len(arguments), first + c
    for i in range(len(kappa)):
        k = np.float64(kappa[i])
        plain = scaled = variance = 0.0
        for r in range(rows):
            x = arguments[r, 0]
            inverse = 1 / (x + k)
            excess = _excess(k / x, k * inverse, tail)
            plain += weights[0, r] * excess
            scaled += weights[2, r] * excess
            variance += weights[0, r] * inverse * inverse
        left = 0.0
        for s in range(2):
            x = arguments[rows - 2 + s, 0]
            inverse = 1 / (x + k)
            left += (k * inverse) ** 2 * _series(x * inverse, constant[s, 3], table[s, 3])
            variance += _series(x * inverse, constant[s, 1], table[s, 1])
        one, two = 1 / (arguments[rows - 2, 0] + k), 1 / (arguments[rows - 1, 0] + k)
        # X log1p(kappa / X) at both arguments: against kappa where it is small, against each other where it is large.
        if k < first:
            left += scaled + c * (k * one) * (k * two)
        else:
            left += plain + c * log1p(k / second) + first * log1p(-c / second * (k * one))
        value[i] = left
        slope[i] = k * (variance + c * one * two)


@compiled(nogil=True, error_model="numpy")
def potential_rows(
    kappa: Array, c: float, arguments: Array, weights: Array, constant: Array, table: Array, value: Array
) -> None:
    """The mean potential, ``value (n,)``; see :func:`divergence_rows`."""
    rows = len(arguments)
    for i in range(len(kappa)):
        k = np.float64(kappa[i])
        total = log1p(c / (arguments[rows - 2, 0] + k))
        for r in range(rows):
            total += weights[0, r] / (arguments[r, 0] + k)
        for s in range(2):
            x = arguments[rows - 2 + s, 0]
            total += _series(x / (x + k), constant[s, 0], table[s, 0])
        value[i] = total
