"""ELBO, reconstruction error and marginal likelihood."""

from __future__ import annotations

import numpy as np
import pytest
import scvi
import torch

import curvi


@pytest.fixture(params=["vmf", "normal"])
def model(request, cells, quiet) -> curvi.CurviVAE:
    scvi.settings.seed = 0
    curvi.CurviVAE.setup_anndata(cells, batch_key="patient")
    model = curvi.CurviVAE(cells, latent=request.param, n_latent=2)
    model.train(max_epochs=30, **quiet)
    return model


def test_the_marginal_likelihood_is_above_the_elbo_and_grows_with_the_draws(model):
    elbo = np.mean([model.get_elbo() for _ in range(20)])
    few, many = (np.mean([model.get_marginal_ll(n_mc_samples=k) for _ in range(3)]) for k in (5, 200))
    assert elbo < few < many


def test_the_passes_of_the_marginal_likelihood_are_only_a_matter_of_memory(model):
    whole, parts = (model.get_marginal_ll(n_mc_samples=400, n_mc_samples_per_pass=k) for k in (400, 7))
    assert whole == pytest.approx(parts, abs=0.3)


def test_one_number_a_cell_in_the_order_asked_for(model):
    order = np.argsort(model.get_elbo(return_mean=False))
    rows = order[[-1, 0, 0, len(order) // 2]]
    whole = np.stack([model.get_elbo(return_mean=False) for _ in range(40)])[:, rows]
    asked = np.stack([model.get_elbo(indices=rows, return_mean=False) for _ in range(40)])
    noise = np.sqrt((whole.var(0) + asked.var(0)) / 40)
    assert (np.abs(whole.mean(0) - asked.mean(0)) < 6 * noise).all()
    # The cells differ from one another by far more than the noise.
    assert np.abs(whole.mean(0)[[0, 1, 3]] - whole.mean(0)[[1, 3, 0]]).min() > 6 * noise.max()
    assert model.get_marginal_ll(indices=rows, n_mc_samples=10, return_mean=False).shape == (4,)


def test_the_elbo_is_reconstruction_and_divergence(model):
    error = np.mean([model.get_reconstruction_error()["reconstruction_loss"] for _ in range(20)])
    elbo = np.mean([model.get_elbo() for _ in range(20)])
    tensors = next(iter(model._make_data_loader(model.adata, batch_size=240)))
    with torch.inference_mode():
        _, _, output = model.module(tensors)
    assert -elbo - error == pytest.approx(float(output.kl_local["kl_local"].mean()), abs=0.2)


def test_training_raises_the_elbo(model):
    history = model.history["elbo_train"].to_numpy().astype(float).ravel()
    assert history[-1] < history[0]


def test_a_plain_autoencoder_has_no_likelihood(cells, quiet):
    curvi.CurviVAE.setup_anndata(cells)
    model = curvi.CurviVAE(cells, latent="delta")
    model.train(max_epochs=1, **quiet)
    with pytest.raises(ValueError, match="latent='delta' has no prior"):
        model.get_marginal_ll()
    assert model.get_elbo() == pytest.approx(-model.get_reconstruction_error()["reconstruction_loss"])
