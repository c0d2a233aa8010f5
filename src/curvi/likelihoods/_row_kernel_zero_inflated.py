"""One pass over rows of counts, compiled: a negative binomial with extra zeros, and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from curvi._elementary import FLOOR, ONE, SUMS, clear, exp, exponentials, log1p, log_quotient, put
from curvi._threads import arrays, claim, row_loop
from curvi.likelihoods._row_kernel import COUNTS, N_WORK, settled

_ZERO = np.float32(0)
# A logarithm of the probability of a count of 0, where there is none.
_NO_ZERO = np.float32(1e30)
# Of two terms this far apart in their exponents, the smaller does not change the sum.
_FAR = np.float32(60)


@njit(fastmath=SUMS, error_model="numpy")
def _row(
    r: Any,
    size: Any,
    t: Any,
    logits: Any,
    counts: Any,
    present: Any,
    share: Any,
    kept: Any,
    pull: Any,
    slope: Any,
    gate: Any,
    work: Any,
) -> float:
    """The log-likelihood of a row of counts, of which ``present`` are above 0; its gradients are written beside.

    The loops are many, so that in each of them few arrays could overlap with those that it writes: only then are
    several features done at a time.
    """
    n_features = len(r)
    total = exponentials(r, share)
    scale = size / total
    for j in range(n_features):
        mean = share[j] * scale + FLOOR
        ratio = mean / t[j]
        one_more = ONE + ratio
        rest = ONE / one_more
        pull[j] = (counts[j] - mean) * rest
        slope[j] = log1p(ratio, one_more, rest)
    for j in range(n_features):
        kept[j] = -t[j] * slope[j] if counts[j] == 0 else _NO_ZERO
    absent = _ZERO
    for j in range(n_features):
        # The exponents of an extra zero and of a drawn one, before both are divided by 1 + e^logit.
        logit, drawn = logits[j], kept[j]
        u = exp(-min(abs(logit - drawn), _FAR))
        v = exp(-min(abs(logit), _FAR))
        a, b = ONE + u, ONE + v
        c = a + b
        inverse = ONE / (a * b * c)
        highest = max(drawn, min(logit, _ZERO)) if drawn <= 0 else min(-logit, _ZERO)
        absent -= highest + log_quotient((u - v) * (a * b * inverse))
        by_a, by_b = b * c * inverse, a * c * inverse
        kept[j] = by_a * (u if logit >= drawn else ONE)
        gate[j] = by_a * (ONE if logit >= drawn else u) - by_b * (ONE if logit >= 0 else v)
    force = _ZERO
    for j in range(n_features):
        gap = pull[j] * kept[j]
        slope[j] = -gap / t[j] - slope[j] * kept[j]
        pull[j] = gap
        force += gap
    return settled(counts, present, t, share, scale, total, force, pull, slope, work) - np.float64(absent)


@njit(error_model="numpy")
def _rows(
    first: int,
    stop: int,
    raw: Any,
    size: Any,
    theta: Any,
    logits: Any,
    value: Any,
    in_raw: Any,
    in_theta: Any,
    in_logits: Any,
    starts: Any,
    columns: Any,
    entries: Any,
) -> None:
    n, n_features = len(size), raw.shape[1]
    counts = np.zeros(n_features, np.float32)
    share, kept = np.empty(n_features, np.float32), np.empty(n_features, np.float32)
    pull, slope = np.empty(n_features, np.float32), np.empty(n_features, np.float32)
    gate, work = np.empty(n_features, np.float32), np.empty((N_WORK, n_features))
    for i in range(first, stop):
        begin, end = starts[i % n], starts[i % n + 1]
        present = columns[begin:end]
        put(entries[begin:end], present, counts)
        if len(in_raw):
            pull, slope, gate = in_raw[i], in_theta[i], in_logits[i]
        t, zeros = theta[i % len(theta)], logits[i % len(logits)]
        value[i] = _row(raw[i], size[i % n], t, zeros, counts, present, share, kept, pull, slope, gate, work)
        clear(present, counts)


_take = arrays(
    "float32 2",
    "float32 1",
    "float32 2",
    "float32 2",
    "float64 1",
    "float32 2",
    "float32 2",
    "float32 2",
    *COUNTS,
)


@row_loop(chunk=4)
def zero_inflated_rows(table: Any) -> None:
    r"""The log-likelihood of rows of counts whose means are :math:`s_i\, \mathrm{softmax}(r_i)`, and its gradients.

    The tensors are those of :func:`~curvi.likelihoods._row_kernel.negative_binomial_rows`, with the log-odds of an
    extra zero after the inverse dispersions, of one of the same shapes, and their gradients after those of these.
    """
    first, stop = claim(table)
    while first < stop:
        _rows(first, stop, *_take(table))
        first, stop = claim(table)
