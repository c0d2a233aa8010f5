"""Dense matrices of mostly zeros as compressed rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from anndata import AnnData

import curvi
from curvi.data import CellLoader, suits_sparse
from curvi.data._rows import CompressedRows
from curvi.data._thin import density, kept_rows

RNG = np.random.default_rng(0)
BYTES = (RNG.integers(1, 256, (40, 30)) * (RNG.random((40, 30)) < 0.2)).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("turned", [False, True])
def test_rows_are_kept_in_the_order_asked_for(dtype, turned):
    matrix = BYTES.astype(dtype)
    rows = np.array([39, 3, 3, 0])
    kept = kept_rows(np.asfortranarray(matrix) if turned else matrix, rows)
    assert kept.data.dtype == dtype
    np.testing.assert_array_equal(kept.toarray(), matrix[rows])
    again = CompressedRows(kept)[np.array([2, 0])]
    np.testing.assert_array_equal(again.to_dense(), BYTES[[3, 39]])


def test_nothing_and_everything():
    for matrix in (np.zeros((3, 4), np.float32), np.ones((3, 4), np.float32), np.zeros((3, 0), np.float32)):
        np.testing.assert_array_equal(kept_rows(matrix, np.arange(3)).toarray(), matrix)
    assert kept_rows(np.ones((3, 4), np.float32), np.arange(0)).shape == (0, 4)


def test_many_columns():
    matrix = np.zeros((2, 70_000), np.float32)
    matrix[1, [0, 65_536, 69_999]] = 1, 2, 3
    np.testing.assert_array_equal(kept_rows(matrix, np.array([1, 0])).toarray(), matrix[::-1])


def test_what_suits_compressed_rows():
    assert suits_sparse(BYTES)
    assert suits_sparse(BYTES / 255)
    assert not suits_sparse(np.ones((4, 4), np.float32))
    # There is no compiled function for their type.
    assert not suits_sparse(BYTES.astype(np.float16))
    assert density(np.zeros((0, 3))) == 0
    half = np.repeat([[0.0], [1.0]], 5000, axis=0)
    assert density(half) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("matrix", [BYTES, (BYTES / np.float32(255)).astype(np.float32), BYTES / 255])
def test_minibatches_are_those_of_dense_rows(matrix):
    adata = AnnData(matrix, uns={"curvi_images": {"height": 6, "width": 5, "channels": 1}})
    curvi.CurviVAE.setup_anndata(adata)
    manager = curvi.CurviVAE(adata, latent="normal", n_latent=2, likelihood="bernoulli").adata_manager
    rows = [5, 1, 30, 7]
    thin, dense = (list(CellLoader(manager, rows, batch_size=2, load_sparse_tensor=sparse)) for sparse in (True, False))
    for ours, theirs in zip(thin, dense, strict=True):
        assert ours["X"].layout == torch.sparse_csr
        assert ours["X"].dtype == torch.float32
        np.testing.assert_array_equal(ours["X"].to_dense(), theirs["X"])
        np.testing.assert_array_equal(ours["batch"], theirs["batch"])
