from __future__ import annotations

import numpy as np
import pytest

from curvi.explore._cover import leaves, surface
from curvi.manifolds import Euclidean, Poincare, Product, Sphere


def test_leaves_are_the_parts_of_parts_in_order():
    nested = Product([Product([Sphere(1), Euclidean(3)]), Poincare(2)])
    assert [leaf.name for leaf in leaves(nested)] == ["sphere", "euclidean", "poincare"]
    assert [leaf.name for leaf in leaves(Sphere(4))] == ["sphere"]


def test_a_geometry_without_a_cover_is_a_sentence():
    with pytest.raises(ValueError, match="there is no grid over Product.*; pass points of your own"):
        surface(Product([Euclidean(2)]), 3, None, ("z0", "z1"))


@pytest.mark.parametrize("radius", [0.1, 3.0, 8.0])
@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_rings_in_the_disk_have_cells_of_equal_area(n, radius):
    r = np.linalg.norm(surface(Poincare(2).double(), n, radius, ("z0", "z1")).coordinates, axis=1)
    rings, sizes = np.unique(r.round(9), return_counts=True)
    # A circle through the middle of a ring has as much area inside as the rings before it and half of its own.
    expected = np.cumsum(sizes) - sizes / 2
    expected[0] = 0
    inside = np.sinh(rings / 2) ** 2 / np.sinh(radius / 2) ** 2
    np.testing.assert_allclose(inside * n * n, expected, rtol=1e-6)


@pytest.mark.parametrize("n", [8, 12, 20, 33])
def test_no_ring_in_the_disk_is_crowded(n):
    positions = surface(Poincare(2).double(), n, 3.0, ("z0", "z1")).positions
    rings, sizes = np.unique(np.linalg.norm(positions, axis=1).round(9), return_counts=True)
    # Room on the circle of a ring against the way to the ring before, in the conformal disk: about 1 for squares.
    squareness = 2 * np.pi * rings[2:] / sizes[2:] / np.diff(rings)[1:]
    assert squareness.min() > 0.5
    assert squareness.max() < 2
