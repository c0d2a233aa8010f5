"""Matplotlib without a window, closed figures, and a small sphere of cells."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

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
