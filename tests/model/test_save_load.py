"""Saving and loading, and the same result twice from one seed."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import scvi

import curvi


def test_another_process_embeds_identically(trained, tmp_path):
    trained.save(tmp_path / "model", save_anndata=True)
    expected = trained.get_latent_representation()
    script = f"""
        import numpy as np, curvi
        model = curvi.CurviVAE.load({str(tmp_path / "model")!r})
        np.save({str(tmp_path / "z.npy")!r}, model.get_latent_representation())
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "z.npy"), expected)


def test_a_model_loads_without_data_and_takes_it_later(trained, make_cells, tmp_path):
    trained.save(tmp_path / "model")
    model = curvi.CurviVAE.load(tmp_path / "model", adata=False)
    np.testing.assert_array_equal(model.get_latent_representation(make_cells()), trained.get_latent_representation())


def test_a_model_loaded_without_data_embeds_new_categories_when_its_encoder_is_blind(trained, make_cells, tmp_path):
    trained.save(tmp_path / "model")
    model = curvi.CurviVAE.load(tmp_path / "model", adata=False)
    adata = make_cells()
    adata.obs["condition"] = "new"
    with pytest.warns(UserWarning, match="'new' of batch level 'condition' was not seen"):
        z = model.get_latent_representation(adata)
    np.testing.assert_array_equal(z, trained.get_latent_representation())


def test_load_refuses_other_genes_and_new_categories(trained, make_cells, tmp_path):
    trained.save(tmp_path / "model")
    with pytest.raises(ValueError, match="not those of the model in its order"):
        curvi.CurviVAE.load(tmp_path / "model", adata=make_cells()[:, ::-1].copy())
    with pytest.raises(ValueError, match="lacks 1 of the 40 genes"):
        curvi.CurviVAE.load(tmp_path / "model", adata=make_cells()[:, 1:].copy())
    adata = make_cells()
    adata.obs["patient"] = [0] * adata.n_obs
    with pytest.raises(ValueError, match="0 of batch level 'patient' was not seen"):
        curvi.CurviVAE.load(tmp_path / "model", adata=adata)


def test_every_constructor_argument_survives(cells, quiet, tmp_path):
    curvi.CurviVAE.setup_anndata(cells, batch_key=["patient", "condition"], continuous_covariate_keys=["age"])
    model = curvi.CurviVAE(cells, **curvi.presets.scphere, dispersion="gene-batch", dispersion_level="condition")
    model.train(max_epochs=1, **quiet)
    model.save(tmp_path / "model")
    again = curvi.CurviVAE.load(tmp_path / "model", adata=cells)
    assert again.init_params_ == model.init_params_
    scvi.settings.seed = 0
    expected = model.get_elbo()
    scvi.settings.seed = 0
    assert again.get_elbo() == expected


def test_training_goes_on_after_loading(trained, tmp_path, quiet):
    trained.save(tmp_path / "model", save_anndata=True)
    model = curvi.CurviVAE.load(tmp_path / "model")
    before = model.get_latent_representation()
    model.train(max_epochs=1, **quiet)
    assert not np.array_equal(model.get_latent_representation(), before)


@pytest.mark.parametrize("latent", ["vmf", "normal"])
def test_one_seed_gives_one_result(make_cells, quiet, latent):
    def embedding(seed: int) -> np.ndarray:
        scvi.settings.seed = seed
        adata = make_cells()
        curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
        model = curvi.CurviVAE(adata, latent=latent, thinning_weight=1.0)
        model.train(max_epochs=3, **quiet)
        return model.get_latent_representation()

    first = embedding(5)
    np.testing.assert_array_equal(embedding(5), first)
    assert not np.array_equal(embedding(6), first)
