"""Dense matrices of which most entries are zeros, such as black pixels, kept as compressed rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from curvi._compiled import compiled

# Types of numbers that the compiled functions are made for.
_TYPES = (np.uint8, np.float32, np.float64)
# How many rows tell how full a matrix is.
_SAMPLE = 1000


def density(matrix: np.ndarray) -> float:
    """The share of entries that are not 0, in at most about 1000 rows evenly spread."""
    sample = matrix[:: max(len(matrix) // _SAMPLE, 1)]
    return np.count_nonzero(sample) / max(sample.size, 1)


def can_be_kept(matrix: Any) -> bool:
    """Whether :func:`kept_rows` takes a matrix: a dense one in memory, of bytes, float32 or float64."""
    return isinstance(matrix, np.ndarray) and matrix.ndim == 2 and matrix.dtype in _TYPES


@compiled(nogil=True)
def _count(matrix: Any, rows: Any, starts: Any) -> None:
    for i in range(len(rows)):
        row, found = matrix[rows[i]], 0
        for j in range(len(row)):
            found += 1 if row[j] != 0 else 0
        starts[i + 1] = starts[i] + found


@compiled(nogil=True)
def _keep(matrix: Any, rows: Any, columns: Any, values: Any) -> None:
    k = 0
    for i in range(len(rows)):
        row = matrix[rows[i]]
        for j in range(len(row)):
            # Written before it is known whether it is to be kept, which is faster than to ask.
            columns[k] = j
            values[k] = row[j]
            k += 1 if row[j] != 0 else 0


def kept_rows(matrix: np.ndarray, rows: np.ndarray) -> csr_matrix:
    """Rows of a dense matrix, in the order and as often as they are named, without their zeros.

    Entries are kept in their own type, and their columns in the smallest one: a byte and two more take less than the
    dense rows of bytes if fewer than a third of these are not 0.

    Parameters
    ----------
    matrix
        In memory, of a type that :func:`can_be_kept`.
    rows
        Row numbers from 0, within the matrix.
    """
    dense = np.asarray(matrix)
    n_columns = dense.shape[1]
    starts = np.zeros(len(rows) + 1, np.int64)
    _count(dense, rows, starts)
    # One place more, for what is written after the last entry.
    columns = np.empty(starts[-1] + 1, np.uint16 if n_columns <= 2**16 else np.int32)
    values = np.empty(starts[-1] + 1, dense.dtype)
    _keep(dense, rows, columns, values)
    kept = csr_matrix((len(rows), n_columns), dtype=dense.dtype)
    # The constructor would look at every entry, and widen the columns.
    kept.indptr, kept.indices, kept.data = starts, columns[:-1], values[:-1]
    kept.has_canonical_format = True
    return kept
