"""One pass over rows of counts, compiled: their log-likelihood under a negative binomial, and its gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from curvi._compiled import compiled

# A sum may be taken in any order, so that it can be taken several at a time.
_SUMS = {"contract", "nsz", "nnan", "ninf", "reassoc"}
# What was written with care for the rounding of each step stays in its order.
_IN_ORDER = {"contract", "nsz", "nnan", "ninf"}

_ONE = np.float32(1)
_TWO = np.float32(2)
_HALF = np.float32(0.5)
# The logarithm of 2 in two parts, the first of few digits.
_LN2, _LN2_REST = np.float32(0.693145751953125), np.float32(1.42860682030941723e-6)
_LOG2E = np.float32(1.4426950408889634)
# Added and taken away again, it rounds to whole numbers.
_ROUND = np.float32(12582912.0)
_SMALLEST_EXPONENT = np.float32(-87.0)
# Far below any mean that matters, far above where a count divided by it overflows.
_FLOOR = np.float32(1e-20)
_NEAR_FLOOR = np.float32(1e-12)
# Up to here a quotient of Gamma functions is a product of that many factors.
_SMALL_COUNT = 8
_LOG_FACTORIAL = np.array([math.lgamma(k + 1.0) for k in range(_SMALL_COUNT + 1)])


def _reinterpretation(given: Any, read_as: Any, kind: ir.Type) -> Any:
    """An instruction that reads the bits of one type of number as another type."""

    @intrinsic
    def instruction(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], kind)

        return read_as(given), generate

    return instruction


_bits = _reinterpretation(types.float32, types.int32, ir.IntType(32))
_from_bits = _reinterpretation(types.int32, types.float32, ir.FloatType())
_wide_bits = _reinterpretation(types.float64, types.int64, ir.IntType(64))
_from_wide_bits = _reinterpretation(types.int64, types.float64, ir.DoubleType())


@njit(fastmath=_IN_ORDER, error_model="numpy")
def _exp(x: Any) -> Any:
    """The exponential of a float32 that is not positive."""
    x = max(x, _SMALLEST_EXPONENT)
    k = (x * _LOG2E + _ROUND) - _ROUND
    r = (x - k * _LN2) - k * _LN2_REST
    p = np.float32(1 / 5040)
    p = p * r + np.float32(1 / 720)
    p = p * r + np.float32(1 / 120)
    p = p * r + np.float32(1 / 24)
    p = p * r + np.float32(1 / 6)
    p = p * r + _HALF
    p = p * r + _ONE
    p = p * r + _ONE
    return p * _from_bits((np.int32(k) + np.int32(127)) << np.int32(23))


@njit(fastmath=_IN_ORDER, error_model="numpy")
def _log1p(u: Any, w: Any, inverse: Any) -> Any:
    """``log(1 + u)`` of a float32 that is not negative, ``w = 1 + u`` and ``inverse = 1 / w``.

    By the exponent and a series in ``f / (2 + f)`` for the fraction ``f``.
    """
    bits = _bits(w)
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    f = _from_bits(bits - (exponent << np.int32(23))) - _ONE
    # What the sum w lost of u; nothing is lost where u itself is the fraction.
    lost = (u - (w - _ONE)) * inverse
    if exponent == 0:
        f = u
        lost = np.float32(0)
    s = f / (_TWO + f)
    z = s * s
    tail = z * (
        np.float32(0.66666662693)
        + z * (np.float32(0.40000972152) + z * (np.float32(0.28498786688) + z * np.float32(0.24279078841)))
    )
    square = _HALF * f * f
    e = np.float32(exponent)
    return e * _LN2 + ((f - (square - s * (square + tail))) + (lost + e * _LN2_REST))


@njit(fastmath=_IN_ORDER, error_model="numpy")
def _log(x: float) -> float:
    """The logarithm of a normal float64 above 0, without the call that libraries cost."""
    bits = _wide_bits(x)
    exponent = (bits - np.int64(0x3FE6A09E667F3BCD)) >> np.int64(52)
    f = _from_wide_bits(bits - (exponent << np.int64(52))) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (0.3999999999940942 + w * (0.22222198432149784 + w * 0.15313837699209373))
    odd = z * (0.6666666666666735 + w * (0.2857142874366239 + w * (0.1818357216161805 + w * 0.14798198605116586)))
    square = 0.5 * f * f
    return exponent * 0.6931471805599453 + (f - (square - s * (square + even + odd)))


@njit(error_model="numpy")
def _stirling(z: float) -> float:
    r"""``log Gamma(z)`` for ``z >= 8``."""
    y = 1.0 / (z * z)
    tail = (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y / 1188)))) / z
    return (z - 0.5) * _log(z) - z + 0.9189385332046727 + tail


@njit(error_model="numpy")
def _stirling_slope(z: float) -> float:
    """The digamma function for ``z >= 8``."""
    y = 1.0 / (z * z)
    return _log(z) - 0.5 / z - y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y / 132))))


@njit(error_model="numpy")
def _present(x: float, mean: float, theta: float) -> tuple[float, float]:
    """A count above 0: its log-probability and ``digamma(x + theta) - digamma(theta)``."""
    total = mean + theta
    share = mean / total
    # log(1 + u): what the sum lost of u matters where u is small.
    u = mean / theta
    w = 1.0 + u
    never = theta * (_log(w) + (u - (w - 1.0)) / w)
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
        return _log(scaled) - _LOG_FACTORIAL[n] - never, slope / product
    for k in range(1, 8):
        factor = theta + k
        slope = slope * factor + product
        product *= factor
    upper, lower = x + theta, 8.0 + theta
    value = _log(product) + _stirling(upper) - _stirling(lower) - _stirling(x + 1.0)
    return value + x * _log(share) - never, slope / product + _stirling_slope(upper) - _stirling_slope(lower)


@compiled(nogil=True, fastmath=_SUMS, error_model="numpy")
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
            e = _exp(r[j] - top)
            share[j] = e
            total += e
        scale = size[i % n] / total
        absent = np.float32(0)
        force = np.float32(0)
        for j in range(n_features):
            mean = share[j] * scale + _FLOOR
            inverse = _ONE / t[j]
            ratio = mean * inverse
            one_more = _ONE + ratio
            rest = _ONE / one_more
            log_total = _log1p(ratio, one_more, rest)
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
            mean = share[j] * scale + _FLOOR
            if mean < _NEAR_FLOOR:
                # Where the floor is part of the mean, less of the mean moves with the raw map.
                fixed = pull[j] * (_FLOOR / mean)
                pull[j] -= fixed
                force -= fixed
            term, rise = _present(np.float64(counts[j]), np.float64(mean), np.float64(t[j]))
            log_likelihood += term
            slope[j] += np.float32(rise)
        force /= total
        for j in range(n_features):
            pull[j] -= share[j] * force
        value[i] = log_likelihood
