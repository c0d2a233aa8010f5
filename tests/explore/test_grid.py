from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from scipy.stats import norm

from curvi.explore import activations, grid
from curvi.manifolds import Euclidean, Lorentz, Poincare, Product, Sphere

CURVED = {
    "globe": (lambda: Sphere(2), np.pi),
    "small globe": (lambda: Sphere(2, 4.0), np.pi / 2),
    "disk": (lambda: Poincare(2), 3.0),
    "hyperboloid": (lambda: Lorentz(2, 0.3), 3.0),
}


@pytest.mark.parametrize("case", CURVED)
def test_every_region_has_its_share_of_the_points(case):
    make, radius = CURVED[case]
    manifold = make().double()
    found = torch.from_numpy(grid(make(), n=50).points)
    # Tangent coordinates drawn evenly stand for as much area as the exponential map makes of them.
    generator = torch.Generator().manual_seed(0)
    v = radius * (2 * torch.rand(40_000, 2, dtype=torch.float64, generator=generator) - 1)
    v = v[torch.linalg.vector_norm(v, dim=1) < radius]
    drawn = manifold.exp0(v)
    origin = manifold.origin.double().expand_as(drawn)
    area = torch.exp(manifold.log_det_exp(origin, manifold.log(origin, drawn)))
    for i, size in enumerate(np.linspace(0.3, 1.0, 12)):
        middle = found[(i * 397) % len(found)]
        inside_drawn = manifold.dist(middle, drawn) < size * radius
        inside_found = manifold.dist(middle, found) < size * radius
        share = float(area[inside_drawn].sum() / area.sum())
        assert float(inside_found.double().mean()) == pytest.approx(share, abs=0.015)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 20])
def test_the_disk_has_as_many_points_as_the_plane_and_rings_fill_it(n):
    found = grid(Poincare(2), n=n)
    assert found.points.shape == (n * n, 2)
    assert len(np.unique(found.points.round(9), axis=0)) == n * n
    # The disk of radius 1 around the base is where the points of this manifold are.
    np.testing.assert_allclose(found.positions, found.points, atol=1e-12)
    assert found.shape is None
    r = np.arctanh(np.linalg.norm(found.positions, axis=1)) * 2
    # Beyond the last ring lies half of the area of its own points, and nothing else.
    last = np.isclose(r, r.max()).sum() if n > 1 else 2
    assert np.sinh(r.max() / 2) ** 2 / np.sinh(3.0 / 2) ** 2 == pytest.approx(1 - last / (2 * n * n), abs=1e-6)


def test_positions_on_the_disk_are_seen_from_the_base():
    base = Lorentz(2).exp0(torch.tensor([0.6, -0.4])).numpy()
    found = grid(Lorentz(2), n=6, base=base, radius=2.0)
    manifold = Lorentz(2).double()
    r = manifold.dist(torch.from_numpy(base).double(), torch.from_numpy(found.points)).numpy()
    np.testing.assert_allclose(np.linalg.norm(found.positions, axis=1), np.tanh(r / 2), atol=1e-6)


def test_the_plane_has_quantiles_of_the_prior_y_upwards():
    found = grid(Euclidean(2), n=4)
    assert (found.shape, found.axes) == ((4, 4), ("z0", "z1"))
    np.testing.assert_allclose(norm.cdf(found.points[:4, 0]), [0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(norm.cdf(found.points[::4, 1]), [0.875, 0.625, 0.375, 0.125])
    np.testing.assert_array_equal(found.positions, found.points)
    lattice = grid(Euclidean(2), n=3, radius=1.5)
    np.testing.assert_allclose(lattice.points[:3, 0], [-1, 0, 1], atol=1e-15)


def test_the_globe_has_rows_by_latitude_from_north_to_south():
    found = grid(Sphere(2, 3.0), n=5)
    rows = found.points.reshape(*found.shape, 3)
    np.testing.assert_allclose(rows[:, :, 2], np.repeat([[0.8], [0.4], [0], [-0.4], [-0.8]], 10, axis=1), atol=1e-12)
    longitude = np.arctan2(found.points[:, 1], found.points[:, 0])
    np.testing.assert_allclose(found.positions, np.stack([longitude, found.points[:, 2]], axis=1), atol=1e-12)


@pytest.mark.parametrize(
    ("small", "large", "dims"),
    [
        (Sphere(2, 2.0), Sphere(9, 2.0), (7, 3)),
        (Poincare(2), Poincare(4), (1, 2)),
        (Lorentz(2), Lorentz(3), (0, 2)),
        (Euclidean(2), Euclidean(10), (4, 9)),
        (Sphere(2), Product([Euclidean(1), Sphere(3)]), (1, 3)),
    ],
)
def test_two_of_more_dimensions_are_a_surface_of_the_same_shape(small, large, dims, make_cells):
    adata = make_cells(large)
    plain, found = grid(small, n=4), grid(n=4, dims=dims, base="c3", adata=adata)
    a, b = (torch.from_numpy(made.points) for made in (plain, found))
    apart = small.double().dist(a[:, None], a[None])
    np.testing.assert_allclose(large.double().dist(b[:, None], b[None]), apart, atol=1e-6)
    np.testing.assert_array_equal(plain.positions, found.positions)
    others = np.delete(activations(adata, base="c3").columns.to_numpy(), list(dims))
    bare = make_cells(large, n=len(found.points))
    bare.obsm["X_curvi"] = found.points
    base = adata.obsm["X_curvi"][3].astype(float)
    np.testing.assert_allclose(
        activations(bare, base=large.project(torch.from_numpy(base)).numpy())[others], 0, atol=1e-6
    )


def test_two_parts_of_a_product_are_a_table_of_lines():
    found = grid(Product([Sphere(1, 0.25), Euclidean(2)]), n=4, dims=(0, 2))
    assert (found.shape, found.axes) == ((4, 4), ("z0", "z2"))
    angle = np.arctan2(found.points[:4, 1], found.points[:4, 0])
    np.testing.assert_allclose(angle, np.pi * np.array([-0.75, -0.25, 0.25, 0.75]))
    np.testing.assert_allclose(found.positions[:4, 0], 2 * angle)
    np.testing.assert_allclose(norm.cdf(found.points[::4, 3]), [0.875, 0.625, 0.375, 0.125])
    np.testing.assert_array_equal(found.points[:, 2], 0)


@pytest.mark.parametrize(
    ("manifold", "arguments", "sentence"),
    [
        (Sphere(1), {}, "a line; a grid needs two dimensions"),
        (Sphere(2), {"radius": 1.0}, "`radius` is 1.0, but the grid covers all of Sphere(dim=2)"),
        (Poincare(2), {"radius": -1.0}, "`radius` is -1.0; it must be positive and finite"),
        (Euclidean(3), {"dims": (0, 3)}, "`dims` is (0, 3); the dimensions of Euclidean(dim=3)"),
        (Euclidean(3), {"dims": (1, 1)}, "`dims` is (1, 1); expected two different dimensions"),
        (Euclidean(3), {"dims": 1}, "expected two different dimensions"),
        (Euclidean(2), {"n": 0}, "`n` is 0; it must be at least 1"),
        (None, {}, "`adata` and `manifold` are both None"),
    ],
)
def test_bad_arguments_are_sentences(manifold, arguments, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        grid(manifold, **arguments)
