"""Principal components of an embedding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from anndata import AnnData
from sklearn.decomposition import PCA

from curvi.explore import line, pca
from curvi.manifolds import Euclidean, Lorentz, Sphere


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_in_flat_space_they_are_the_usual_ones(rng):
    points = rng.normal(size=(80, 5)) @ rng.normal(size=(5, 5)) + 3
    adata = AnnData(np.ones((80, 1), dtype=np.float32))
    adata.obsm["X_curvi"] = points
    found = pca(adata, manifold=Euclidean(5), n_comps=3)
    expected = PCA(3).fit(points)
    np.testing.assert_allclose(np.abs(found.loadings.T @ expected.components_.T), np.eye(3), atol=1e-9)
    np.testing.assert_allclose(found.variance, expected.explained_variance_)
    np.testing.assert_allclose(found.variance_ratio, expected.explained_variance_ratio_)
    np.testing.assert_allclose(np.abs(found.coordinates), np.abs(expected.transform(points)), atol=1e-9)
    assert (found.loadings.max(axis=0) >= -found.loadings.min(axis=0)).all()
    assert found.to_frame().columns.tolist() == ["z0", "z1", "z2", "z3", "z4", "variance", "variance_ratio"]


def test_on_every_manifold_they_hold_all_of_the_variance(cells, manifold):
    found = pca(cells)
    count = min(manifold.dim, cells.n_obs - 1)
    assert found.loadings.shape == (manifold.dim, count)
    np.testing.assert_allclose(found.loadings.T @ found.loadings, np.eye(count), atol=1e-9)
    assert found.variance_ratio.sum() == pytest.approx(1)
    assert (np.diff(found.variance) <= 1e-12).all()
    np.testing.assert_allclose(found.coordinates.var(axis=0, ddof=1), found.variance)
    inside, reason = manifold.contains(torch.from_numpy(found.base), atol=1e-4)
    assert inside, reason


@pytest.mark.parametrize("manifold", [Sphere(3), Lorentz(3)])
def test_the_first_is_the_geodesic_that_the_cells_lie_along(rng, manifold):
    direction = np.array([0.6, 0.0, 0.8])
    along = rng.uniform(-1, 1, size=200)
    tangent = along[:, None] * direction + 0.02 * rng.normal(size=(200, 3))
    adata = AnnData(np.ones((200, 1), dtype=np.float32))
    adata.obsm["X_curvi"] = manifold.exp0(torch.from_numpy(tangent)).numpy()
    found = pca(adata, base=manifold.origin.tolist(), manifold=manifold)
    assert found.loadings[:, 0] @ direction == pytest.approx(1, abs=1e-3)
    assert found.variance_ratio[0] > 0.99
    assert abs(np.corrcoef(found.coordinates[:, 0], along)[0, 1]) > 0.999


def test_the_components_are_a_picture_for_lines(cells):
    found = pca(cells, n_comps=1 if cells.obsm["X_curvi"].shape[1] < 2 else None, key_added="X_pca")
    np.testing.assert_array_equal(cells.obsm["X_pca"], found.coordinates)
    if found.coordinates.shape[1] > 1:
        way = line(cells, 0, 1, n=3, basis_2d="X_pca")
        np.testing.assert_allclose(way.positions[[0, -1]], found.coordinates[[0, 1], :2])


def test_what_has_no_components(rng):
    adata = AnnData(np.ones((6, 1), dtype=np.float32))
    adata.obsm["X_curvi"] = rng.normal(size=(6, 3))
    adata.obsm["same"] = np.ones((6, 3))
    adata.obsm["poles"] = np.array([[1.0, 0, 0], [-1, 0, 0]] * 3)
    with pytest.raises(ValueError, match=r"`n_comps` is 4; 6 cells on Euclidean\(dim=3\) have at most 3 components"):
        pca(adata, n_comps=4, manifold=Euclidean(3))
    with pytest.raises(ValueError, match="`n_comps` is 0; it must be at least 1"):
        pca(adata, n_comps=0, manifold=Euclidean(3))
    with pytest.raises(ValueError, match="lie at one point"):
        pca(adata, "same", manifold=Euclidean(3))
    with pytest.raises(ValueError, match="no Frechet mean to look from; pass `base=`"):
        pca(adata, "poles", manifold=Sphere(2))
    with pytest.raises(ValueError, match="have at most 0 components"):
        pca(adata[:1], manifold=Euclidean(3))
