"""Images go through the same model as cells."""

from __future__ import annotations

import numpy as np
import pytest

import curvi
from curvi.data import from_images, image_shape, to_images


@pytest.fixture
def digits():
    adata = curvi.datasets.digits()
    return adata[::6].copy()


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli", "normal"])
def test_digits_train_embed_save_and_load(digits, quiet, likelihood, tmp_path):
    curvi.CurviVAE.setup_anndata(digits)
    model = curvi.CurviVAE(digits, latent="vmf", n_latent=2, likelihood=likelihood, n_hidden=32)
    errors = []
    for _ in range(2):
        model.train(max_epochs=1, batch_size=32, **quiet)
        errors.append(model.get_reconstruction_error()["reconstruction_loss"])
    assert errors[1] < errors[0]
    points = model.get_latent_representation()
    assert points.shape == (digits.n_obs, 3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0, atol=1e-5)
    model.save(tmp_path / "model", save_anndata=True)
    loaded = curvi.CurviVAE.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.get_latent_representation(), points)
    assert image_shape(loaded.adata) == (8, 8)
    np.testing.assert_array_equal(to_images(loaded.adata), to_images(digits))


def test_stain_is_a_batch_level(digits, quiet):
    digits.obs["stain"] = np.where(np.arange(digits.n_obs) % 2, "a", "b")
    curvi.CurviVAE.setup_anndata(digits, batch_key="stain")
    model = curvi.CurviVAE(digits, latent="vmf", n_latent=2, likelihood="bernoulli", n_hidden=16)
    model.train(max_epochs=1, **quiet)
    assert model.get_latent_representation().shape == (digits.n_obs, 3)


def test_images_on_disk(digits, quiet, tmp_path):
    pixels = to_images(digits)
    on_disk = from_images(pixels, filename=tmp_path / "digits.h5ad")
    found = []
    for adata in (from_images(pixels), on_disk):
        curvi.CurviVAE.setup_anndata(adata)
        curvi.model.set_seed(0)
        model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, likelihood="bernoulli", n_hidden=16)
        model.train(max_epochs=1, **quiet)
        found.append(model.get_latent_representation())
    np.testing.assert_array_equal(found[0], found[1])
    on_disk.file.close()


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli"])
def test_numbers_up_to_255_are_refused(digits, likelihood):
    digits.X = np.rint(digits.X * 255)
    curvi.CurviVAE.setup_anndata(digits)
    with pytest.raises(ValueError, match=r"`X` has values outside \[0, 1\] \(255 in row .*from_images"):
        curvi.CurviVAE(digits, likelihood=likelihood)
