"""Rows of a sparse matrix as a dense block, without a sparse matrix in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@njit(nogil=True, cache=True)
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
