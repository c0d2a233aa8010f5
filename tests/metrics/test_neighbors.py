from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
import torch
from anndata import AnnData
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsTransformer

from curvi.manifolds import Euclidean, Sphere
from curvi.metrics import GeodesicNeighbors
from curvi.metrics import _neighbors as module


def gaussian(n, dim, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dim))


def on_sphere(n, dim, seed=0):
    points = gaussian(n, dim + 1, seed)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("dim", [1, 2, 10, 50])
def test_euclidean_graph_is_scikit_learns_very_graph(dim):
    points = gaussian(150, dim)
    ours = GeodesicNeighbors(Euclidean(dim), n_neighbors=7).fit_transform(points)
    theirs = KNeighborsTransformer(n_neighbors=7, algorithm="brute").fit_transform(points)
    assert ours.shape == theirs.shape
    assert_array_equal(ours.indptr, theirs.indptr)
    assert_array_equal(ours.indices, theirs.indices)
    assert_allclose(ours.data, theirs.data, atol=1e-6)
    assert ours.dtype == theirs.dtype


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_sphere_agrees_with_the_cosine(dim):
    points = on_sphere(150, dim)
    ours = GeodesicNeighbors(Sphere(dim), n_neighbors=7).fit_transform(points)
    theirs = KNeighborsTransformer(n_neighbors=7, metric="cosine").fit_transform(points)
    assert_array_equal(ours.indices, theirs.indices)
    assert_allclose(ours.data, np.arccos(np.clip(1 - theirs.data, -1, 1)), atol=1e-7)


def test_any_manifold_with_a_distance(taxicab):
    points = gaussian(120, 2)
    ours = GeodesicNeighbors(taxicab, n_neighbors=6).fit_transform(points)
    expected = np.argsort(cdist(points, points, "cityblock"), axis=1, kind="stable")[:, :7]
    assert_array_equal(ours.indices.reshape(120, 7), expected)


def test_new_points():
    points, new = on_sphere(100, 2), on_sphere(30, 2, seed=1)
    ours = GeodesicNeighbors(Sphere(2), n_neighbors=4).fit(points).transform(new)
    assert ours.shape == (30, 100)
    expected = np.argsort(np.arccos(new @ points.T), axis=1)[:, :5]
    assert_array_equal(ours.indices.reshape(30, 5), expected)


def test_transform_of_the_fitted_points_is_fit_transform():
    points = on_sphere(60, 2)
    transformer = GeodesicNeighbors(Sphere(2), n_neighbors=5)
    graph = transformer.fit_transform(points)
    again = transformer.transform(points)
    assert_array_equal(graph.indices, again.indices)
    assert_allclose(graph.data, again.data)


@pytest.mark.parametrize("block", [1, 700, 10**9])
def test_the_size_of_the_blocks_does_not_matter(monkeypatch, block):
    points = on_sphere(50, 2)
    expected = GeodesicNeighbors(Sphere(2), n_neighbors=5).fit_transform(points)
    monkeypatch.setattr(module, "_BLOCK", block)
    graph = GeodesicNeighbors(Sphere(2), n_neighbors=5).fit_transform(points)
    assert_array_equal(graph.indices, expected.indices)
    assert_allclose(graph.data, expected.data, rtol=1e-14)


def test_coincident_points_come_first_among_their_own_neighbours():
    points = np.repeat(on_sphere(5, 2), 4, axis=0)
    graph = GeodesicNeighbors(Sphere(2), n_neighbors=3).fit_transform(points)
    neighbor = graph.indices.reshape(20, 4)
    assert_array_equal(neighbor[:, 0], np.arange(20))
    assert_array_equal(np.sort(neighbor, axis=1), np.arange(20).reshape(5, 4).repeat(4, axis=0))
    assert (graph.data == 0).all()


def test_tiny_angles_are_told_apart():
    angle = np.array([0.0, 3e-9, 7e-9, 1.2e-8, 1.0])
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    graph = GeodesicNeighbors(Sphere(1), n_neighbors=1).fit_transform(points)
    assert_array_equal(graph.indices.reshape(5, 2)[:, 1], [1, 0, 1, 2, 3])
    assert_allclose(graph.data.reshape(5, 2)[:4, 1], [3e-9, 3e-9, 4e-9, 5e-9], rtol=1e-6)


def test_a_manifold_in_another_dtype_is_left_as_it_is():
    manifold = Sphere(2).to(torch.float16)
    GeodesicNeighbors(manifold, n_neighbors=3).fit_transform(on_sphere(20, 2))
    assert manifold.origin.dtype == torch.float16


def test_scanpy_takes_it_and_gets_its_own_graph():
    adata = AnnData(obsm={"X_rep": gaussian(200, 3).astype(np.float32)})
    default = adata.copy()
    sc.pp.neighbors(default, use_rep="X_rep", n_neighbors=10)
    sc.pp.neighbors(adata, use_rep="X_rep", transformer=GeodesicNeighbors(Euclidean(3), n_neighbors=10))
    difference = adata.obsp["connectivities"] - default.obsp["connectivities"]
    assert abs(difference).max() < 1e-4
    assert adata.uns["neighbors"]["params"]["n_neighbors"] == 10


def test_scanpys_tools_run_on_the_graph(tmp_path):
    points = np.concatenate([on_sphere(60, 2) * 0.2 + centre for centre in np.eye(3)])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    adata = AnnData(obsm={"X_rep": points})
    sc.pp.neighbors(adata, use_rep="X_rep", transformer=GeodesicNeighbors(Sphere(2), n_neighbors=15))
    sc.tl.leiden(adata, 0.1, flavor="igraph", n_iterations=2, directed=False)
    patch = np.repeat(np.arange(3), 60)
    assert len({(a, b) for a, b in zip(patch, adata.obs["leiden"], strict=True)}) == adata.obs["leiden"].nunique() == 3
    sc.tl.umap(adata, maxiter=20)
    assert np.isfinite(adata.obsm["X_umap"]).all()
    adata.write_h5ad(tmp_path / "graph.h5ad")


def test_it_is_a_scikit_learn_estimator():
    transformer = GeodesicNeighbors(Sphere(2), n_neighbors=4)
    assert transformer.get_params()["n_neighbors"] == 4
    assert clone(transformer).set_params(n_neighbors=9).get_params()["n_neighbors"] == 9
    assert "n_neighbors=4" in repr(transformer)
    with pytest.raises(NotFittedError):
        transformer.transform(on_sphere(5, 2))


@pytest.mark.parametrize("n_neighbors", [0, 10, 11])
def test_n_neighbors_has_a_range(n_neighbors):
    with pytest.raises(ValueError, match=f"`n_neighbors` is {n_neighbors}; with 10 points it must lie between 1 and 9"):
        GeodesicNeighbors(Sphere(2), n_neighbors).fit(on_sphere(10, 2))


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.full((5, 3), 2.0), "`X` does not lie on Sphere"),
        (np.full((5, 3), np.nan), "`X` does not lie on Sphere.*nan"),
        (np.ones((5, 4)), r"`X` does not lie on Sphere.*\(5, 4\)"),
        (np.ones(3), r"`X` has shape \(3,\); expected \(n, 3\)"),
    ],
)
def test_bad_points(points, message):
    with pytest.raises(ValueError, match=message):
        GeodesicNeighbors(Sphere(2), 2).fit(points)
