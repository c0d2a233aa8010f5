from __future__ import annotations

import hashlib

import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

from curvi.datasets import pbmc68k


@pytest.fixture(scope="module")
def adata():
    return pbmc68k()


def test_the_very_counts(adata):
    digest = hashlib.sha256()
    for part in (adata.X.indptr, adata.X.indices, adata.X.data):
        digest.update(part.astype("<i8").tobytes())
    assert digest.hexdigest() == "1920f6d6fc43f1beeba2a7ffba0328682fd1fda924d52de0f79bad34ad395e49"


def test_shape_and_kind(adata):
    assert adata.shape == (700, 765)
    assert sparse.isspmatrix_csr(adata.X)
    assert adata.X.dtype == np.float32
    assert adata.X.data.min() == 1
    np.testing.assert_array_equal(adata.X.data, np.rint(adata.X.data))


def test_normalising_the_counts_again_gives_what_scanpy_ships(adata):
    # Independent of the recovery: the recorded number of counts over all genes is the size that was divided by.
    raw = sc.datasets.pbmc68k_reduced().raw
    size = adata.obs["n_counts_all_genes"].to_numpy()[:, None]
    again = np.log1p(adata.X.toarray() / size * 1e4)
    np.testing.assert_allclose(again, raw.X.toarray(), atol=1e-3)
    np.testing.assert_array_equal(adata.var_names, raw.var_names)


def test_annotation(adata):
    assert adata.obs["cell_type"].value_counts().to_dict()["Dendritic"] == 240
    assert adata.obs["cell_type"].nunique() == 10
    assert adata.obs["phase"].value_counts().to_dict() == {"G1": 501, "S": 182, "G2M": 17}
    assert not adata.obs[["S_score", "G2M_score"]].isna().any(axis=None)
    # Scanpy's rule for the phase: S if that score is the larger, G2M if the other is, G1 if neither is above 0.
    scores = adata.obs[["S_score", "G2M_score"]]
    assert (scores[adata.obs["phase"] == "G1"] < 0).all(axis=None)
    assert (scores["S_score"] > scores["G2M_score"])[adata.obs["phase"] == "S"].all()


def test_it_can_be_saved_and_each_call_is_new(adata, tmp_path):
    adata.write_h5ad(tmp_path / "cells.h5ad")
    back = sc.read_h5ad(tmp_path / "cells.h5ad")
    assert (back.X != adata.X).nnz == 0
    other = pbmc68k()
    other.X.data[:] = 0
    assert adata.X.sum() == 486651
