"""One pass over rows of counts, compiled: their log-likelihood under a negative binomial, and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from curvi._elementary import (
    FLOOR,
    NEAR_FLOOR,
    ONE,
    SUMS,
    clear,
    exponentials,
    log,
    log1p,
    put,
    stirling,
    stirling_slope,
)
from curvi._threads import arrays, claim, row_loop

# The counts above 0 by rows: starts, columns and values.
COUNTS = ("int32 1", "int32 1", "float32 1")
# Numbers of a feature that counts above 0 are worked out with.
N_WORK = 5
# Up to here a quotient of Gamma functions is a product of that many factors.
_SMALL_COUNT = 8


# The pass with extra zeros contains what follows too: after a change of it, touch that file as well.
@njit(fastmath=SUMS, error_model="numpy")
def _shares(n: int, mean: Any, theta: Any, never: Any) -> None:
    """Means become their share of ``mean + theta``; ``theta log(1 + mean / theta)`` goes to ``never``."""
    for k in range(n):
        total = mean[k] + theta[k]
        both = 1.0 / (total * theta[k])
        # log(1 + u): what the sum lost of u matters where u is small.
        u = mean[k] * total * both
        w = 1.0 + u
        never[k] = theta[k] * (log(w) + (u - (w - 1.0)) * (theta[k] * theta[k] * both))
        mean[k] = mean[k] * theta[k] * both


@njit(fastmath=SUMS, error_model="numpy")
def _factors(n: int, count: Any, share: Any, theta: Any, slope: Any) -> None:
    """The factors of ``Gamma(x + theta) / Gamma(theta)`` for each count ``x``, the first :data:`_SMALL_COUNT` of them.

    ``theta`` becomes their product and ``share`` theirs times ``share ** x / x!``; ``slope`` takes the derivative of
    the logarithm of the product.
    """
    for k in range(n):
        product, slant, scaled = theta[k], 1.0, theta[k] * share[k]
        for i in range(1, _SMALL_COUNT):
            factor = theta[k] + i
            more = count[k] > i
            slant = slant * factor + product if more else slant
            product = product * factor if more else product
            scaled = scaled * (factor * share[k] * (1.0 / (i + 1))) if more else scaled
        slope[k] = slant / product
        theta[k] = product
        share[k] = scaled


@njit(fastmath=SUMS, error_model="numpy")
def _logs(n: int, drawn: Any, never: Any) -> None:
    for k in range(n):
        drawn[k] = log(drawn[k]) - never[k]


@njit(error_model="numpy")
def _larger(x: float, mean: float, theta: float, never: float, product: float) -> tuple[float, float]:
    """A count above :data:`_SMALL_COUNT`: its log-probability, and its digamma function less that of the last factor.

    ``never`` and ``product`` are as :func:`_shares` and :func:`_factors` make them.
    """
    upper, lower = x + theta, _SMALL_COUNT + theta
    value = log(product) + stirling(upper) - stirling(lower) - stirling(x + 1.0)
    return value + x * log(mean / (mean + theta)) - never, stirling_slope(upper) - stirling_slope(lower)


@njit(fastmath=SUMS, error_model="numpy")
def settled(
    counts: Any,
    present: Any,
    t: Any,
    share: Any,
    scale: Any,
    total: Any,
    force: Any,
    pull: Any,
    slope: Any,
    work: Any,
) -> float:
    """The log-probability of the counts above 0 of a row; its gradients are completed, the softmax's part included.

    ``work`` is float64, ``(N_WORK, n_features)``. The loops are many, so that each writes to few arrays: only then are
    several counts done at a time.
    """
    n = len(present)
    count, mean_of, theta_of, never, rise = work[0], work[1], work[2], work[3], work[4]
    for k in range(n):
        j = np.uint32(present[k])
        mean = share[j] * scale + FLOOR
        if mean < NEAR_FLOOR:
            # Where the floor is part of the mean, less of the mean moves with the raw map.
            fixed = pull[j] * (FLOOR / mean)
            pull[j] -= fixed
            force -= fixed
        count[k], mean_of[k], theta_of[k] = counts[j], mean, t[j]
    _shares(n, mean_of, theta_of, never)
    _factors(n, count, mean_of, theta_of, rise)
    _logs(n, mean_of, never)
    log_likelihood = 0.0
    for k in range(n):
        j, x, value = np.uint32(present[k]), count[k], mean_of[k]
        if x > _SMALL_COUNT:
            mean = np.float64(share[j] * scale + FLOOR)
            value, more = _larger(x, mean, np.float64(t[j]), never[k], theta_of[k])
            rise[k] += more
        log_likelihood += value
        slope[j] += np.float32(rise[k])
    force /= total
    for i in range(len(pull)):
        pull[i] -= share[i] * force
    return log_likelihood


@njit(fastmath=SUMS, error_model="numpy")
def _row(r: Any, size: Any, t: Any, counts: Any, present: Any, share: Any, pull: Any, slope: Any, work: Any) -> float:
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
    return settled(counts, present, t, share, scale, total, force, pull, slope, work) - np.float64(absent)


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
    work = np.empty((N_WORK, n_features))
    for i in range(first, stop):
        begin, end = starts[i % n], starts[i % n + 1]
        present = columns[begin:end]
        put(entries[begin:end], present, counts)
        if len(in_raw):
            pull, slope = in_raw[i], in_theta[i]
        value[i] = _row(raw[i], size[i % n], theta[i % len(theta)], counts, present, share, pull, slope, work)
        clear(present, counts)


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
