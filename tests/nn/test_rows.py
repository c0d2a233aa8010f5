"""Rows of length 1, dense and compressed."""

from __future__ import annotations

import torch
from scipy import sparse

from curvi.data._rows import CompressedRows
from curvi.nn import unit_rows


def test_compressed_rows_are_scaled_as_dense_ones():
    matrix = sparse.random(30, 12, density=0.15, format="csr", random_state=1)
    dense = torch.from_numpy(matrix.toarray()).float()
    assert (dense.abs().sum(1) == 0).any()
    scaled = unit_rows(CompressedRows(matrix)[torch.arange(30).numpy()])
    assert scaled.layout == torch.sparse_csr
    torch.testing.assert_close(scaled.to_dense(), unit_rows(dense))
    lengths = unit_rows(dense).norm(dim=1)
    torch.testing.assert_close(lengths[lengths > 0], torch.ones(int((lengths > 0).sum())))
