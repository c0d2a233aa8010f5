"""Collections of annbatch, through the data module of scvi-tools 1.5 and through the reader of this package."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
import scvi
import zarr

import curvi

annbatch = pytest.importorskip("annbatch", reason="annbatch needs Python 3.12 or newer")
modules = pytest.importorskip("scvi.dataloaders")
LEVELS, READING = ["patient", "condition"], {"chunk_size": 16, "preload_nchunks": 8, "preload_to_gpu": False}

pytestmark = [
    pytest.mark.skipif(not hasattr(modules, "AnnbatchDataModule"), reason="scvi-tools 1.5 has the data module"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part:UserWarning"),
    # The host hands columns of tables to torch, which pandas 3 makes read-only.
    pytest.mark.filterwarnings("ignore:The given NumPy array is not writable:UserWarning"),
]


@pytest.fixture
def collection(make_cells, tmp_path):
    """240 cells in three groups, mixed."""
    make_cells().write_h5ad(tmp_path / "cells.h5ad")
    made = annbatch.DatasetCollection(tmp_path / "cells.zarr")
    made.add_adatas([tmp_path / "cells.h5ad"], dataset_size=80, shuffle_chunk_size=20, rng=np.random.default_rng(0))
    return made


@pytest.fixture
def module(collection):
    loader = annbatch.Loader(batch_size=64, to="torch", **READING)
    loader.use_collection(collection)
    return modules.AnnbatchDataModule(
        loader,
        batch_key="patient",
        categorical_covariate_keys=["condition"],
        continuous_covariate_keys=["age"],
        var_names=list(loader.var.index),
        shuffle=True,
        **READING,
    )


def in_memory(collection):
    """The cells of a collection in its order."""
    groups = list(collection)
    assert len(groups) == 3
    read = [anndata.AnnData(*(anndata.io.read_elem(group[name]) for name in ("X", "obs", "var"))) for group in groups]
    return anndata.concat(read)


def test_the_data_module_trains_a_model_that_knows_the_cells(collection, module, quiet, tmp_path):
    model = curvi.CurviVAE(registry=module.registry, latent="vmf", n_latent=2, n_hidden=16, encode_covariates=True)
    assert model._levels.categories == {"patient": ("p0", "p1"), "condition": ("ctrl", "stim")}
    model.train(10, datamodule=module, **quiet)
    history = model.history["elbo_train"]["elbo_train"].astype(float)
    assert history.iloc[-1] < history.iloc[0]
    points = model.get_latent_representation(dataloader=module)
    # Of an AnnData of the same cells in the order of the collection, the model says the same.
    adata = in_memory(collection)
    assert sorted(adata.obs_names) == sorted(f"cell{i}" for i in range(240))
    curvi.CurviVAE.setup_anndata(adata, batch_key=LEVELS, continuous_covariate_keys=["age"])
    model.save(tmp_path / "model")
    loaded = curvi.CurviVAE.load(tmp_path / "model", adata)
    np.testing.assert_allclose(loaded.get_latent_representation(), points, atol=1e-5)
    assert loaded.get_elbo() == pytest.approx(model.get_elbo(dataloader=module), rel=0.02)


def test_every_cell_is_in_one_minibatch_of_an_epoch(module):
    ages = [batch["extra_continuous_covs"] for batch in map(_tensors(module), module.train_dataloader())]
    assert [len(part) for part in ages] == [64, 64, 64, 48]
    assert len(np.unique(np.concatenate(ages))) == 240
    module.set_split(train_size=0.8, validation_size=0.2)
    parts = module.train_dataloader(), module.val_dataloader()
    ages = [
        np.concatenate([_tensors(module)(batch)["extra_continuous_covs"] for batch in part]).ravel() for part in parts
    ]
    assert [len(part) for part in ages] == [192, 48]
    assert len(np.unique(np.concatenate(ages))) == 240


def _tensors(module):
    return lambda batch: module.on_before_batch_transfer(batch, dataloader_idx=0)


def test_a_group_of_a_collection_is_streamed_like_any_store(collection, quiet, tmp_path):
    group = zarr.open_group(tmp_path / "cells.zarr", mode="r")
    group = group[sorted(group.group_keys())[0]]
    obs, var = (anndata.io.read_elem(group[name]) for name in ("obs", "var"))
    streamed = anndata.AnnData(anndata.io.sparse_dataset(group["X"]), obs=obs, var=var)
    held = anndata.AnnData(anndata.io.read_elem(group["X"]), obs=obs.copy(), var=var)
    found = []
    for adata in (streamed, held):
        curvi.CurviVAE.setup_anndata(adata, batch_key=LEVELS)
        scvi.settings.seed = 0
        model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, n_hidden=16)
        model.train(2, batch_size=32, **quiet)
        found.append(model.get_latent_representation())
    np.testing.assert_array_equal(*found)
    assert isinstance(streamed.obs, pd.DataFrame)
