"""A model of cells that stay on disk says what a model of the same cells in memory says."""

from __future__ import annotations

import anndata
import numpy as np
import pytest
import scvi

import curvi

LEVELS = {"patient": 3, "site": 2}


@pytest.fixture
def on_disk(tmp_path):
    cells = curvi.datasets.synthetic(n_obs=600, n_vars=25, levels=LEVELS, seed=0)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    return anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")


@pytest.mark.parametrize("encode_covariates", [False, True])
def test_training_and_every_answer(on_disk, quiet, encode_covariates):
    curvi.CurviVAE.setup_anndata(on_disk, batch_key=list(LEVELS))
    scvi.settings.seed = 0
    model = curvi.CurviVAE(on_disk, n_hidden=16, encode_covariates=encode_covariates)
    model.train(max_epochs=8, batch_size=64, plan_kwargs={"lr": 1e-2}, **quiet)
    loss = model.history["elbo_train"]["elbo_train"]
    assert loss.iloc[-1] < loss.iloc[0] - 1
    in_memory = on_disk.to_memory()
    np.testing.assert_array_equal(model.get_latent_representation(), model.get_latent_representation(in_memory))
    some = [5, 599, 0, 5]
    np.testing.assert_array_equal(
        model.get_latent_representation(indices=some), model.get_latent_representation(in_memory)[some]
    )
    for ask in (model.get_elbo, model.get_normalized_expression):
        scvi.settings.seed = 1
        streamed = ask(on_disk)
        scvi.settings.seed = 1
        np.testing.assert_array_equal(streamed, ask(in_memory))


def test_new_categories_stream_through_a_blind_encoder(on_disk, quiet):
    known = on_disk.to_memory()
    known = known[known.obs["patient"] != known.obs["patient"].iloc[0]].copy()
    curvi.CurviVAE.setup_anndata(known, batch_key=list(LEVELS))
    model = curvi.CurviVAE(known, n_hidden=16)
    model.train(max_epochs=1, **quiet)
    with pytest.warns(UserWarning, match="embedded as they are"):
        streamed = model.get_latent_representation(on_disk)
    with pytest.warns(UserWarning, match="embedded as they are"):
        np.testing.assert_array_equal(streamed, model.get_latent_representation(on_disk.to_memory()))


def test_workers_of_a_loader_are_refused(on_disk, quiet):
    curvi.CurviVAE.setup_anndata(on_disk)
    with pytest.raises(ValueError, match="`num_workers` is 2"):
        curvi.CurviVAE(on_disk).train(max_epochs=1, datasplitter_kwargs={"num_workers": 2}, **quiet)
