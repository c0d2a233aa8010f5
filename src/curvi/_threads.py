"""Compiled loops over rows, shared out among the threads that torch itself computes with.

Threads of one's own would wait for torch's, which stay awake between two operations for a while; so the loops are given
to the same ones, by the library through which torch starts them.
"""

from __future__ import annotations

import ctypes
import logging
from array import array
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from llvmlite import ir
from numba import cfunc, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_LOGGER = logging.getLogger(__name__)
_WORD = ir.IntType(64)
# At the start of the table that a loop reads: the next row to be done, their number, how many are taken at once.
_HEAD = 3


@cache
def _start() -> Any:
    """The function by which torch starts its threads, ``f(share, table, n_threads, flags)``; None where it has none."""
    folder = Path(torch.__file__).parent / "lib"
    for name in ("libtorch_cpu.so", "libtorch_cpu.dylib"):
        try:
            start = ctypes.CDLL(str(folder / name)).GOMP_parallel
        except (OSError, AttributeError):
            continue
        start.argtypes, start.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
        return start
    _LOGGER.debug("torch's threads cannot be shared here; compiled loops run on one.")
    return None


def _word(builder: Any, table: Any, at: int) -> Any:
    """The place of a number in the table."""
    return builder.gep(builder.bitcast(table, _WORD.as_pointer()), [_WORD(at)])


@intrinsic
def claim(typing_context: Any, table: Any) -> Any:
    """The next rows that no thread has taken, ``first`` and ``stop``; none are left where these are equal."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        n_rows, chunk = (builder.load(_word(builder, args[0], at)) for at in (1, 2))
        first = builder.atomic_rmw("add", _word(builder, args[0], 0), chunk, "monotonic")
        stop = builder.add(first, chunk)
        ends = (builder.select(builder.icmp_signed("<", end, n_rows), end, n_rows) for end in (first, stop))
        return context.make_tuple(builder, signature.return_type, tuple(ends))

    return types.UniTuple(types.int64, 2)(table), generate


def arrays(*kinds: str) -> Any:
    """A function that makes, in compiled code, contiguous arrays of the addresses and shapes in a table.

    Parameters
    ----------
    *kinds
        The type and the number of axes of each, as in ``"float32 2"``.
    """
    parts = [kind.split() for kind in kinds]
    made = tuple(types.Array(getattr(types, dtype), int(n_axes), "C") for dtype, n_axes in parts)

    @intrinsic
    def unpack(typing_context: Any, table: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            at, values = _HEAD, []
            for kind in made:
                words = [builder.load(_word(builder, args[0], at + i)) for i in range(1 + kind.ndim)]
                at += len(words)
                size = _WORD(kind.dtype.bitwidth // 8)
                strides = [size]
                for extent in reversed(words[2:]):
                    strides.insert(0, builder.mul(strides[0], extent))
                array = context.make_array(kind)(context, builder)
                data = builder.inttoptr(words[0], context.get_data_type(kind.dtype).as_pointer())
                populate_array(
                    array,
                    data=data,
                    shape=cgutils.pack_array(builder, words[1:]),
                    strides=cgutils.pack_array(builder, strides),
                    itemsize=size,
                    meminfo=None,
                )
                values.append(array._getvalue())
            return context.make_tuple(builder, signature.return_type, tuple(values))

        return types.Tuple(made)(table), generate

    return unpack


class RowLoop:
    """A loop over rows that is compiled at its first run, and run by as many threads as torch has.

    Parameters
    ----------
    share
        What a thread does with a table: it takes rows by :func:`claim` until none is left.
    chunk
        How many rows are taken at once.
    """

    def __init__(self, share: Callable[[Any], None], chunk: int) -> None:
        self.share = share
        self.chunk = chunk

    @cached_property
    def _compiled(self) -> Any:
        signature = types.void(types.voidptr)
        try:
            return cfunc(signature, cache=True, error_model="numpy")(self.share)
        except RuntimeError as error:
            _LOGGER.debug("%s is compiled in each process: %s", self.share.__name__, error)
            return cfunc(signature, error_model="numpy")(self.share)

    def __call__(self, n_rows: int, *tensors: Tensor) -> None:
        """Go through ``n_rows`` rows of contiguous tensors in memory, whose kinds :func:`arrays` was told."""
        words = [0, n_rows, self.chunk]
        for tensor in tensors:
            words += [tensor.data_ptr(), *tensor.shape]
        table = array("q", words)
        address, _ = table.buffer_info()
        n_threads = min(torch.get_num_threads(), -(-n_rows // self.chunk))
        start = _start() if n_threads > 1 else None
        if start is None:
            self._compiled.ctypes(address)
        else:
            start(self._compiled.address, address, n_threads, 0)


def row_loop(chunk: int) -> Callable[[Callable[[Any], None]], RowLoop]:
    """Make a :class:`RowLoop` of a function of a table."""
    return lambda share: RowLoop(share, chunk)
