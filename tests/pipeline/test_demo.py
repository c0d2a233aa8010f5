"""The demonstration, with few epochs."""

from __future__ import annotations

import anndata
import numpy as np
import pytest

from curvi import metrics
from curvi.pipeline import demo


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return demo(folder, seeds=(0, 1), max_epochs=3), folder


def test_a_row_for_every_embedding(result):
    table, _ = result
    assert table.columns.tolist() == ["embedding", "kNN accuracy", "sd", "ARI", "sd ARI"]
    assert table["embedding"].tolist() == ["vMF S^2", "vMF S^5", "Gaussian 2-d", "Gaussian 10-d", "PCA-50"]
    assert table["kNN accuracy"].between(0.2, 1).all()
    trained = table.iloc[:4]
    assert (trained["sd"] > 0).any(), "the seeds make a difference"
    assert table["sd"].iloc[4] == 0, "principal components have none"


def test_files(result):
    _, folder = result
    assert {file.name for file in folder.iterdir()} == {"pbmc68k.h5ad", "sphere.png", "history.png"}
    adata = anndata.read_h5ad(folder / "pbmc68k.h5ad")
    np.testing.assert_allclose(np.linalg.norm(adata.obsm["X_curvi"], axis=1), 1, atol=1e-5)
    assert adata.obs["leiden"].nunique() > 1
    assert metrics.knn_accuracy(adata, "X_curvi", "cell_type") > 0.3
    assert adata.uns["curvi"]["X_curvi"]["manifold"]["name"] == "sphere"
    assert not [column for column in adata.obs if column.startswith("_")]


def test_no_seeds(tmp_path):
    with pytest.raises(ValueError, match="`seeds` is empty"):
        demo(tmp_path, seeds=())
