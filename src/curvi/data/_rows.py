"""Rows of a sparse matrix as a dense block or a tensor of compressed rows, without a sparse matrix in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from curvi._compiled import compiled
from curvi._compressed import compressed

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from torch import Tensor


@compiled(nogil=True)
def _fill(data: Any, columns: Any, starts: Any, rows: Any, block: Any) -> None:
    for i in range(len(rows)):
        row = block[i]
        row[:] = 0
        for k in range(starts[rows[i]], starts[rows[i] + 1]):
            # Entries that are stored in parts add up.
            row[columns[k]] += data[k]


def dense_rows(matrix: csr_matrix, rows: np.ndarray) -> np.ndarray:
    """Rows of a sparse matrix, in the order and as often as they are named, float32 ``(len(rows), n_columns)``.

    Parameters
    ----------
    matrix
        In memory, in compressed rows.
    rows
        Row numbers from 0, within the matrix.
    """
    block = np.empty((len(rows), matrix.shape[1]), np.float32)
    _fill(matrix.data, matrix.indices, matrix.indptr, rows, block)
    return block


@compiled(nogil=True)
def _in_parts(columns: Any, starts: Any, rows: Any, n_columns: int) -> bool:
    """Whether two entries of one of the rows have the same column."""
    last = np.full(n_columns, -1, np.int64)
    for i in range(len(rows)):
        for k in range(starts[rows[i]], starts[rows[i] + 1]):
            if last[columns[k]] == i:
                return True
            last[columns[k]] = i
    return False


@compiled(nogil=True)
def _begin(starts: Any, rows: Any, to: Any) -> int:
    """Write where each of the rows begins and the last one ends once they lie together; return the latter."""
    found = 0
    to[0] = 0
    for i in range(len(rows)):
        found += starts[rows[i] + 1] - starts[rows[i]]
        to[i + 1] = found
    return found


@compiled(nogil=True)
def _gather(data: Any, columns: Any, starts: Any, rows: Any, to: Any, to_columns: Any, to_data: Any) -> None:
    for i in range(len(rows)):
        start, first, n = starts[rows[i]], to[i], to[i + 1] - to[i]
        # Parts that begin at 0 are copied many entries at a time.
        own_columns, new_columns = columns[start : start + n], to_columns[first : first + n]
        for k in range(n):
            new_columns[k] = own_columns[k]
        own_data, new_data = data[start : start + n], to_data[first : first + n]
        for k in range(n):
            new_data[k] = own_data[k]


class CompressedRows:
    """Rows of a sparse matrix in memory, handed out as float32 tensors of compressed rows.

    Entries that are stored in parts add up. Whether there are any is looked up once.

    Parameters
    ----------
    matrix
        In memory, in compressed rows.
    among
        The rows that will be asked for, numbers from 0; all by default.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> rows = CompressedRows(csr_matrix(np.array([[0, 2], [3, 0], [0, 1]])))
    >>> rows[np.array([2, 1])].to_dense()
    tensor([[0., 1.],
            [3., 0.]])
    """

    def __init__(self, matrix: csr_matrix, among: np.ndarray | None = None) -> None:
        self.matrix = matrix
        self.parts = matrix.data, matrix.indices, matrix.indptr
        self.n_columns = matrix.shape[1]
        # Sorted entries are quickly looked through, and the matrix remembers what was found.
        rows = np.arange(matrix.shape[0]) if among is None else among
        self.whole = bool(matrix.has_canonical_format) or not _in_parts(*self.parts[1:], rows, self.n_columns)

    def __getitem__(self, rows: np.ndarray) -> Tensor:
        """The rows in the order and as often as they are named, ``(len(rows), n_columns)``."""
        if not self.whole:
            summed = self.matrix[rows]
            summed.sum_duplicates()
            return CompressedRows(summed)[np.arange(len(rows))]
        data, columns, starts = self.parts
        to = np.empty(len(rows) + 1, np.int32)
        n_entries = _begin(starts, rows, to)
        to_columns, to_data = np.empty(n_entries, np.int32), np.empty(n_entries, np.float32)
        _gather(data, columns, starts, rows, to, to_columns, to_data)
        return compressed(torch.from_numpy(to), torch.from_numpy(to_columns), torch.from_numpy(to_data), self.n_columns)
