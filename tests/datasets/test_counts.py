from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from curvi.datasets import recover_counts


def random_counts(seed: int) -> np.ndarray:
    """Counts with a one in every cell, as nearly every real cell has."""
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(0.4, 0.02, (80, 120))
    counts[:, 0] = 1
    return counts


def log_normalized(counts: np.ndarray, target: float = 1e4) -> np.ndarray:
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * target)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("target", [1.0, 1e4, 1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_come_back(seed, target, dtype):
    counts = random_counts(seed)
    recovered = recover_counts(log_normalized(counts, target).astype(dtype))
    assert recovered.dtype == np.float32
    np.testing.assert_array_equal(recovered.toarray(), counts)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.coo_array])
def test_every_kind_of_matrix(kind):
    counts = random_counts(0)
    assert sparse.isspmatrix_csr(recover_counts(kind(log_normalized(counts))))
    np.testing.assert_array_equal(recover_counts(kind(log_normalized(counts))).toarray(), counts)


def test_values_rounded_to_three_decimals_still_give_the_counts():
    counts = np.minimum(random_counts(1), 250)
    np.testing.assert_array_equal(recover_counts(np.round(log_normalized(counts), 3)).toarray(), counts)


def test_a_common_divisor_is_lost_and_a_missing_one_is_seen():
    even = np.array([[2.0, 4.0, 0.0, 6.0]])
    np.testing.assert_array_equal(recover_counts(np.log1p(even)).toarray(), even / 2)
    with pytest.raises(ValueError, match="in 1 of 1 cells"):
        recover_counts(np.log1p(np.array([[2.0, 5.0, 0.0, 6.0]])))


def test_empty_cells_stay_empty_and_stored_zeros_go():
    matrix = sparse.csr_matrix(log_normalized(random_counts(2)))
    matrix.data[matrix.indptr[3] : matrix.indptr[4]] = 0
    recovered = recover_counts(matrix)
    assert recovered[3].nnz == 0
    assert (recovered.data > 0).all()
    assert recover_counts(np.zeros((2, 3))).nnz == 0


def test_the_input_is_left_alone():
    matrix = sparse.csr_matrix(log_normalized(random_counts(0)))
    before = matrix.copy()
    recover_counts(matrix)
    np.testing.assert_array_equal(matrix.data, before.data)


@pytest.mark.parametrize("seed", range(3))
def test_what_never_was_counts_raises(seed):
    with pytest.raises(ValueError, match="not log1p of scaled counts: in 50 of 50 cells"):
        recover_counts(np.random.default_rng(seed).exponential(1.0, (50, 40)))


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (-1.0, "negative values")]
)
def test_values_that_cannot_be(value, message):
    matrix = log_normalized(random_counts(0))
    matrix[2, 5] = value
    with pytest.raises(ValueError, match=message):
        recover_counts(matrix)


@pytest.mark.parametrize("tolerance", [0.0, 0.5, -1.0])
def test_tolerance_has_a_range(tolerance):
    with pytest.raises(ValueError, match="`tolerance` must lie between"):
        recover_counts(np.zeros((1, 1)), tolerance=tolerance)
