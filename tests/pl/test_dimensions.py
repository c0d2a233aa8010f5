"""Tangent coordinates of cells, and how manifolds bend."""

from __future__ import annotations

import pytest

from curvi.manifolds import Euclidean, Lorentz, Poincare, Product, Sphere
from curvi.pl._dimensions import FLAT, dimensions, stretch

FLAT_ONES = [Euclidean(1), Euclidean(7), Sphere(1), Poincare(1), Product([Sphere(1), Sphere(1)])]
ROUND = [Sphere(2), Sphere(2, 4.0), Sphere(2, 1e-3), Sphere(40), Product([Sphere(2), Euclidean(3)])]
OPEN = [Lorentz(2), Poincare(2), Poincare(2, 1e-3), Lorentz(10, 4.0), Product([Poincare(2), Sphere(1)])]


@pytest.mark.parametrize("manifold", FLAT_ONES, ids=str)
def test_flat_spaces_keep_volumes(manifold):
    assert abs(stretch(manifold.double())) < FLAT


@pytest.mark.parametrize("manifold", ROUND, ids=str)
def test_geodesics_of_spheres_meet_again(manifold):
    assert stretch(manifold.double()) < -FLAT


@pytest.mark.parametrize("manifold", OPEN, ids=str)
def test_geodesics_of_hyperbolic_spaces_part(manifold):
    assert stretch(manifold.double()) > FLAT


def test_what_the_axes_say(cells):
    assert dimensions(cells, "X_curvi", None, Sphere(2)).label(1) == "z1 around the mean"
    assert dimensions(cells, "X_curvi", "c5", Sphere(2)).label(0) == "z0 around c5"
    assert dimensions(cells, "X_curvi", None, None).label(2) == "curvi 2"


def test_coordinates_of_other_points_are_those_of_the_cells(cells):
    seen = dimensions(cells, "X_curvi", ("cell_type", "back"), Sphere(2))
    assert seen.of(cells.obsm["X_curvi"][:4].astype(float)) == pytest.approx(seen.coordinates[:4], abs=1e-5)
    assert seen.of(seen.base[None]) == pytest.approx(0, abs=1e-9)
