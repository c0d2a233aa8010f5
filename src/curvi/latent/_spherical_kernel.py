"""One pass over raw codes of spherical latent spaces, compiled: mean directions, concentrations and their gradients."""

from __future__ import annotations

from math import exp, log1p, sqrt
from typing import Any

import numpy as np

from curvi._compiled import compiled

Array = np.ndarray[Any, Any]


@compiled(nogil=True, error_model="numpy")
def code_rows(
    raw: Array,
    logarithmic: bool,
    start: float,
    low: float,
    high: float,
    loc: Array,
    concentration: Array,
    by_length: Array,
    slope: Array,
) -> None:
    r"""Directions of the first numbers of raw codes, and concentrations of the last one.

    Parameters
    ----------
    raw
        Raw codes ``(n, m + 1)``.
    logarithmic
        Whether a concentration is :math:`e^{r + s}` with :math:`r + s` within limits, else
        :math:`\mathrm{softplus}(r) + s`, at most the upper limit.
    start
        :math:`s`.
    low, high
        The limits.
    loc
        Takes the directions, unit rows ``(n, m)``; that of zeros is the first axis.
    concentration
        Takes the concentrations, ``(n,)``.
    by_length
        Takes one over the length of each row, 0 for a row of zeros, float64 ``(n,)``.
    slope
        Takes the derivatives of the concentrations, float64 ``(n,)``.
    """
    n, m = loc.shape
    for i in range(n):
        # A direction has no scale: divided by its largest number, a row has no squares that overflow or underflow.
        size = total = square = 0.0
        for j in range(m):
            number = abs(np.float64(raw[i, j]))
            size = number if number > size else size
            total += number
        empty = total == 0
        for j in range(m):
            relative = raw[i, j] / size
            square += relative * relative
        inverse = 1 / sqrt(square)
        by_length[i] = 0.0 if empty else inverse / size
        for j in range(m):
            loc[i, j] = raw[i, j] / size * inverse
        if empty:
            loc[i] = 0
            loc[i, 0] = 1
        r = np.float64(raw[i, m])
        if logarithmic:
            r += start
            value = exp(low if r < low else high if r > high else r)
            concentration[i] = value
            slope[i] = 0.0 if r < low or r > high else value
        else:
            value = (r + log1p(exp(-r)) if r > 0 else log1p(exp(r))) + start
            slope[i] = 0.0 if value > high else 1 / (1 + exp(-r))
            concentration[i] = high if value > high else value


@compiled(nogil=True, error_model="numpy")
def code_gradient_rows(
    loc: Array, by_length: Array, slope: Array, in_loc: Array, in_concentration: Array, in_raw: Array
) -> None:
    """The gradient ``in_raw (n, m + 1)`` from those in directions and concentrations; see :func:`code_rows`."""
    n, m = loc.shape
    for i in range(n):
        along = 0.0
        for j in range(m):
            along += np.float64(in_loc[i, j]) * loc[i, j]
        for j in range(m):
            in_raw[i, j] = (in_loc[i, j] - along * loc[i, j]) * by_length[i]
        in_raw[i, m] = in_concentration[i] * slope[i]
