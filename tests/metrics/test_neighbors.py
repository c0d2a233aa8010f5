from __future__ import annotations

import logging

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

from curvi.manifolds import Euclidean, Lorentz, Poincare, Product, Sphere
from curvi.metrics import GeodesicNeighbors, _cells, _neighbors
from curvi.metrics import _exact as module
from curvi.metrics._neighbors import nearest


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


@pytest.mark.parametrize("method", ["exact", "approximate"])
def test_scanpys_tools_run_on_the_graph(tmp_path, method):
    points = np.concatenate([on_sphere(60, 2) * 0.2 + centre for centre in np.eye(3)])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    adata = AnnData(obsm={"X_rep": points})
    sc.pp.neighbors(adata, use_rep="X_rep", transformer=GeodesicNeighbors(Sphere(2), 15, method=method))
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


SPACES = {
    "plane": Euclidean(2),
    "globe": Sphere(2),
    "sphere": Sphere(10, curvature=0.3),
    "hyperbolic plane": Lorentz(2),
    "ball": Poincare(3, curvature=2.0),
    "hyperboloid": Lorentz(10),
    "product": Product([Sphere(2), Lorentz(2, curvature=0.5), Euclidean(3)]),
}


def drawn(manifold, n, scale=1.0, seed=0):
    """Points with normal tangent coordinates at the origin, in groups, some of them twice."""
    rng = np.random.default_rng(seed)
    v = scale * (rng.standard_normal((8, manifold.dim))[rng.integers(8, size=n)] + 0.3 * gaussian(n, manifold.dim))
    v[: n // 20] = v[-(n // 20) :]
    return manifold.to(torch.float64).exp0(torch.from_numpy(v)).numpy()


def by_distance(manifold, points, k):
    x = torch.from_numpy(points)
    distance = manifold.dist(x[:, None], x)
    distance.fill_diagonal_(-1)
    return distance.sort(dim=1).values[:, :k].clamp_min(0).numpy()


@pytest.mark.parametrize("scale", [1e-4, 1.0, 4.0])
@pytest.mark.parametrize("name", SPACES)
def test_exact_is_exact(name, scale):
    manifold = SPACES[name]
    points = drawn(manifold, 700, scale)
    found = nearest(manifold, points, points, 6, own_first=True, method="exact")
    assert found.recall == 1
    assert_array_equal(found.neighbor[:, 0], np.arange(700))
    assert_allclose(found.distance, by_distance(manifold, points, 6), rtol=1e-7, atol=1e-15)
    x = torch.from_numpy(points)
    assert_allclose(manifold.dist(x[:, None], x[torch.from_numpy(found.neighbor)]), found.distance, atol=1e-15)


def test_blocks_of_scores_do_not_matter(monkeypatch):
    points = on_sphere(900, 3)
    expected = nearest(Sphere(3), points, points, 6, own_first=True)
    for size in ("_ROWS", "_COLUMNS", "_GATHERED"):
        monkeypatch.setattr(module, size, 96)
    found = nearest(Sphere(3), points, points, 6, own_first=True)
    assert_array_equal(found.neighbor, expected.neighbor)
    assert_allclose(found.distance, expected.distance, rtol=1e-12)


def test_exact_where_products_have_no_digits_left():
    far = Lorentz(2).to(torch.float64)
    turn = torch.rand(700, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1e-7
    points = far.exp0(20 * torch.stack([turn.cos(), turn.sin()], 1)).numpy()
    found = nearest(far, points, points, 6, own_first=True, method="exact")
    assert_allclose(found.distance, by_distance(far, points, 6), rtol=1e-7)
    plane, shift = Euclidean(2), np.array([1e7, -1e7])
    points = gaussian(700, 2) + shift
    found = nearest(plane, points, points, 6, own_first=True, method="exact")
    assert_allclose(found.distance, by_distance(plane, points, 6), rtol=1e-7)


@pytest.mark.parametrize("name", SPACES)
def test_approximate_finds_what_it_promises(name):
    manifold = SPACES[name]
    points = drawn(manifold, 3000)
    found = nearest(manifold, points, points, 11, own_first=True, method="approximate", recall=0.97)
    expected = nearest(manifold, points, points, 11, own_first=True, method="exact")
    recall = np.mean(found.distance[:, 1:] <= expected.distance[:, -1:] * (1 + 1e-9))
    assert recall > 0.955
    assert found.recall == pytest.approx(recall, abs=0.02)
    assert_array_equal(found.neighbor[:, 0], np.arange(3000))
    assert (np.diff(found.distance, axis=1) >= 0).all()
    assert all(len(set(row)) == 11 for row in found.neighbor.tolist())
    x, neighbor = torch.from_numpy(points), torch.from_numpy(found.neighbor)
    assert_allclose(manifold.dist(x[:, None], x[neighbor]), found.distance, atol=1e-15)


def test_approximate_search_repeats_itself():
    points = on_sphere(1500, 5)
    transformer = GeodesicNeighbors(Sphere(5), 10, method="approximate", recall=0.8, random_state=3)
    first, again = transformer.fit_transform(points), clone(transformer).fit_transform(points)
    assert_array_equal(first.indices, again.indices)
    assert_array_equal(first.data, again.data)
    other = clone(transformer).set_params(random_state=4).fit_transform(points)
    assert (first.indices != other.indices).any()
    assert 0.7 < transformer.recall_ < 1


def test_approximate_neighbours_of_new_points():
    points, new = on_sphere(2000, 3), on_sphere(300, 3, seed=1)
    found = nearest(Sphere(3), new, points, 10, method="approximate")
    expected = nearest(Sphere(3), new, points, 10)
    assert np.mean(found.distance <= expected.distance[:, -1:] * (1 + 1e-9)) > 0.96


def test_more_neighbours_than_the_cells_hold():
    points = on_sphere(900, 2)
    found = nearest(Sphere(2), points, points, 400, own_first=True, method="approximate", recall=0.1)
    assert np.isfinite(found.distance).all()
    assert all(len(set(row)) == 400 for row in found.neighbor.tolist())


def test_large_data_are_searched_approximately_and_a_line_says_so(monkeypatch, caplog):
    points = on_sphere(2000, 2)
    transformer = GeodesicNeighbors(Sphere(2), 5)
    with caplog.at_level(logging.INFO, logger="curvi"):
        transformer.fit_transform(points)
    assert transformer.recall_ == 1
    assert not caplog.records
    monkeypatch.setattr(_neighbors, "OVERHEAD", 100)
    monkeypatch.setattr(_cells, "OVERHEAD", 100)
    monkeypatch.setattr(_neighbors, "_POINTS", 1000)
    with caplog.at_level(logging.INFO, logger="curvi"):
        transformer.fit_transform(points)
    assert 0.98 <= transformer.recall_ <= 1
    assert caplog.messages[0].startswith("nearest neighbours of 2000 points: approximate, ")


def test_auto_is_exact_where_cells_do_not_help(monkeypatch):
    monkeypatch.setattr(_neighbors, "OVERHEAD", 100)
    monkeypatch.setattr(_cells, "OVERHEAD", 100)
    monkeypatch.setattr(_neighbors, "_POINTS", 1000)
    points = on_sphere(2000, 60)
    transformer = GeodesicNeighbors(Sphere(60), 5)
    transformer.fit_transform(points)
    assert transformer.recall_ == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "fast"}, "unknown `method` 'fast'; the known methods are 'auto', 'exact', 'approximate'"),
        ({"recall": 1.0}, "`recall` is 1.0; it must lie between 0 and 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        GeodesicNeighbors(Sphere(2), 2, **options).fit_transform(on_sphere(10, 2))


def test_approximate_search_needs_products(taxicab):
    with pytest.raises(ValueError, match="`method` is 'approximate', but only the distance itself"):
        GeodesicNeighbors(taxicab, 2, method="approximate").fit_transform(gaussian(10, 2))
