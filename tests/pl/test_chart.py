"""Coordinates that reach every point of a manifold."""

from __future__ import annotations

import pytest
import torch

from curvi.manifolds import Euclidean, Lorentz, Poincare, Product, Sphere
from curvi.pl._chart import chart

TORUS = Product([Sphere(1), Product([Sphere(1, 4.0), Euclidean(2)])])
MANIFOLDS = [
    Euclidean(1),
    Euclidean(7),
    Sphere(1),
    Sphere(2, 0.3),
    Sphere(6),
    Lorentz(3),
    Poincare(2, 2.0),
    Product([Lorentz(2), Sphere(2), Euclidean(1), Sphere(3)]),
    TORUS,
]


@pytest.mark.parametrize("manifold", MANIFOLDS, ids=str)
def test_there_and_back(manifold):
    manifold = manifold.double()
    coordinates = chart(manifold)
    assert len(coordinates.names) == len(coordinates.ends) == manifold.dim
    assert len(set(coordinates.names)) == manifold.dim
    points = manifold.exp0(torch.randn(50, manifold.dim, dtype=torch.float64))
    numbers = coordinates.coordinates(points)
    assert numbers.shape == (50, manifold.dim)
    torch.testing.assert_close(coordinates.points(numbers), points, atol=1e-9, rtol=0)
    for column, ends in zip(numbers.T, coordinates.ends, strict=True):
        if ends is not None:
            assert ends[0] <= column.min()
            assert column.max() <= ends[1]


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_angles_cover_the_sphere_and_the_numbers_are_those_of_the_map(dim):
    coordinates = chart(Sphere(dim))
    low, high = (torch.tensor(side, dtype=torch.float64) for side in zip(*coordinates.ends, strict=True))
    angles = low + (high - low) * torch.rand(1000, dim, dtype=torch.float64)
    points = coordinates.points(angles)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(1000, dtype=torch.float64))
    # Away from the poles, where they are not unique, angles come back too.
    torch.testing.assert_close(coordinates.coordinates(points), angles)
    # Each orthant has points.
    assert len(torch.unique(points.sign(), dim=0)) == 2 ** (dim + 1)


def test_longitude_and_latitude():
    globe = chart(Sphere(2))
    assert globe.names == ("longitude", "latitude")
    found = globe.points(torch.tensor([[0.0, 0.0], [90.0, 0.0], [180.0, 30.0], [12.0, -90.0]], dtype=torch.float64))
    expected = [[1, 0, 0], [0, 1, 0], [-(0.75**0.5), 0, 0.5], [0, 0, -1]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    # At a pole any longitude would do.
    pole = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    assert globe.coordinates(pole).tolist() == [0, 90]


def test_parts_are_named_apart():
    assert chart(Sphere(3)).names == ("longitude", "latitude 1", "latitude 2")
    assert chart(Product([Lorentz(2), Sphere(2), Euclidean(1)])).names == (
        "z0",
        "z1",
        "longitude of part 1",
        "latitude of part 1",
        "z4",
    )
    assert chart(TORUS).names == ("longitude of part 0", "longitude of part 0 of part 1", "z2", "z3")
