"""Exponentials, logarithms and Gamma functions that are compiled into the passes over rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# Functions that are kept on disk as machine code contain what is here as it was when they were compiled: after a
# change of this file, change or touch theirs.

# A sum may be taken in any order, so that it can be taken several at a time.
SUMS = {"contract", "nsz", "nnan", "ninf", "reassoc"}
# What was written with care for the rounding of each step stays in its order.
_IN_ORDER = {"contract", "nsz", "nnan", "ninf"}

ZERO, ONE = np.float32(0), np.float32(1)
_TWO = np.float32(2)
_HALF = np.float32(0.5)
# The logarithm of 2 in two parts, the first of few digits.
_LN2, _LN2_REST = np.float32(0.693145751953125), np.float32(1.42860682030941723e-6)
_LOG2E = np.float32(1.4426950408889634)
# Added and taken away again, it rounds to whole numbers.
_ROUND = np.float32(12582912.0)
_SMALLEST_EXPONENT = np.float32(-87.0)
# Far below any mean that matters, far above where a count divided by it overflows.
FLOOR = np.float32(1e-20)
NEAR_FLOOR = np.float32(1e-12)
_N_FACTORIALS = 64
LOG_FACTORIAL = np.array([math.lgamma(k + 1.0) for k in range(_N_FACTORIALS)])


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


@intrinsic
def _larger(typing_context: Any, a: Any, b: Any) -> Any:
    """The larger of two float32, in the form in which the largest of many is found several at a time."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = ir.FloatType()
        function = ir.FunctionType(number, [number, number])
        return builder.call(builder.module.declare_intrinsic("llvm.maxnum", [number], function), args)

    return types.float32(types.float32, types.float32), generate


@njit(fastmath=_IN_ORDER, error_model="numpy")
def _scaled(x: Any) -> Any:
    """``a`` and a power of two ``b`` with ``exp(x) = b (1 + a)``, for a float32 that is not positive."""
    x = max(x, _SMALLEST_EXPONENT)
    k = (x * _LOG2E + _ROUND) - _ROUND
    r = (x - k * _LN2) - k * _LN2_REST
    p = np.float32(1 / 5040)
    p = p * r + np.float32(1 / 720)
    p = p * r + np.float32(1 / 120)
    p = p * r + np.float32(1 / 24)
    p = p * r + np.float32(1 / 6)
    p = p * r + _HALF
    p = p * r + ONE
    return p * r, _from_bits((np.int32(k) + np.int32(127)) << np.int32(23))


@njit(fastmath=_IN_ORDER, error_model="numpy")
def exp(x: Any) -> Any:
    """The exponential of a float32 that is not positive."""
    a, b = _scaled(x)
    return (a + ONE) * b


@njit(fastmath=_IN_ORDER, error_model="numpy")
def expm1(x: Any) -> Any:
    """``exp(x) - 1`` of a float32 that is not positive, also close to 0."""
    a, b = _scaled(x)
    return b * a + (b - ONE)


@njit(fastmath=SUMS, error_model="numpy")
def exponentials(r: Any, out: Any) -> Any:
    """Exponentials of a row of float32 relative to the largest, written to ``out``, and their sum."""
    top = r[0]
    for j in range(len(r)):
        top = _larger(top, r[j])
    total = np.float32(0)
    for j in range(len(r)):
        e = exp(r[j] - top)
        out[j] = e
        total += e
    return total


@njit(fastmath=_IN_ORDER, error_model="numpy")
def log1p(u: Any, w: Any, inverse: Any) -> Any:
    """``log(1 + u)`` of a float32 that is not negative, ``w = 1 + u`` and ``inverse = 1 / w``.

    By the exponent and a series in ``f / (2 + f)`` for the fraction ``f``.
    """
    bits = _bits(w)
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    f = _from_bits(bits - (exponent << np.int32(23))) - ONE
    # What the sum w lost of u; nothing is lost where u itself is the fraction.
    lost = (u - (w - ONE)) * inverse
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
def log_quotient(s: Any) -> Any:
    """``log(a / b)`` of two float32 of which none is above the double of the other, from ``s = (a - b) / (a + b)``."""
    z = s * s
    p = z * np.float32(0.2802764) + np.float32(0.27998173)
    p = p * z + np.float32(0.40021791)
    p = p * z + np.float32(0.6666641)
    return s * (p * z + _TWO)


@njit(fastmath=_IN_ORDER, error_model="numpy")
def log(x: float) -> float:
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
def stirling(z: float) -> float:
    r"""``log Gamma(z)`` for ``z >= 8``."""
    y = 1.0 / (z * z)
    tail = (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y / 1188)))) / z
    return (z - 0.5) * log(z) - z + 0.9189385332046727 + tail


@njit(error_model="numpy")
def stirling_slope(z: float) -> float:
    """The digamma function for ``z >= 8``."""
    y = 1.0 / (z * z)
    return log(z) - 0.5 / z - y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y / 132))))


@njit(error_model="numpy")
def log_factorial(x: float) -> float:
    """``log(x!)`` of a whole number."""
    return LOG_FACTORIAL[int(x)] if x < _N_FACTORIALS else stirling(x + 1.0)


# Places are read as numbers without a sign: others may count from the end, and to ask costs as much as to write.
@njit(error_model="numpy")
def put(entries: Any, columns: Any, row: Any) -> None:
    """Write entries to their places in a row."""
    for k in range(len(columns)):
        row[np.uint32(columns[k])] = entries[k]


@njit(error_model="numpy")
def clear(columns: Any, row: Any) -> None:
    """Make places of a row 0."""
    for k in range(len(columns)):
        row[np.uint32(columns[k])] = 0


@njit(error_model="numpy")
def values_of(i: int, dense: Any, starts: Any, columns: Any, entries: Any, spare: Any) -> Any:
    """The values that go with row ``i``, of dense rows or, written into ``spare``, of compressed ones."""
    if len(dense):
        return dense[i % len(dense)]
    own = i % (len(starts) - 1)
    begin, end = starts[own], starts[own + 1]
    spare[:] = 0
    put(entries[begin:end], columns[begin:end], spare)
    return spare
