"""Cells on every manifold, with what names and pictures of them there are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from curvi.manifolds import Euclidean, Lorentz, Manifold, Poincare, Product, Sphere

CASES = {
    "plane": lambda: Euclidean(2),
    "flat-10": lambda: Euclidean(10),
    "circle": lambda: Sphere(1),
    "globe": lambda: Sphere(2),
    "large globe": lambda: Sphere(2, 0.25),
    "sphere-9": lambda: Sphere(9, 2.0, learn_curvature=True),
    "hyperboloid": lambda: Lorentz(2),
    "hyperboloid-3": lambda: Lorentz(3, 2.0, learn_curvature=True),
    "disk": lambda: Poincare(2),
    "ball": lambda: Poincare(3, 0.5),
    "torus": lambda: Product([Sphere(1), Sphere(1)]),
    "mixture": lambda: Product([Sphere(2, 0.5), Lorentz(2, 2.0), Euclidean(3), Poincare(1)]),
    "nested": lambda: Product([Product([Sphere(2), Poincare(2)]), Sphere(1)]),
}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def manifold(request) -> Manifold:
    return request.param()


def scattered(manifold: Manifold, n: int, spread: float = 0.5, seed: int = 0) -> np.ndarray:
    """Points around the origin, `(n, ambient_dim)`, near enough to each other to have a mean."""
    v = spread * torch.randn(n, manifold.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    v = v / (1 + torch.linalg.vector_norm(v, dim=1, keepdim=True))
    with torch.no_grad():
        return manifold.exp0(v).numpy()


def on(manifold: Manifold, n: int = 60) -> AnnData:
    """Cells of three groups, one without, on a manifold that is recorded, with a picture of them."""
    rng = np.random.default_rng(0)
    groups = pd.Categorical.from_codes(np.append(np.arange(n - 1) % 3, -1), ["a", "b", "c", "unused"])
    obs = pd.DataFrame({"group": groups, "plate": np.arange(n) % 2}, index=[f"c{i}" for i in range(n)])
    adata = AnnData(np.ones((n, 2), dtype=np.float32), obs)
    adata.obsm["X_curvi"] = scattered(manifold, n).astype(np.float32)
    adata.obsm["X_umap"] = rng.normal(size=(n, 2)).astype(np.float32)
    adata.uns["curvi"] = {"X_curvi": {"manifold": manifold.config()}}
    return adata


@pytest.fixture
def cells(manifold) -> AnnData:
    return on(manifold)


@pytest.fixture
def globe() -> AnnData:
    return on(Sphere(2))


class Ruler:
    """Distances between numpy points, in float64, by the manifold itself."""

    def __init__(self, manifold: Manifold) -> None:
        self.manifold = manifold.requires_grad_(False).double()

    def dist(self, x, y) -> np.ndarray:
        return self.manifold.dist(*(torch.as_tensor(np.array(p, dtype=np.float64)) for p in (x, y))).numpy()

    def on_it(self, points) -> bool:
        return self.manifold.contains(torch.as_tensor(points), atol=1e-9)[0]


@pytest.fixture
def ruler(manifold) -> Ruler:
    return Ruler(manifold)


@pytest.fixture
def make_cells():
    return on


@pytest.fixture
def make_points():
    return scattered
