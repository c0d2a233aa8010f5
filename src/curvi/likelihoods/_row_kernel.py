"""One pass over rows of counts, compiled: their log-likelihood under a negative binomial, and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from curvi._compiled import compiled
from curvi.likelihoods._elementary import (
    FLOOR,
    LOG_FACTORIAL,
    NEAR_FLOOR,
    ONE,
    SUMS,
    exp,
    log,
    log1p,
    stirling,
    stirling_slope,
)

# Up to here a quotient of Gamma functions is a product of that many factors.
_SMALL_COUNT = 8


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


@compiled(nogil=True, fastmath=SUMS, error_model="numpy")
def negative_binomial_rows(
    raw: np.ndarray[Any, Any],
    x: np.ndarray[Any, Any],
    size: np.ndarray[Any, Any],
    theta: np.ndarray[Any, Any],
    value: np.ndarray[Any, Any],
    in_raw: np.ndarray[Any, Any],
    in_theta: np.ndarray[Any, Any],
) -> None:
    r"""The log-likelihood of rows of counts whose means are :math:`s_i\, \mathrm{softmax}(r_i)`, and its gradients.

    Parameters
    ----------
    raw
        :math:`r`, float32 ``(m, n_features)``.
    x
        Counts, float32 ``(n, n_features)``; row ``i`` of ``raw`` goes with row ``i % n``.
    size
        :math:`s > 0`, float32 ``(n,)``.
    theta
        Inverse dispersions, float32, ``(1, n_features)``, ``(n, n_features)`` or ``(m, n_features)``.
    value
        Takes the log-likelihoods, float64 ``(m,)``.
    in_raw, in_theta
        Take the gradient of each row's log-likelihood in ``raw`` and in the inverse dispersions of that row, float32
        ``(m, n_features)``.
    """
    n, n_features = x.shape
    share = np.empty(n_features, np.float32)
    present = np.empty(n_features, np.int64)
    for i in range(len(raw)):
        r, counts, t = raw[i], x[i % n], theta[i % len(theta)]
        pull, slope = in_raw[i % len(in_raw)], in_theta[i % len(in_theta)]
        top = r[0]
        for j in range(n_features):
            top = max(top, r[j])
        total = np.float32(0)
        for j in range(n_features):
            e = exp(r[j] - top)
            share[j] = e
            total += e
        scale = size[i % n] / total
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
        n_present = 0
        for j in range(n_features):
            present[n_present] = j
            n_present += 1 if counts[j] > 0 else 0
        log_likelihood = -np.float64(absent)
        for k in range(n_present):
            j = present[k]
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
        for j in range(n_features):
            pull[j] -= share[j] * force
        value[i] = log_likelihood
