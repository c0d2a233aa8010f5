"""One pass over rows of values from 0 to 1, compiled: their log-likelihood under Bernoulli logits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from curvi._elementary import ONE, SUMS, exp, values_of
from curvi._threads import arrays, claim, row_loop

_TWO = np.float32(2)
# Of log((1 + s) / (1 - s)) / s by the square of s, up to an s of 1 / 3.
_C1, _C2, _C3 = np.float32(0.66666679), np.float32(0.39998711), np.float32(0.28620207)
_C4, _C5 = np.float32(0.21398561), np.float32(0.24393908)


@njit(fastmath=SUMS, error_model="numpy")
def _row(r: Any, x: Any, pull: Any) -> Any:
    """The log-likelihood of a row of values; its gradient is written beside.

    Nothing cancels: probable values keep their relative precision.
    """
    value = np.float32(0)
    for j in range(len(r)):
        e = exp(-abs(r[j]))
        one_more, two_more = ONE + e, _TWO + e
        inverse = ONE / (one_more * two_more)
        # log(1 + e), by s = e / (2 + e).
        s = e * (one_more * inverse)
        z = s * s
        log_total = s * (_TWO + z * (_C1 + z * (_C2 + z * (_C3 + z * (_C4 + z * _C5)))))
        # From the value that the logit points to, and the probability of the other one.
        gap = x[j] - ONE if r[j] > 0 else x[j]
        other = e * (two_more * inverse)
        value += gap * r[j] - log_total
        pull[j] = gap + other if r[j] > 0 else gap - other
    return value


@njit(error_model="numpy")
def _rows(
    first: int, stop: int, raw: Any, value: Any, in_raw: Any, dense: Any, starts: Any, columns: Any, entries: Any
) -> None:
    n_features = raw.shape[1]
    spare, pull = np.empty(n_features, np.float32), np.empty(n_features, np.float32)
    for i in range(first, stop):
        if len(in_raw):
            pull = in_raw[i]
        value[i] = _row(raw[i], values_of(i, dense, starts, columns, entries, spare), pull)


_take = arrays("float32 2", "float32 1", "float32 2", "float32 2", "int32 1", "int32 1", "float32 1")


@row_loop(chunk=4)
def bernoulli_rows(table: Any) -> None:
    """For :func:`curvi.likelihoods._unit_pass.unit_log_likelihood`, which says what the tensors are."""
    first, stop = claim(table)
    while first < stop:
        _rows(first, stop, *_take(table))
        first, stop = claim(table)
