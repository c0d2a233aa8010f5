"""Rows of a sparse matrix as a dense block, without a sparse matrix in between."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from curvi._compiled import compiled

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


def compressed_rows(matrix: csr_matrix, rows: np.ndarray) -> Tensor:
    """Rows of a sparse matrix, in the order and as often as they are named, as a float32 tensor of compressed rows.

    Parameters
    ----------
    matrix
        In memory, in compressed rows.
    rows
        Row numbers from 0, within the matrix.
    """
    # Entries that are stored in parts add up.
    if len(rows) and matrix.has_canonical_format and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        first, end = matrix.indptr[rows[0]], matrix.indptr[rows[-1] + 1]
        starts = matrix.indptr[rows[0] : rows[-1] + 2] - first
        columns, values = matrix.indices[first:end], matrix.data[first:end]
    else:
        block = matrix[rows]
        block.sum_duplicates()
        starts, columns, values = block.indptr, block.indices, block.data
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        # They are only read.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        entries = torch.from_numpy(values.astype(np.float32, copy=False))
        shape = (len(rows), matrix.shape[1])
        return torch.sparse_csr_tensor(
            torch.from_numpy(starts), torch.from_numpy(columns), entries, size=shape, check_invariants=False
        )
