"""Rows of a sparse matrix as a dense block, and as a tensor of compressed rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from curvi._compressed import dense
from curvi.data import suits_sparse
from curvi.data._rows import CompressedRows, dense_rows

COUNTS = np.random.default_rng(0).poisson(0.7, (20, 9))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint16])
@pytest.mark.parametrize("rows", [[3, 0, 3, 19], [], [7], [5, 6, 7], [7, 6, 5]])
def test_rows_are_those_of_the_matrix(dtype, rows):
    matrix, wanted = sparse.csr_matrix(COUNTS.astype(dtype)), np.array(rows, dtype=np.int64)
    for block in (dense_rows(matrix, wanted), CompressedRows(matrix)[wanted].to_dense().numpy()):
        assert block.dtype == np.float32
        np.testing.assert_array_equal(block, COUNTS[rows].reshape(-1, 9))


def test_entries_stored_in_parts_or_out_of_order_add_up():
    matrix = sparse.csr_matrix(
        (np.array([2.0, 1.0, 5.0, 4.0]), np.array([2, 2, 0, 1]), np.array([0, 3, 4])), shape=(2, 3)
    )
    np.testing.assert_array_equal(dense_rows(matrix, np.array([1, 0])), [[0, 4, 0], [5, 0, 3]])
    np.testing.assert_array_equal(CompressedRows(matrix)[np.array([0, 1])].to_dense(), [[5, 0, 3], [0, 4, 0]])
    assert matrix.nnz == 4


def test_only_the_rows_asked_for_are_looked_through_for_parts():
    matrix = sparse.csr_matrix(
        (np.array([2.0, 1.0, 5.0, 4.0]), np.array([2, 2, 2, 0]), np.array([0, 2, 4, 4])), shape=(3, 3)
    )
    assert not CompressedRows(matrix).whole
    # What is out of order is handed out as it is stored.
    rows = CompressedRows(matrix, np.array([2, 1, 1]))
    assert rows.whole
    x = rows[np.array([1, 2, 1])]
    assert x.col_indices().tolist() == [2, 0, 2, 0]
    np.testing.assert_array_equal(dense(x), [[4, 0, 5], [0, 0, 0], [4, 0, 5]])


def test_rows_that_may_only_be_read():
    matrix = sparse.csr_matrix(COUNTS.astype(np.float32))
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.flags.writeable = False
    np.testing.assert_array_equal(CompressedRows(matrix)[np.arange(4)].to_dense(), COUNTS[:4])


def test_compressed_rows_suit_few_entries_by_rows():
    thin = sparse.random(50, 20, density=0.1, format="csr", random_state=0)
    assert suits_sparse(thin)
    assert not suits_sparse(thin.tocsc())
    assert not suits_sparse(sparse.random(50, 20, density=0.4, format="csr", random_state=0))
