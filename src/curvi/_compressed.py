"""Minibatches of which only the entries above 0 are kept, as tensors of compressed rows."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from curvi._compiled import compiled
from curvi._recording import recorded_whole


@cache
def _without_notice() -> None:
    """Torch says once in a process that its compressed rows are new."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        nothing = torch.zeros(1, dtype=torch.int32)
        torch.sparse_csr_tensor(nothing, nothing[:0], torch.zeros(0), size=(0, 0), check_invariants=False)


@recorded_whole
def compressed(starts: Tensor, columns: Tensor, values: Tensor, n_columns: int) -> Tensor:
    """A tensor ``(n, n_columns)`` of compressed rows, :data:`torch.sparse_csr`, each column of a row at most once.

    Parameters
    ----------
    starts
        Where the entries of each row begin, and where the last ones end, ``(n + 1,)``.
    columns, values
        The entries.
    n_columns
        The number of columns.
    """
    _without_notice()
    size = (starts.shape[0] - 1, n_columns)
    return torch.sparse_csr_tensor(starts, columns, values, size=size, check_invariants=False)


def is_compressed(x: Tensor) -> bool:
    """Whether a tensor is one of compressed rows."""
    return x.layout == torch.sparse_csr


def parts_of(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The starts, columns and values of compressed rows."""
    return x.crow_indices(), x.col_indices(), x.values()


def with_values(x: Tensor, values: Tensor) -> Tensor:
    """Compressed rows with other values at the same places."""
    return compressed(x.crow_indices(), x.col_indices(), values, x.shape[1])


@recorded_whole
def stacked(upper: Tensor, lower: Tensor) -> Tensor:
    """Rows below others, of as many columns, both dense or both compressed."""
    if not is_compressed(upper):
        return torch.cat([upper, lower])
    starts = torch.cat([upper.crow_indices(), lower.crow_indices()[1:] + upper.values().shape[0]])
    columns, values = (torch.cat(pair) for pair in zip(parts_of(upper)[1:], parts_of(lower)[1:], strict=True))
    return compressed(starts, columns, values, upper.shape[1])


def group_size(n_rows: int, n_groups: int) -> int:
    """How many rows each of ``n_groups`` groups has.

    Raises
    ------
    ValueError
        If they cannot have as many each.
    """
    if n_groups < 1 or n_rows % n_groups:
        raise ValueError(f"`n_groups` is {n_groups}, but {n_rows} rows are not so many groups of as many rows each.")
    return n_rows // n_groups


def unstacked(x: Tensor, n_groups: int) -> tuple[Tensor, ...]:
    """Rows, dense or compressed, in groups of as many each that stood below each other."""
    n = group_size(len(x), n_groups)
    if not is_compressed(x):
        return x.chunk(n_groups)
    starts, columns, values = parts_of(x)
    groups = []
    for k in range(n_groups):
        begin, end = int(starts[k * n]), int(starts[(k + 1) * n])
        own = starts[k * n : (k + 1) * n + 1] - begin
        groups.append(compressed(own, columns[begin:end], values[begin:end], x.shape[1]))
    return tuple(groups)


@compiled(nogil=True, fastmath={"reassoc"})
def _sum(starts: Any, values: Any, out: Any) -> None:
    for i in range(len(out)):
        # A part that begins at 0 is summed many entries at a time.
        row, total = values[starts[i] : starts[i + 1]], 0.0
        for k in range(len(row)):
            total += row[k]
        out[i, 0] = total


@recorded_whole
def row_sums(x: Tensor) -> Tensor:
    """The sum of each of the compressed rows, ``(n, 1)``; on the processor, as exact as double precision."""
    if not x.is_cpu:
        starts, _, values = parts_of(x)
        return torch.segment_reduce(values, "sum", offsets=starts.long(), initial=0)[:, None]
    entries = x.values().numpy()
    out = np.empty((x.shape[0], 1), entries.dtype)
    _sum(x.crow_indices().numpy(), entries, out)
    return torch.from_numpy(out)


@compiled(nogil=True)
def _spread(starts: Any, columns: Any, values: Any, out: Any) -> None:
    for i in range(len(out)):
        row = out[i]
        row[:] = 0
        for k in range(np.uint32(starts[i]), np.uint32(starts[i + 1])):
            row[np.uint32(columns[k])] = values[k]


@recorded_whole
def dense(x: Tensor) -> Tensor:
    """A tensor of compressed rows as a dense one ``(n, n_columns)``; a dense one as it is."""
    if not is_compressed(x):
        return x
    if not x.is_cpu:
        return x.to_dense()
    out = torch.empty(x.shape, dtype=x.dtype)
    _spread(*(np.asarray(part) for part in parts_of(x)), np.asarray(out))
    return out


@compiled(nogil=True)
def _entries(x: Any, starts: Any, columns: Any, values: Any) -> None:
    found = 0
    for i in range(len(x)):
        row = x[i]
        starts[i] = found
        for j in range(len(row)):
            columns[found] = j
            values[found] = row[j]
            found += 1 if row[j] != 0 else 0
    starts[len(x)] = found


@recorded_whole
def compressed_counts(x: Tensor) -> Tensor:
    """A dense tensor ``(n, n_columns)`` in memory as compressed rows."""
    n, n_columns = x.shape
    dense = x.detach().contiguous().numpy()
    starts = np.empty(n + 1, np.int32)
    # One place more than there can be entries: each is written before it is known to be one.
    columns, values = np.empty(dense.size + 1, np.int32), np.empty(dense.size + 1, dense.dtype)
    _entries(dense, starts, columns, values)
    found = int(starts[-1])
    entries = torch.from_numpy(columns[:found]), torch.from_numpy(values[:found])
    return compressed(torch.from_numpy(starts), *entries, n_columns)
