"""One, two and three dimensions are enough for every latent space to learn images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import scvi

import curvi
from curvi.latent import LatentSpace

if TYPE_CHECKING:
    import anndata

NETWORKS = {
    "mlp": {"network": "mlp", "n_hidden": [64, 32]},
    "conv": {"network": "conv", "n_hidden": [8], "network_kwargs": {"n_dense": 16}},
}
# As many dimensions in parts of different shape.
PRODUCT = {
    1: [("vmf", 1)],
    2: [("vmf", 1), ("lorentz", 1)],
    3: [("power_spherical", 1), ("poincare", 1), ("normal", 1)],
}


@pytest.fixture(scope="module")
def digits() -> tuple[anndata.AnnData, anndata.AnnData]:
    adata = curvi.datasets.digits()
    parts = [adata[adata.obs["split"] == split].copy() for split in ("train", "test")]
    for part in parts:
        curvi.CurviVAE.setup_anndata(part)
    return parts[0], parts[1]


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("latent", [*LatentSpace.names(), "product"])
def test_images_are_learned_in_few_dimensions(digits, quiet, latent, dim, network):
    scvi.settings.seed = 0
    train, held_out = digits
    space = {"latent": PRODUCT[dim]} if latent == "product" else {"latent": latent, "n_latent": dim}
    model = curvi.CurviVAE(train, **space, **NETWORKS[network], likelihood="bernoulli", dropout_rate=0.0)
    elbo = []
    fitting = {"batch_size": 64, "train_size": 1.0, "check_val_every_n_epoch": None, "plan_kwargs": {"lr": 5e-3}}
    for epochs in (1, 7):
        model.train(max_epochs=epochs, **fitting, **quiet)
        # The loss of every epoch, and the evidence of every single image.
        assert np.isfinite(model.history["elbo_train"].to_numpy(dtype=float)).all()
        per_image = model.get_elbo(held_out, return_mean=False)
        assert np.isfinite(per_image).all()
        elbo.append(per_image.mean())
    points = model.get_latent_representation(held_out)
    assert np.isfinite(points).all()
    assert model.manifold.dim == dim
    # In nats per image of 64 pixels.
    assert elbo[1] > elbo[0] + 2.0
    # What is decoded depends on where the image lies: it says more than the mean image.
    shown = model.decode(points)
    assert np.square(shown - held_out.X).mean() < 0.95 * np.square(train.X.mean(0) - held_out.X).mean()
