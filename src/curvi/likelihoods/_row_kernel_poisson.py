"""One pass over rows of counts, compiled: their log-likelihood under Poisson distributions, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from curvi._compiled import compiled
from curvi.likelihoods._elementary import FLOOR, NEAR_FLOOR, SUMS, exp, larger, log, log_factorial


@compiled(nogil=True, fastmath=SUMS, error_model="numpy")
def poisson_rows(
    first: int,
    stop: int,
    raw: np.ndarray[Any, Any],
    x: np.ndarray[Any, Any],
    size: np.ndarray[Any, Any],
    value: np.ndarray[Any, Any],
    in_raw: np.ndarray[Any, Any],
) -> None:
    r"""The log-likelihood of rows of counts whose means are :math:`s_i\, \mathrm{softmax}(r_i)`, and its gradient.

    The means of a row have the sum :math:`s_i`, and the logarithm of a mean is a difference of raw numbers, so that all
    but the total of the exponentials is computed at counts above 0 only.

    Parameters
    ----------
    first, stop
        The rows of ``raw`` to go through.
    raw
        :math:`r`, float32 ``(m, n_features)``.
    x
        Counts, float32 ``(n, n_features)``; row ``i`` of ``raw`` goes with row ``i % n``.
    size
        :math:`s > 0`, float32 ``(n,)``.
    value
        Takes the log-likelihoods, float64 ``(m,)``.
    in_raw
        Takes the gradient of each row's log-likelihood in ``raw``, float32 ``(m, n_features)``; or has no rows.
    """
    n, n_features = x.shape
    share = np.empty(n_features, np.float32)
    present = np.empty(n_features, np.int64)
    for i in range(first, stop):
        r, counts = raw[i], x[i % n]
        top = r[0]
        for j in range(n_features):
            top = larger(top, r[j])
        for j in range(n_features):
            share[j] = exp(r[j] - top)
        n_present = 0
        for j in range(n_features):
            present[n_present] = j
            n_present += 1 if counts[j] > 0 else 0
        # In double precision, so that the rounding of an exponential moves its mean and the total alike.
        total = 0.0
        for j in range(n_features):
            total += np.float64(share[j])
        scale = np.float64(size[i % n]) / total
        log_likelihood = -np.float64(size[i % n]) - n_features * np.float64(FLOOR)
        drawn = 0.0
        lowest = np.float64(NEAR_FLOOR)
        for k in range(n_present):
            j = present[k]
            count = np.float64(counts[j])
            mean = share[j] * scale + np.float64(FLOOR)
            log_likelihood += count * log(mean) - log_factorial(count)
            drawn += count
            lowest = min(lowest, mean)
        value[i] = log_likelihood
        if not len(in_raw):
            continue
        pull = in_raw[i]
        if lowest < NEAR_FLOOR:
            # Where the floor is part of the mean, less of the mean moves with the raw map.
            for k in range(n_present):
                j = present[k]
                drawn -= counts[j] * (np.float64(FLOOR) / (share[j] * scale + np.float64(FLOOR)))
        force = np.float32(drawn / total)
        for j in range(n_features):
            pull[j] = counts[j] - share[j] * force
        if lowest < NEAR_FLOOR:
            for k in range(n_present):
                j = present[k]
                pull[j] -= counts[j] * np.float32(np.float64(FLOOR) / (share[j] * scale + np.float64(FLOOR)))
