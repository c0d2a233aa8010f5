"""One pass over rows of values from 0 to 1, compiled: their log-likelihood under continuous Bernoulli logits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from curvi._elementary import ONE, SUMS, exp, log1p, values_of
from curvi._threads import arrays, claim, row_loop

_HALF = np.float32(0.5)
# Of 1/2 - 1/a + 1/(exp(a) - 1) at the powers 1, 3, 5, ... of a, and of its integral at 2, 4, 6, ....
_C1, _C2, _C3 = np.float32(1 / 12), np.float32(-1 / 720), np.float32(1 / 30240)
_C4, _C5 = np.float32(-1 / 1209600), np.float32(1 / 47900160)
_D1, _D2, _D3 = np.float32(1 / 24), np.float32(-1 / 2880), np.float32(1 / 181440)
_D4, _D5 = np.float32(-1 / 9676800), np.float32(1 / 479001600)


@njit(fastmath=SUMS, error_model="numpy")
def _row(r: Any, x: Any, pull: Any) -> Any:
    """The log-likelihood of a row of values; its gradient is written beside.

    With the size ``a`` of a logit and the distance ``d`` from the bound that it points to, the sum of
    ``-a * d - log((1 - exp(-a)) / a)``.
    """
    value = np.float32(0)
    for j in range(len(r)):
        size = abs(r[j])
        away = ONE - x[j] if r[j] > 0 else x[j]
        # Near 0 both parts of what follows cancel; their series are used there.
        small = min(size, ONE)
        z = small * small
        near_mean = _HALF - small * (_C1 + z * (_C2 + z * (_C3 + z * (_C4 + z * _C5))))
        near_log = small * (_HALF - small * (_D1 + z * (_D2 + z * (_D3 + z * (_D4 + z * _D5)))))
        large = max(size, ONE)
        decayed = exp(-large)
        rest = ONE / (ONE - decayed)
        ratio = large * rest
        far_mean = ONE / large - decayed * rest
        far_log = log1p(ratio - ONE, ratio, ONE / ratio)
        mean = near_mean if size < ONE else far_mean
        value += (near_log if size < ONE else far_log) - size * away
        gap = mean - away
        pull[j] = gap if r[j] > 0 else -gap
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
def continuous_bernoulli_rows(table: Any) -> None:
    """For :func:`curvi.likelihoods._unit_pass.unit_log_likelihood`, which says what the tensors are."""
    first, stop = claim(table)
    while first < stop:
        _rows(first, stop, *_take(table))
        first, stop = claim(table)
