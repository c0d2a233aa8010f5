"""ELBO, reconstruction error and marginal likelihood."""

from __future__ import annotations

import numpy as np
import pytest
import scvi
import torch

import curvi
from curvi.latent import LatentSpace

LEARNED = {"learn_curvature": True}
SPACES = {name: {"latent": name, "n_latent": 2} for name in LatentSpace.names()} | {
    "lorentz, learned": {"latent": "lorentz", "latent_kwargs": LEARNED},
    "vmf, learned": {"latent": "vmf", "latent_kwargs": LEARNED},
    "product": {"latent": [("vmf", 2), ("lorentz", 2, LEARNED), ("normal", 2)]},
    "torus": {"latent": [("vmf", 1), ("vmf", 1)]},
}


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


@pytest.mark.parametrize("space", SPACES)
def test_of_every_latent_space_the_bound_rises_from_the_elbo_with_the_draws(cells, quiet, space):
    scvi.settings.seed = 0
    curvi.CurviVAE.setup_anndata(cells, batch_key="patient")
    model = curvi.CurviVAE(cells, n_hidden=16, **SPACES[space])
    if not model.module.latent.has_prior:
        pytest.skip("without a prior there is no likelihood")
    model.train(max_epochs=20, **quiet)

    def mean_of_each_cell(method, repeats, **arguments):
        each = [method(batch_size=240, return_mean=False, **arguments) for _ in range(repeats)]
        return np.mean(each, axis=0, dtype=np.float64)

    bounds = [mean_of_each_cell(model.get_elbo, 30)]
    bounds += [
        mean_of_each_cell(model.get_marginal_ll, repeats, n_mc_samples=draws, n_mc_samples_per_pass=100)
        for draws, repeats in ((1, 30), (10, 10), (100, 4))
    ]
    gains = [np.subtract(b, a) for a, b in zip(bounds, bounds[1:], strict=False)]
    means, errors = zip(*((gain.mean(), gain.std() / len(gain) ** 0.5) for gain in gains), strict=True)
    # One draw is the ELBO itself, its divergence estimated rather than computed; with more of them the bound is higher.
    assert abs(means[0]) < 5 * errors[0]
    assert means[1] > 5 * errors[1]
    assert means[2] > 3 * errors[2]
    # No cell is less likely than its ELBO, but for noise.
    total = bounds[-1] - bounds[0]
    assert (total > -0.5).all()


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
