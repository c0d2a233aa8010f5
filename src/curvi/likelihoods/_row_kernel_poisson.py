"""One pass over rows of counts, compiled: their log-likelihood under Poisson distributions, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from curvi._elementary import FLOOR, NEAR_FLOOR, SUMS, exponentials, log, log_factorial
from curvi._threads import arrays, claim, row_loop
from curvi.likelihoods._row_kernel import COUNTS


@njit(fastmath=SUMS, error_model="numpy")
def _row(r: Any, size: Any, columns: Any, entries: Any, share: Any, pull: Any) -> float:
    """The log-likelihood of a row of counts, given by those above 0; its gradient is written beside."""
    n_features, n_present = len(r), len(columns)
    exponentials(r, share)
    # In double precision, so that the rounding of an exponential moves its mean and the total alike.
    total = 0.0
    for j in range(n_features):
        total += np.float64(share[j])
    scale = np.float64(size) / total
    log_likelihood = -np.float64(size) - n_features * np.float64(FLOOR)
    drawn = 0.0
    for k in range(n_present):
        count = np.float64(entries[k])
        mean = share[np.uint32(columns[k])] * scale + np.float64(FLOOR)
        log_likelihood += count * log(mean) - log_factorial(count)
        # Where the floor is part of the mean, less of the mean moves with the raw map.
        drawn += count if mean >= NEAR_FLOOR else count * (1 - np.float64(FLOOR) / mean)
    force = np.float32(drawn / total)
    for j in range(n_features):
        pull[j] = -share[j] * force
    for k in range(n_present):
        mean = share[np.uint32(columns[k])] * scale + np.float64(FLOOR)
        moved = 1.0 if mean >= NEAR_FLOOR else 1 - np.float64(FLOOR) / mean
        pull[np.uint32(columns[k])] += np.float32(entries[k] * moved)
    return log_likelihood


@njit(error_model="numpy")
def _rows(
    first: int, stop: int, raw: Any, size: Any, value: Any, in_raw: Any, starts: Any, columns: Any, entries: Any
) -> None:
    n, n_features = len(size), raw.shape[1]
    share, pull = np.empty(n_features, np.float32), np.empty(n_features, np.float32)
    for i in range(first, stop):
        begin, end = starts[i % n], starts[i % n + 1]
        if len(in_raw):
            pull = in_raw[i]
        value[i] = _row(raw[i], size[i % n], columns[begin:end], entries[begin:end], share, pull)


_take = arrays("float32 2", "float32 1", "float64 1", "float32 2", *COUNTS)


@row_loop(chunk=4)
def poisson_rows(table: Any) -> None:
    r"""The log-likelihood of rows of counts whose means are :math:`s_i\, \mathrm{softmax}(r_i)`, and its gradient.

    The means of a row have the sum :math:`s_i`, so that all but their exponentials is computed at counts above 0 only.
    The tensors are those of
    :func:`~curvi.likelihoods._row_kernel.negative_binomial_rows` without those of inverse dispersions.
    """
    first, stop = claim(table)
    while first < stop:
        _rows(first, stop, *_take(table))
        first, stop = claim(table)
