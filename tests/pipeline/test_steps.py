"""The steps of a run: what they read, what they leave alone, what they write where."""

from __future__ import annotations

import logging

import anndata
import numpy as np
import pytest
import scanpy as sc

import curvi
from curvi.pipeline import RunConfig, cluster, embed, embed_with, prepare, train

QUICK = {"max_epochs": 2}


@pytest.fixture
def config() -> RunConfig:
    return RunConfig(batch_key=("patient", "location"), train=QUICK)


@pytest.fixture
def trained(cells, config):
    return train(prepare(cells, config), config)


def test_preparing_and_training_leave_the_data_alone(cells, config):
    before = cells.copy()
    train(prepare(cells, config), config)
    assert cells.obs.equals(before.obs)
    assert cells.var.equals(before.var)
    assert list(cells.uns) == list(before.uns)
    assert list(cells.obsm) == list(before.obsm)


def test_variable_genes_are_chosen_and_their_number_is_said(cells, caplog):
    with caplog.at_level(logging.INFO, logger="curvi"):
        prepared = prepare(cells, RunConfig(n_top_genes=12, batch_key="patient"))
        everything = prepare(cells, RunConfig(n_top_genes=40))
    expected = sc.pp.highly_variable_genes(
        cells, flavor="seurat_v3", n_top_genes=12, batch_key="patient", inplace=False
    )
    assert prepared.var_names.tolist() == cells.var_names[expected["highly_variable"]].tolist()
    assert everything.shape == cells.shape
    assert "12 of 40 genes are kept for training" in caplog.text
    assert "all 40 genes are kept, as 40 were asked for" in caplog.text


def test_a_layer_keeps_its_name_so_that_new_data_are_read_alike(cells, config):
    expected = train(prepare(cells, config), config).get_latent_representation()
    cells.layers["counts"] = cells.X
    cells.X = None
    layered = RunConfig(layer="counts", batch_key=config.batch_key, train=QUICK)
    model = train(prepare(cells, layered), layered)
    embed(model, cells)
    np.testing.assert_array_equal(cells.obsm["X_curvi"], expected)


def test_layers_that_are_not_there(cells):
    with pytest.raises(KeyError, match="`layer` is 'counts'.*the layers are none"):
        prepare(cells, RunConfig(layer="counts"))
    cells.layers["raw"] = cells.X
    cells.X = None
    with pytest.raises(ValueError, match="no `X`; pass `layer`. The layers are 'raw'"):
        prepare(cells, RunConfig())


def test_one_seed_one_result(cells, config):
    def points(seed):
        chosen = RunConfig(batch_key=config.batch_key, train=QUICK, seed=seed)
        return train(prepare(cells, chosen), chosen).get_latent_representation()

    np.testing.assert_array_equal(points(1), points(1))
    assert np.abs(points(1) - points(2)).max() > 1e-3


def test_arguments_reach_the_model_and_its_training(cells):
    config = RunConfig(
        latent="normal",
        n_latent=4,
        likelihood="poisson",
        model={"n_hidden": [16, 8]},
        train={**QUICK, "train_size": 0.5},
    )
    model = train(prepare(cells, config), config)
    assert model.get_latent_representation().shape == (150, 4)
    assert model.module.likelihood.name == "poisson"
    assert len(model.train_indices) == 75
    assert len(model.history["elbo_validation"]) == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"model": {"n_hiden": 3}},
            "table `model` has unknown arguments 'n_hiden'; the known ones are 'latent', .*'n_hidden'",
        ),
        ({"model": {"adata": 3}}, "table `model` has unknown arguments 'adata'"),
        (
            {"train": {"epochs": 3}},
            "table `train` has unknown arguments 'epochs'; the known ones are 'max_epochs', .*'precision'",
        ),
        ({"model": {"dropout_rate": "high"}}, "argument in the table `model` has a value that cannot be used"),
        ({"train": {"precision": "half"}}, "half"),
        ({"latent": "globe"}, "unknown latent 'globe'"),
        ({"batch_key": "nowhere"}, "`batch_key` names 'nowhere'"),
        ({"seed": -1}, "`seed` is -1; it must lie between 0 and"),
    ],
)
def test_what_does_not_fit_is_a_sentence(cells, values, message):
    config = RunConfig(**values)
    with pytest.raises((ValueError, KeyError), match=message):
        train(prepare(cells, config), config)


def test_embedding_goes_into_the_data_with_all_its_genes(cells, config, trained):
    before = set(cells.obs)
    embed(trained, cells, "X_globe", "kappa")
    np.testing.assert_array_equal(cells.obsm["X_globe"], trained.get_latent_representation())
    assert cells.uns["curvi"]["X_globe"]["manifold"] == trained.manifold.config()
    assert (cells.obs["kappa"] > 0).all()
    assert set(cells.obs) == {*before, "kappa"}
    embed(trained, cells)
    assert set(cells.uns["curvi"]) == {"X_globe", "X_curvi"}


def test_genes_are_found_by_name(cells, trained, caplog):
    embed(trained, cells)
    more = cells[:, ::-1].copy()
    extra = curvi.datasets.synthetic(n_obs=150, n_vars=2)
    extra.var_names = ["other1", "other2"]
    extra.obs_names = more.obs_names
    joined = anndata.concat([extra, more], axis=1, merge="first")
    with caplog.at_level(logging.INFO, logger="curvi"):
        embed(trained, joined)
    np.testing.assert_array_equal(joined.obsm["X_curvi"], cells.obsm["X_curvi"])
    assert "the model reads 40 of 42 genes" in caplog.text
    with pytest.raises(ValueError, match="lacks 3 of the 40 genes of the model, 'gene0' first"):
        embed(trained, cells[:, 3:].copy())


def test_a_saved_model_embeds_cells_of_new_patients(cells, trained, tmp_path):
    embed(trained, cells)
    trained.save(str(tmp_path / "model"))
    new = curvi.datasets.synthetic(n_obs=150, n_vars=40, n_types=4)
    new.obs["patient"] = "patient9"
    with pytest.warns(UserWarning, match="'patient9' of batch level 'patient' was not seen"):
        embed_with(tmp_path / "model", new)
    np.testing.assert_allclose(new.obsm["X_curvi"], cells.obsm["X_curvi"], atol=1e-6)
    with pytest.raises(FileNotFoundError, match="there is no model in"):
        embed_with(tmp_path / "nowhere", new)


def test_an_encoder_that_reads_batches_refuses_new_patients(cells, tmp_path):
    config = RunConfig(batch_key="patient", model={"encode_covariates": True}, train=QUICK)
    train(prepare(cells, config), config).save(str(tmp_path / "model"))
    cells.obs["patient"] = "patient9"
    with pytest.raises(ValueError, match="'patient9' of batch level 'patient' was not seen in training"):
        embed_with(tmp_path / "model", cells)


def test_clusters_are_scanpys_on_geodesic_neighbours(cells, trained):
    embed(trained, cells)
    expected = cells.copy()
    cluster(trained, cells, resolution=0.5, seed=3)
    sc.pp.neighbors(expected, use_rep="X_curvi", transformer=trained.knn_transformer(), random_state=3)
    sc.tl.leiden(expected, 0.5, flavor="igraph", n_iterations=2, directed=False, random_state=3)
    assert cells.obs["leiden"].tolist() == expected.obs["leiden"].tolist()


@pytest.mark.filterwarnings("ignore:Category . in adata.obs")
def test_few_cells_can_be_clustered(cells, trained):
    few = cells[:9].copy()
    embed(trained, few)
    cluster(trained, few)
    assert few.obs["leiden"].notna().all()
