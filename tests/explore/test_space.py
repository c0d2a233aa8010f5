from __future__ import annotations

import re

import numpy as np
import pytest

from curvi.explore import activations, line, points
from curvi.manifolds import Euclidean, Lorentz, Sphere


def test_a_place_is_a_cell_a_category_a_point_or_the_origin(globe, make_points):
    point = make_points(Sphere(2), 1, seed=5)[0]
    path = points(globe, ["c7", 7, ("group", "a"), point, None])
    expected = globe.obsm["X_curvi"][7]
    np.testing.assert_allclose(path.points[[0, 1]], np.stack([expected, expected]), atol=1e-6)
    mean = globe.obsm["X_curvi"][globe.obs["group"] == "a"].mean(0)
    assert path.points[2] @ mean > 0.999 * np.linalg.norm(mean)
    np.testing.assert_allclose(path.points[3], point, atol=1e-12)
    np.testing.assert_array_equal(path.points[4], [1, 0, 0])
    assert path.names[:3] == ("c7", "c7", "a")
    assert path.names[4] == "origin"
    assert path.rows.tolist() == [7, 7, -1, -1, -1]


def test_a_number_names_a_category_of_numbers(globe):
    path = points(globe, [("plate", 1)])
    np.testing.assert_allclose(path.points, points(globe, [("plate", "1")]).points)


def test_nothing_is_written_and_points_in_float32_are_made_exact(globe):
    before = globe.obsm["X_curvi"].copy()
    path = points(globe, range(globe.n_obs))
    np.testing.assert_array_equal(globe.obsm["X_curvi"], before)
    np.testing.assert_allclose(np.linalg.norm(path.points, axis=1), 1.0, atol=1e-15)


def test_a_model_of_learned_curvature_keeps_its_gradients(make_cells):
    manifold = Lorentz(2, learn_curvature=True)
    adata = make_cells(manifold)
    activations(adata, manifold=manifold)
    assert all(parameter.requires_grad and parameter.dtype.itemsize == 4 for parameter in manifold.parameters())


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("c99", "`start` is 'c99', which is the name of 0 cells"),
        (60, "`start` is 60; cells are numbered from 0 to 59"),
        (-1, "`start` is -1; cells are numbered"),
        (("colour", "a"), "`start` is 'colour', but `adata.obs` has 'group', 'plate'"),
        (("group", "unused"), "`start` names 'unused' of 'group', which no cell has; it has 'a', 'b', 'c'"),
        ([1.0, 0.0], "`start` is [1.0, 0.0]; expected a cell, (column, category), or a point of 3 numbers on Sphere"),
        ([1.0, 1.0, 0.0], "points must have length 1"),
        ([[1.0, 0.0, 0.0]], "that is more than one"),
        ([float("nan"), 0.0, 1.0], "nan or infinite"),
        (object(), "expected a cell, (column, category), or a point"),
    ],
)
def test_places_that_do_not_exist_are_sentences(globe, place, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        line(globe, place, 0)


def test_a_category_without_a_centre_is_a_sentence(globe):
    globe.obsm["X_curvi"][:2] = [[0, 1, 0], [0, -1, 0]]
    globe.obs["pair"] = np.where(np.arange(60) < 2, "poles", "rest")
    with pytest.raises(ValueError, match=re.escape("`start` is ('pair', 'poles'), which has no centre")):
        line(globe, ("pair", "poles"), 0)


def test_cells_without_what_they_need_are_sentences(globe):
    with pytest.raises(ValueError, match="`basis` is 'X_pca', but `adata.obsm` has 'X_curvi', 'X_umap'"):
        activations(globe, "X_pca")
    with pytest.raises(ValueError, match=r"no manifold is recorded for `adata.obsm\['X_umap'\]`.*`model.embed\(\)`"):
        activations(globe, "X_umap")
    assert activations(globe, "X_umap", manifold=Euclidean(2)).shape == (60, 2)
    with pytest.raises(ValueError, match=r"does not lie on Lorentz\(dim=2\)"):
        activations(globe, manifold=Lorentz(2))
    with pytest.raises(ValueError, match="has no cells"):
        activations(globe[:0].copy())
    with pytest.raises(ValueError, match="`adata` and `manifold` are both None"):
        line()
    with pytest.raises(ValueError, match="`start` names cells, but there are none"):
        line(manifold=Sphere(2), start="c0")
