"""Presets of pictures and of plain autoencoders."""

from __future__ import annotations

import anndata
import numpy as np
import pytest
import scvi
import torch
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits

from curvi import CurviVAE, presets
from curvi.data import from_images

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": None}


def decoded(model: CurviVAE) -> np.ndarray:
    z = torch.as_tensor(model.get_latent_representation())
    with torch.inference_mode():
        return model.module.decoder(z, z[:, :0].long())[:, 0].numpy()


@pytest.mark.parametrize("n_latent", [1, 3])
def test_linear_learns_the_subspace_of_the_truncated_svd(n_latent):
    scvi.settings.seed = 0
    rng = np.random.default_rng(0)
    spread = np.array([6.0, 5.0, 4.0] + [0.5] * 5 + [0.3] * 22)
    x = (rng.normal(size=(400, 30)) * spread) @ np.linalg.qr(rng.normal(size=(30, 30)))[0] + rng.normal(size=30)
    adata = anndata.AnnData(x.astype(np.float32))
    CurviVAE.setup_anndata(adata)
    model = CurviVAE(adata, **presets.linear, n_latent=n_latent)
    model.train(max_epochs=300, batch_size=400, train_size=1.0, plan_kwargs={"lr": 0.05, "weight_decay": 0.0}, **QUIET)
    centred = x - x.mean(0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    learned = model.module.decoder.network.head.weight.detach().numpy()
    assert subspace_angles(learned, axes[:n_latent].T).max() < 1e-2
    error = np.square(decoded(model) - x).sum()
    assert error == pytest.approx(np.square(singular[n_latent:]).sum(), rel=0.01)


def test_autoencoder_of_digits_beats_the_linear_one():
    scvi.settings.seed = 0
    adata = from_images(load_digits().images[:600] / 16)
    CurviVAE.setup_anndata(adata)
    errors = {}
    for name in ("autoencoder", "linear"):
        model = CurviVAE(adata, **getattr(presets, name), n_latent=2)
        model.train(max_epochs=60, batch_size=64, plan_kwargs={"lr": 0.005}, **QUIET)
        errors[name] = np.square(decoded(model) - adata.X).mean()
    assert errors["autoencoder"] < 0.85 * errors["linear"]


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli"])
def test_images_see_more_of_digits_than_their_mean(likelihood):
    scvi.settings.seed = 0
    adata = from_images(load_digits().images[:300] / 16)
    CurviVAE.setup_anndata(adata)
    model = CurviVAE(adata, **(presets.images | {"likelihood": likelihood}))
    model.train(max_epochs=40, batch_size=64, plan_kwargs={"lr": 0.003}, **QUIET)
    z = torch.as_tensor(model.get_latent_representation())
    with torch.inference_mode():
        mean = model.module.generative(z, torch.ones(len(z), 1), z[:, :0].long())["px"].mean.numpy()
    assert np.square(mean - adata.X).mean() < 0.7 * adata.X.var(0).mean()
