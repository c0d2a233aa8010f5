from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from curvi.explore import activations, traversal
from curvi.manifolds import Euclidean, Sphere


@pytest.mark.parametrize("base", [None, "c3", ("group", "b")])
def test_steps_are_distances_along_one_geodesic_a_dimension(cells, ruler, base):
    found = traversal(cells, base, span=(-1.0, 0.5), n=7)
    dim = ruler.manifold.dim
    assert found.points.shape == (dim, 7, ruler.manifold.ambient_dim)
    assert found.dims == tuple(range(dim))
    assert ruler.on_it(found.points)
    np.testing.assert_allclose(found.steps, np.tile(np.linspace(-1.0, 0.5, 7), (dim, 1)))
    np.testing.assert_allclose(ruler.dist(found.base, found.points), np.abs(found.steps), atol=1e-7)
    # Along a geodesic, distances between neighbours add up.
    step = ruler.dist(found.points[:, :-1], found.points[:, 1:])
    np.testing.assert_allclose(step, 0.25, atol=1e-7)
    np.testing.assert_allclose(ruler.dist(found.points[:, 0], found.points[:, -1]), 1.5, atol=1e-7)


def test_directions_are_orthogonal_at_the_base(cells, ruler):
    tiny = traversal(cells, "c3", span=1e-4, n=2).points[:, 1]
    apart = ruler.dist(tiny[:, None], tiny[None, :])
    expected = 1e-4 * np.sqrt(2) * (1 - np.eye(len(tiny)))
    np.testing.assert_allclose(apart, expected, atol=1e-8)


def test_by_default_dimensions_go_as_far_as_the_cells(cells):
    found = traversal(cells, "c3", n=4)
    seen = activations(cells, base="c3")
    np.testing.assert_allclose(found.steps[:, 0], seen.min(), atol=1e-12)
    np.testing.assert_allclose(found.steps[:, -1], seen.max(), atol=1e-12)


def test_tangent_coordinates_at_the_origin_are_the_steps(manifold):
    found = traversal(manifold=manifold, span=0.7, n=3)
    with torch.no_grad():
        back = manifold.double().log0(torch.from_numpy(found.points)).numpy()
    expected = found.steps[:, :, None] * np.eye(manifold.dim)[:, None, :]
    np.testing.assert_allclose(back, expected, atol=1e-7)


def test_chosen_dimensions_come_in_the_order_asked_for(globe):
    both, one = (traversal(globe, 0, dims, span=1.0, n=3) for dims in ([1, 0], 0))
    assert (both.names, one.names) == (("z1", "z0"), ("z0",))
    np.testing.assert_array_equal(both.points[1], one.points[0])
    assert traversal(globe, 0, np.array([1, 0]), span=1.0).dims == (1, 0)


def test_on_a_sphere_a_dimension_goes_round_and_comes_back():
    found = traversal(manifold=Sphere(9), base=np.eye(10)[4], span=np.pi, n=5)
    np.testing.assert_allclose(found.points[:, 0], found.points[:, -1], atol=1e-12)
    np.testing.assert_allclose(found.points[:, 0], np.tile(-np.eye(10)[4], (9, 1)), atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "`span` is None without cells"),
        ({"span": 0.0}, "`span` is 0.0; expected (low, high)"),
        ({"span": (1.0, -1.0)}, "`span` is (1.0, -1.0); expected (low, high)"),
        ({"span": (1.0, 2.0, 3.0)}, "expected (low, high)"),
        ({"span": float("nan")}, "expected (low, high)"),
        ({"span": 1.0, "n": 1}, "`n` is 1; it must be at least 2"),
        ({"span": 1.0, "dims": [2]}, "`dims` is [2]; the dimensions of Euclidean(dim=2) are numbered from 0 to 1"),
        ({"span": 1.0, "dims": []}, "`dims` is []"),
        ({"span": 1.0, "dims": -1}, "`dims` is -1"),
    ],
)
def test_bad_arguments_are_sentences(arguments, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        traversal(manifold=Euclidean(2), **arguments)
