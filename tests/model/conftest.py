"""A small data set with two batch levels, stored in every way, and a model trained on it once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd
import pytest
import scvi
from scipy import sparse

import curvi

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 1}
N, G = 240, 40


def _make_cells(n: int = N, seed: int = 0) -> anndata.AnnData:
    """Three cell types with their own profiles, in two patients of two conditions each."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=n)
    profile = np.random.default_rng(0).gamma(0.5, 4.0, (3, G))
    counts = rng.poisson(profile[kind] + 0.05).astype(np.float32)
    counts[:, 0] += 1
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical([f"type{k}" for k in kind]),
            "patient": pd.Categorical([f"p{i % 2}" for i in range(n)]),
            "condition": pd.Categorical([["ctrl", "stim"][i // 2 % 2] for i in range(n)]),
            "age": rng.normal(size=n),
        },
        index=[f"cell{i}" for i in range(n)],
    )
    var = pd.DataFrame(index=[f"gene{g}" for g in range(G)])
    return anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=var)


@pytest.fixture(scope="session")
def make_cells() -> Callable[..., anndata.AnnData]:
    return _make_cells


@pytest.fixture
def cells() -> anndata.AnnData:
    return _make_cells()


@pytest.fixture
def quiet() -> dict[str, object]:
    return dict(QUIET)


@pytest.fixture(scope="session")
def trained() -> curvi.CurviVAE:
    """A vMF model on two levels, its encoder blind to them."""
    scvi.settings.seed = 0
    adata = _make_cells()
    curvi.CurviVAE.setup_anndata(adata, batch_key=["patient", "condition"])
    model = curvi.CurviVAE(adata, latent="vmf", n_latent=2)
    model.train(max_epochs=10, **QUIET)
    return model
