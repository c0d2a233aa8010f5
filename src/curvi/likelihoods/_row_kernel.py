"""One pass over rows of counts, compiled: their log-likelihood under a negative binomial, and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from curvi._threads import arrays, claim, row_loop
from curvi.likelihoods._elementary import (
    FLOOR,
    LOG_FACTORIAL,
    NEAR_FLOOR,
    ONE,
    SUMS,
    exponentials,
    log,
    log1p,
    stirling,
    stirling_slope,
)

# The counts above 0 by rows: starts, columns and values.
COUNTS = ("int32 1", "int32 1", "float32 1")
# Up to here a quotient of Gamma functions is a product of that many factors.
_SMALL_COUNT = 8


# The pass with extra zeros contains it too: after a change of it, touch that file as well.
@njit(error_model="numpy")
def counted(x: float, mean: float, theta: float) -> tuple[float, float]:
    """A count above 0: its log-probability and ``digamma(x + theta) - digamma(theta)``."""
    total = mean + theta
    share = mean / total
    # log(1 + u): what the sum lost of u matters where u is small.
    u = mean / theta
    w = 1.0 + u
    never = theta * (log(w) + (u - (w - 1.0)) / w)
    product, slope = theta, 1.0
    if x <= _SMALL_COUNT:
        # The factors of Gamma(x + theta) / Gamma(theta), each with one of share ** x.
        n = int(x)
        scaled = theta * share
        for k in range(1, n):
            factor = theta + k
            slope = slope * factor + product
            product *= factor
            scaled *= factor * share
        return log(scaled) - LOG_FACTORIAL[n] - never, slope / product
    for k in range(1, 8):
        factor = theta + k
        slope = slope * factor + product
        product *= factor
    upper, lower = x + theta, 8.0 + theta
    value = log(product) + stirling(upper) - stirling(lower) - stirling(x + 1.0)
    return value + x * log(share) - never, slope / product + stirling_slope(upper) - stirling_slope(lower)


@njit(fastmath=SUMS, error_model="numpy")
def settled(
    counts: Any, present: Any, t: Any, share: Any, scale: Any, total: Any, force: Any, pull: Any, slope: Any
) -> float:
    """The log-probability of the counts above 0 of a row; its gradients are completed, the softmax's part included."""
    log_likelihood = 0.0
    for j in present:
        mean = share[j] * scale + FLOOR
        if mean < NEAR_FLOOR:
            # Where the floor is part of the mean, less of the mean moves with the raw map.
            fixed = pull[j] * (FLOOR / mean)
            pull[j] -= fixed
            force -= fixed
        term, rise = counted(np.float64(counts[j]), np.float64(mean), np.float64(t[j]))
        log_likelihood += term
        slope[j] += np.float32(rise)
    force /= total
    for j in range(len(pull)):
        pull[j] -= share[j] * force
    return log_likelihood


@njit(fastmath=SUMS, error_model="numpy")
def _row(r: Any, size: Any, t: Any, counts: Any, present: Any, share: Any, pull: Any, slope: Any) -> float:
    """The log-likelihood of a row of counts, of which ``present`` are above 0; its gradients are written beside."""
    n_features = len(r)
    total = exponentials(r, share)
    scale = size / total
    absent = np.float32(0)
    force = np.float32(0)
    for j in range(n_features):
        mean = share[j] * scale + FLOOR
        inverse = ONE / t[j]
        ratio = mean * inverse
        one_more = ONE + ratio
        rest = ONE / one_more
        log_total = log1p(ratio, one_more, rest)
        gap = (counts[j] - mean) * rest
        absent += t[j] * log_total if counts[j] == 0 else np.float32(0)
        slope[j] = -gap * inverse - log_total
        force += gap
        pull[j] = gap
    return settled(counts, present, t, share, scale, total, force, pull, slope) - np.float64(absent)


@njit(error_model="numpy")
def _rows(
    first: int,
    stop: int,
    raw: Any,
    size: Any,
    theta: Any,
    value: Any,
    in_raw: Any,
    in_theta: Any,
    starts: Any,
    columns: Any,
    entries: Any,
) -> None:
    n, n_features = len(size), raw.shape[1]
    share, counts = np.empty(n_features, np.float32), np.zeros(n_features, np.float32)
    pull, slope = np.empty(n_features, np.float32), np.empty(n_features, np.float32)
    for i in range(first, stop):
        begin, end = starts[i % n], starts[i % n + 1]
        present = columns[begin:end]
        counts[present] = entries[begin:end]
        if len(in_raw):
            pull, slope = in_raw[i], in_theta[i]
        value[i] = _row(raw[i], size[i % n], theta[i % len(theta)], counts, present, share, pull, slope)
        counts[present] = 0


_take = arrays("float32 2", "float32 1", "float32 2", "float64 1", "float32 2", "float32 2", *COUNTS)


@row_loop(chunk=4)
def negative_binomial_rows(table: Any) -> None:
    r"""The log-likelihood of rows of counts whose means are :math:`s_i\, \mathrm{softmax}(r_i)`, and its gradients.

    Of ``m`` rows, row ``i`` of the maps goes with row ``i % n`` of the counts. The tensors:

    1. :math:`r`, float32 ``(m, n_features)``;
    2. :math:`s > 0`, float32 ``(n,)``;
    3. inverse dispersions, float32, ``(1, n_features)``, ``(n, n_features)`` or ``(m, n_features)``;
    4. takes the log-likelihoods, float64 ``(m,)``;
    5. and 6. take the gradient of each row's log-likelihood in :math:`r` and in the inverse dispersions of that row,
       float32 ``(m, n_features)``, or ``(0, n_features)`` where they are not wanted;
    7. to 9. the counts above 0 by rows, their starts, columns and values, int32, int32 and float32.
    """
    first, stop = claim(table)
    while first < stop:
        _rows(first, stop, *_take(table))
        first, stop = claim(table)
