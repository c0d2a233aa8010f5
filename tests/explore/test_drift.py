from __future__ import annotations

import re

import numpy as np
import pytest
import torch

import curvi
from curvi.explore import drift
from curvi.manifolds import Euclidean, Lorentz, Product, Sphere


class Shifted:
    """A model whose decoder knows every point, and whose encoder is off by a known distance."""

    def __init__(self, manifold, by: float) -> None:
        self.manifold = manifold
        self.by = by
        self.asked: list[dict] = []

    def decode(self, z, **arguments):
        self.asked.append(arguments)
        return z

    def encode(self, x, **arguments):
        self.asked.append(arguments)
        x = torch.from_numpy(x)
        u = torch.from_numpy(np.broadcast_to(self.by * np.eye(x.shape[-1])[1], x.shape).copy())
        return self.manifold.exp(x, u).numpy()


def test_it_is_the_distance_to_where_a_decoded_point_is_encoded():
    manifold = Sphere(2, 0.25)
    model = Shifted(manifold, 0.3)
    points = np.broadcast_to(np.eye(3)[0], (2, 4, 3))
    # An angle of 0.3 on a sphere of radius 2.
    np.testing.assert_allclose(drift(model, points, batch={"a": 1}, library_size=5.0), np.full((2, 4), 0.6))
    assert model.asked == [
        {"batch": {"a": 1}, "continuous": None, "library_size": 5.0},
        {"batch": {"a": 1}, "continuous": None},
    ]


@pytest.mark.parametrize("manifold", [Euclidean(3), Lorentz(2), Product([Sphere(2), Euclidean(1)])], ids=str)
def test_a_point_that_comes_back_does_not_drift(manifold, make_points):
    np.testing.assert_allclose(drift(Shifted(manifold, 0.0), make_points(manifold, 9)), 0, atol=1e-12)


def test_points_far_from_all_cells_drift_more_than_cells():
    curvi.model.set_seed(0)
    adata = curvi.datasets.synthetic(n_obs=400, n_vars=30, levels={"patient": 2})
    curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
    model = curvi.CurviVAE(adata, latent="normal", n_latent=2, n_hidden=32)
    model.train(max_epochs=20, enable_progress_bar=False, enable_model_summary=False, logger=None)
    z = model.get_latent_representation()
    batch = {"patient": adata.obs["patient"].iloc[0]}
    of_cells, far = (drift(model, points, batch=batch, library_size=1000.0) for points in (z, 10 * z))
    assert of_cells.shape == (400,)
    assert np.median(far) > 5 * np.median(of_cells)
    with pytest.raises(ValueError, match=re.escape("`batch` has nothing for the batch level 'patient'")):
        drift(model, z)
