"""Matplotlib without a window, closed figures, a small sphere of cells, and small models of images."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import curvi
from curvi.data import from_images

mpl.use("Agg")

# Centres of three tight categories: the point that faces the view (0, 0), its antipode, and the right rim.
CENTRES = {"front": (1.0, 0.0, 0.0), "back": (-1.0, 0.0, 0.0), "rim": (0.05, 1.0, 0.0)}


@pytest.fixture(autouse=True)
def _closed_figures():
    import matplotlib.pyplot as plt

    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def cells(rng):
    """120 cells, 40 of each of three categories, with genes A and B and a raw matrix that has gene C too."""
    code = np.repeat(np.arange(3), 40)
    points = np.array(list(CENTRES.values()))[code] + 0.1 * rng.standard_normal((120, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical.from_codes(code, list(CENTRES)),
            "depth": points[:, 0],
            "n_genes": np.arange(120),
            "flag": code == 1,
            "name": np.array(["x", "y"])[code % 2],
        },
        index=[f"c{i}" for i in range(120)],
    )
    full = AnnData(rng.poisson(3.0, (120, 3)).astype(np.float32), obs, pd.DataFrame(index=["A", "B", "C"]))
    adata = full[:, ["A", "B"]].copy()
    adata.layers["doubled"] = 2 * adata.X
    adata.raw = full
    adata.obsm["X_curvi"] = points.astype(np.float32)
    return adata


@pytest.fixture(scope="session")
def painters():
    """By its latent space, a model of colour images 6 x 4 of two stains, which its decoder has to be told."""
    return {latent: _painter(latent) for latent in ("vmf", "poincare", "normal")}


def _painter(latent):
    rng = np.random.default_rng(0)
    label, stain = np.array(["a", "b", "c"] * 10), np.array(["pink", "violet"] * 15)
    adata = from_images(rng.random((30, 6, 4, 3)).astype(np.float32), label, obs={"stain": stain})
    curvi.CurviVAE.setup_anndata(adata, batch_key="stain")
    model = curvi.CurviVAE(adata, latent=latent, n_latent=2, likelihood="bernoulli", n_hidden=8)
    model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    model.embed()
    return model


@pytest.fixture
def tile():
    """A function: the drawn image of 6 x 4 pixels at a column and a line, the gap between columns being one pixel."""
    return _tile


def _tile(ax, column, line, head=0):
    (image,) = ax.images
    x, y = column * 5, line * 7 + head
    return np.asarray(image.get_array())[y : y + 6, x : x + 4, :3]


@pytest.fixture(scope="session")
def counter():
    """A model of cells, which are no images."""
    adata = curvi.datasets.synthetic(n_obs=50, n_vars=6)
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(adata, latent="vmf", n_latent=2)
    model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    return model
