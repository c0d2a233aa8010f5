"""Weighted sums of the rows of a matrix, compiled: what stands at the entries of compressed rows."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# What is summed at once stays in the registers of the processor: so many vectors of so many numbers.
_LANES, _VECTORS = 16, 4
_BLOCK = _LANES * _VECTORS
_SUMS = {"contract", "nsz", "nnan", "ninf", "reassoc"}

_FLOAT, _INT, _WORD = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, _LANES)


@intrinsic
def _add_block(
    typing_context: Any, values: Any, places: Any, begin: Any, end: Any, rows: Any, total: Any, at: Any
) -> Any:
    """Add to 64 numbers of ``total`` from ``at`` on those of the rows at ``places[begin:end]``, times ``values``.

    Written in the instructions of the compiler, which by itself would fetch and store the sums with every row.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def data(which: int) -> Any:
            return context.make_array(signature.args[which])(context, builder, args[which]).data

        def vector(of: Any, offset: Any) -> Any:
            return builder.bitcast(builder.gep(of, [offset]), _VECTOR.as_pointer())

        value_of, place_of, row_of, sum_of = data(0), data(1), data(4), data(5)
        first, stop, at = args[2], args[3], args[6]
        shape = context.make_array(signature.args[4])(context, builder, args[4]).shape
        width = builder.extract_value(shape, 1)
        parts = [builder.add(at, _WORD(k * _LANES)) for k in range(_VECTORS)]
        before = [builder.load(vector(sum_of, part), align=4) for part in parts]

        entry = builder.block
        loop, done = builder.append_basic_block("rows"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed("<", first, stop), loop, done)

        builder.position_at_end(loop)
        k = builder.phi(_WORD)
        k.add_incoming(first, entry)
        sums = [builder.phi(_VECTOR) for _ in parts]
        row = builder.mul(builder.sext(builder.load(builder.gep(place_of, [k])), _WORD), width)
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        one = builder.insert_element(nothing, builder.load(builder.gep(value_of, [k])), _INT(0))
        weight = builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(_INT, _LANES), [0] * _LANES))
        after = []
        for so_far, part, start in zip(sums, parts, before, strict=True):
            so_far.add_incoming(start, entry)
            number = builder.load(vector(row_of, builder.add(row, part)), align=4)
            after.append(builder.fadd(builder.fmul(weight, number, flags=["contract"]), so_far, flags=["contract"]))
            so_far.add_incoming(after[-1], loop)
        following = builder.add(k, _WORD(1))
        k.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, stop), loop, done)

        builder.position_at_end(done)
        results = [builder.phi(_VECTOR) for _ in parts]
        for result, start, end_value in zip(results, before, after, strict=True):
            result.add_incoming(start, entry)
            result.add_incoming(end_value, loop)
        for result, part in zip(results, parts, strict=True):
            builder.store(result, vector(sum_of, part), align=4)
        return context.get_dummy_value()

    return types.none(values, places, types.int64, types.int64, rows, total, types.int64), generate


@njit(fastmath=_SUMS, error_model="numpy")
def weighted_sums(
    first: int, stop: int, starts: Any, places: Any, values: Any, rows: Any, start: Any, out: Any
) -> None:
    """Rows ``first`` to ``stop`` of ``out``: ``start``, and for each entry of a compressed row the row of its place.

    Parameters
    ----------
    first, stop
        The rows to make.
    starts, places, values
        Compressed rows, int32, int32 and float32.
    rows
        The matrix, float32 ``(n_places, width)``.
    start
        What each sum begins with, float32 ``(width,)``.
    out
        Takes the sums, float32 ``(n, width)``.
    """
    width = rows.shape[1]
    whole = width - width % _BLOCK
    for i in range(first, stop):
        total, begin, end = out[i], starts[i], starts[i + 1]
        for j in range(width):
            total[j] = start[j]
        for at in range(0, whole, _BLOCK):
            _add_block(values, places, begin, end, rows, total, at)
        if whole < width:
            for k in range(begin, end):
                value, row = values[k], rows[places[k]]
                for j in range(whole, width):
                    total[j] += value * row[j]
