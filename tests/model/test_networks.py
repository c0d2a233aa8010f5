"""Networks chosen by name: convolutions on images through the whole model, and what meets a sentence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scvi
import torch
from sklearn.datasets import load_digits

from curvi import CurviVAE, presets
from curvi.data import from_images, to_images

if TYPE_CHECKING:
    import anndata

CONV = {"network": "conv", "n_hidden": [8], "network_kwargs": {"n_dense": 16}, "likelihood": "bernoulli"}


@pytest.fixture
def digits() -> anndata.AnnData:
    images, labels = load_digits(return_X_y=True)
    return from_images(
        images[:400].reshape(-1, 8, 8) / 16,
        labels[:400].astype(str),
        obs={"stain": ["a", "b"] * 200, "age": range(400)},
    )


def test_convolutions_learn_digits_and_load_identically(digits, quiet, tmp_path):
    scvi.settings.seed = 0
    CurviVAE.setup_anndata(digits, batch_key="stain")
    model = CurviVAE(digits, **(presets.images | {"n_latent": 4}))
    model.train(max_epochs=1, batch_size=64, **quiet)
    before = model.get_elbo()
    model.train(max_epochs=15, batch_size=64, **quiet)
    assert model.get_elbo() > before + 5
    model.save(tmp_path / "model", save_anndata=True)
    again = CurviVAE.load(tmp_path / "model")
    assert again.init_params_ == model.init_params_
    expected = model.get_latent_representation()
    np.testing.assert_array_equal(again.get_latent_representation(), expected)
    without_data = CurviVAE.load(tmp_path / "model", adata=False)
    np.testing.assert_array_equal(without_data.get_latent_representation(digits), expected)


def test_images_come_back_upright(digits, quiet):
    scvi.settings.seed = 0
    # Wedges that are their own picture only as they are: neither mirrored, turned nor transposed.
    rows, columns = np.mgrid[:8, :6]
    wedge = ((columns > rows) & (rows < 3)).astype(float)
    adata = from_images(np.stack([wedge, wedge / 2] * 32))
    CurviVAE.setup_anndata(adata)
    model = CurviVAE(adata, **(presets.autoencoder | CONV | {"likelihood": "normal"}))
    model.train(max_epochs=60, batch_size=64, train_size=1.0, plan_kwargs={"lr": 0.01}, **quiet)
    z = torch.as_tensor(model.get_latent_representation())
    with torch.inference_mode():
        shown = to_images(model.module.decoder(z, z[:, :0].long())[:, 0].numpy(), shape=(8, 6))
    error = np.square(shown - to_images(adata)).mean()
    assert error < 0.1 * np.square(np.flip(to_images(adata), 2) - to_images(adata)).mean()


@pytest.mark.parametrize("deep", [True, False])
def test_covariates_reach_every_parameter(digits, deep):
    CurviVAE.setup_anndata(digits, batch_key="stain", continuous_covariate_keys=["age"])
    model = CurviVAE(digits, **CONV, latent="vmf", encode_covariates=True, deeply_inject_covariates=deep)
    _, _, output = model.module(next(iter(model._make_data_loader(digits, batch_size=64))))
    output.loss.backward()
    assert [name for name, parameter in model.module.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("latent", ["delta", "normal", "vmf", "power_spherical", "lorentz", "poincare"])
@pytest.mark.parametrize("n_latent", [1, 2, 20])
def test_every_latent_space_takes_convolutions(digits, quiet, latent, n_latent):
    CurviVAE.setup_anndata(digits)
    model = CurviVAE(digits, **CONV, latent=latent, n_latent=n_latent)
    model.train(max_epochs=1, batch_size=128, **quiet)
    assert np.isfinite(model.get_elbo(return_mean=False)).all()


def test_one_width_is_that_of_every_stage(digits):
    CurviVAE.setup_anndata(digits)
    model = CurviVAE(digits, network="conv", n_hidden=12, n_layers=2, likelihood="normal")
    assert [layer.conv.out_channels for layer in model.module.encoder.layers] == [12] * 4


def test_genes_are_no_images(cells):
    CurviVAE.setup_anndata(cells)
    with pytest.raises(ValueError, match="network='conv' needs images.*make them with `curvi.data.from_images`"):
        CurviVAE(cells, network="conv")


def test_all_pixels_are_needed(digits):
    part = digits[:, :60].copy()
    CurviVAE.setup_anndata(part)
    message = "the data have 60 features, but images of shape (8, 8, 1) have 64 values"
    with pytest.raises(ValueError, match=re.escape(message)):
        CurviVAE(part, **CONV)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"network": "rnn"}, "unknown network 'rnn'; the known names are 'mlp', 'conv'"),
        ({"network_kwargs": {"n_block": 1}}, "network 'conv' does not take 'n_block'; it takes 'n_blocks', 'n_dense'."),
        ({"network_kwargs": {"n_blocks": -1}}, "`n_blocks` is -1; it must be 0 (none) or more"),
        ({"n_hidden": None, "n_layers": 0}, "`channels` is empty; a convolutional network needs at least one stage"),
        ({"n_hidden": [8, 0]}, "`n_hidden` is [8, 0]; each hidden layer needs a width of at least 1"),
        ({"n_hidden_decoder": [0]}, "`n_hidden_decoder` is [0]; each hidden layer needs a width of at least 1"),
    ],
)
def test_bad_networks(digits, arguments, message):
    CurviVAE.setup_anndata(digits)
    with pytest.raises(ValueError, match=re.escape(message)):
        CurviVAE(digits, **(CONV | arguments))


def test_options_of_the_other_kind_are_refused(digits):
    CurviVAE.setup_anndata(digits)
    with pytest.raises(ValueError, match="network 'mlp' does not take 'n_dense'; it takes no options"):
        CurviVAE(digits, likelihood="bernoulli", network_kwargs={"n_dense": 3})
