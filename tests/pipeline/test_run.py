"""Whole runs: files out of files."""

from __future__ import annotations

import anndata
import numpy as np
import pytest
from scipy import sparse

from curvi import CurviVAE
from curvi.pipeline import RunConfig, run


@pytest.fixture
def source(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    return str(tmp_path / "cells.h5ad")


def test_everything_is_written(cells, source, tmp_path):
    config = RunConfig(
        input=source,
        batch_key="patient",
        labels_key="cell_type",
        n_top_genes=25,
        concentration_key="kappa",
        train={"max_epochs": 2},
        out=tmp_path / "out.h5ad",
        model_dir=tmp_path / "model",
        figures=tmp_path / "figures",
    )
    run(config)
    out = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert out.shape == cells.shape, "genes that were not trained on are still there"
    np.testing.assert_allclose(np.linalg.norm(out.obsm["X_curvi"], axis=1), 1, atol=1e-5)
    assert set(out.obs) == {*cells.obs, "kappa", "leiden"}
    assert set(out.uns) == {"curvi", "leiden", "neighbors"}
    assert RunConfig.read(tmp_path / "model" / "run.toml") == config
    model = CurviVAE.load(str(tmp_path / "model"), adata=False)
    assert len(model.get_var_names()) == 25
    assert "| epochs | 2 |" in (tmp_path / "model" / "README.md").read_text()
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {"embedding.png", "history.png"}


def test_the_same_configuration_gives_the_same_file(source, tmp_path):
    points = []
    for name in ("a", "b"):
        config = RunConfig(input=source, train={"max_epochs": 2}, out=tmp_path / f"{name}.h5ad")
        run(config)
        points.append(anndata.read_h5ad(tmp_path / f"{name}.h5ad"))
    np.testing.assert_array_equal(points[0].obsm["X_curvi"], points[1].obsm["X_curvi"])
    assert points[0].obs["leiden"].tolist() == points[1].obs["leiden"].tolist()


def test_no_clusters_and_no_card_over_another_page(source, tmp_path, caplog):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "README.md").write_text("My project.")
    adata = run(RunConfig(input=source, train={"max_epochs": 1}, model_dir=tmp_path / "model", leiden_resolution=0))
    assert "leiden" not in adata.obs
    assert "neighbors" not in adata.uns
    assert (tmp_path / "model" / "README.md").read_text() == "My project."
    assert "no model card was written: " in caplog.text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"input": None}, "the configuration has no `input`"),
        ({"out": None}, "neither `out` nor `model_dir` is given"),
        ({"out": "out.txt"}, r"ends in '\.txt'"),
        ({"model": {"nothing": 1}}, "unknown arguments 'nothing'"),
        ({"input": "absent.h5ad"}, "no file or folder 'absent.h5ad'"),
    ],
)
def test_what_can_be_known_before_training_is_said_before(source, tmp_path, values, message):
    given = {"input": source, "out": str(tmp_path / "out.h5ad"), **values}
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(RunConfig(**given))


def test_a_model_is_replaced_only_when_asked_to(source, tmp_path):
    config = {"input": source, "model_dir": tmp_path / "model", "leiden_resolution": 0}
    run(RunConfig(**config, train={"max_epochs": 1}))
    before = (tmp_path / "model" / "model.pt").read_bytes()
    with pytest.raises(ValueError, match="holds a model already; choose another, or pass `overwrite`"):
        run(RunConfig(**config, train={"max_epochs": 1}))
    assert (tmp_path / "model" / "model.pt").read_bytes() == before
    run(RunConfig(**config, train={"max_epochs": 2}, overwrite=True))
    assert (tmp_path / "model" / "model.pt").read_bytes() != before


def test_values_that_are_no_counts_are_refused(cells, tmp_path):
    cells.X = sparse.csr_matrix(np.log1p(cells.X.toarray()))
    cells.write_h5ad(tmp_path / "log.h5ad")
    with pytest.raises(ValueError, match="fractional values"):
        run(RunConfig(input=tmp_path / "log.h5ad", out=tmp_path / "out.h5ad"))
    assert not (tmp_path / "out.h5ad").exists()
