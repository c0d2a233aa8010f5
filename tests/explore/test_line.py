from __future__ import annotations

import numpy as np
import pytest

from curvi.explore import line
from curvi.manifolds import Sphere


def test_points_of_a_line_divide_the_distance_evenly(cells, ruler):
    path = line(cells, "c1", ("group", "b"), n=5)
    x, y = path.points[0], path.points[-1]
    assert ruler.on_it(path.points)
    np.testing.assert_allclose(x, cells.obsm["X_curvi"][1], atol=1e-6)
    whole = float(ruler.dist(x, y))
    assert path.length == pytest.approx(whole)
    np.testing.assert_allclose(ruler.dist(x, path.points), np.linspace(0, whole, 5), atol=1e-7)
    np.testing.assert_allclose(ruler.dist(path.points, y), np.linspace(whole, 0, 5), atol=1e-7)
    np.testing.assert_allclose(path.travelled, np.linspace(0, whole, 5))
    assert path.names == ("c1", "0.25", "0.50", "0.75", "b")
    assert path.rows.tolist() == [1, -1, -1, -1, -1]


def test_between_points_of_a_bare_manifold(manifold, make_points, ruler):
    x, y = make_points(manifold, 2, seed=3)
    path = line(manifold=manifold, start=x, end=y, n=3)
    middle = path.points[1]
    np.testing.assert_allclose(ruler.dist(x, middle), ruler.dist(middle, y), atol=1e-7)
    assert path.rows is None


def test_a_line_in_a_picture_goes_from_cell_to_cell(cells, ruler):
    path = line(cells, "c1", [2.0, 2.0], n=9, basis_2d="X_umap")
    picture = cells.obsm["X_umap"].astype(float)
    np.testing.assert_allclose(path.positions, np.linspace(picture[1], [2.0, 2.0], 9), atol=1e-7)
    nearest = ((path.positions[:, None] - picture) ** 2).sum(-1).argmin(1)
    assert path.rows.tolist() == nearest.tolist()
    assert path.rows[0] == 1
    np.testing.assert_allclose(path.points, cells.obsm["X_curvi"][nearest], atol=1e-6)
    np.testing.assert_allclose(np.diff(path.travelled), ruler.dist(path.points[:-1], path.points[1:]), atol=1e-12)


def test_bad_arguments_are_sentences(globe):
    with pytest.raises(ValueError, match="`n` is 1; it must be at least 2"):
        line(globe, 0, 1, n=1)
    with pytest.raises(ValueError, match="`basis_2d` names a picture of cells, but there are none"):
        line(manifold=Sphere(2), basis_2d="X_umap")
    with pytest.raises(ValueError, match=r"`end` is \[1.0, 0.0, 0.0\]; expected .* a point of 2 numbers"):
        line(globe, 0, [1.0, 0.0, 0.0], basis_2d="X_umap")
