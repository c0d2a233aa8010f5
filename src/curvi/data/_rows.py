"""Rows of a sparse matrix as a dense block, without a sparse matrix in between."""

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
def _gather(data: Any, columns: Any, starts: Any, rows: Any, to: Any, to_columns: Any, to_data: Any) -> None:
    for i in range(len(rows)):
        shift = to[i] - starts[rows[i]]
        for k in range(starts[rows[i]], starts[rows[i] + 1]):
            to_columns[k + shift] = columns[k]
            to_data[k + shift] = data[k]


def compressed_rows(matrix: csr_matrix, rows: np.ndarray) -> Tensor:
    """Rows of a sparse matrix, in the order and as often as they are named, as a float32 tensor of compressed rows.

    Parameters
    ----------
    matrix
        In memory, in compressed rows.
    rows
        Row numbers from 0, within the matrix.
    """
    if not matrix.has_canonical_format:
        # Entries that are stored in parts add up.
        matrix, rows = matrix[rows], np.arange(len(rows))
        matrix.sum_duplicates()
    starts = np.zeros(len(rows) + 1, np.int32)
    np.cumsum(matrix.indptr[rows + 1] - matrix.indptr[rows], out=starts[1:])
    columns, values = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    _gather(matrix.data, matrix.indices, matrix.indptr, rows, starts, columns, values)
    return compressed(torch.from_numpy(starts), torch.from_numpy(columns), torch.from_numpy(values), matrix.shape[1])
