"""Rows of a sparse matrix as a dense block."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from curvi.data._rows import dense_rows

COUNTS = np.random.default_rng(0).poisson(0.7, (20, 9))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint16])
@pytest.mark.parametrize("rows", [[3, 0, 3, 19], [], [7]])
def test_rows_are_those_of_the_matrix(dtype, rows):
    block = dense_rows(sparse.csr_matrix(COUNTS.astype(dtype)), np.array(rows, dtype=np.int64))
    assert block.dtype == np.float32
    np.testing.assert_array_equal(block, COUNTS[rows].reshape(-1, 9))


def test_entries_stored_in_parts_or_out_of_order_add_up():
    matrix = sparse.csr_matrix(
        (np.array([2.0, 1.0, 5.0, 4.0]), np.array([2, 2, 0, 1]), np.array([0, 3, 4])), shape=(2, 3)
    )
    np.testing.assert_array_equal(dense_rows(matrix, np.array([1, 0])), [[0, 4, 0], [5, 0, 3]])
