"""The Poincare disk: an isometry, the distances of its circles, and geodesics that meet the rim at right angles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from curvi.manifolds import Lorentz, Poincare
from curvi.pl._poincare import DiskView, free_angle, geodesic_path


def disk_distance(one, two):
    """At curvature -1, `(...)`, from the textbook's formula."""
    gap = ((one - two) ** 2).sum(-1)
    return np.arccosh(1 + 2 * gap / ((1 - (one**2).sum(-1)) * (1 - (two**2).sum(-1))))


def in_disk(rng, n, largest=0.95):
    angle = rng.uniform(0, 2 * np.pi, n)
    return (largest * np.sqrt(rng.uniform(size=n)) * np.stack([np.cos(angle), np.sin(angle)])).T


def along(path, n=200):
    """Points of a line or of an arc of Bezier curves, `(n, 2)`."""
    if path.codes is None:
        return path.interpolated(n).vertices
    t = np.linspace(0, 1, n)[:, None]
    points, start = [], path.vertices[0]
    for one, two, end in path.vertices[1:].reshape(-1, 3, 2):
        s = 1 - t
        points.append(s**3 * start + 3 * s**2 * t * one + 3 * s * t**2 * two + t**3 * end)
        start = end
    return np.concatenate(points)


@pytest.mark.parametrize("chart", [Lorentz, Poincare])
@pytest.mark.parametrize("curvature", [1.0, 0.3, 5.0])
def test_both_charts_give_the_points_of_the_unit_disk(chart, curvature, rng):
    manifold = chart(2, curvature).double()
    xy = in_disk(rng, 50)
    ball = torch.from_numpy(xy / curvature**0.5)
    points = ball if chart is Poincare else Poincare(2, curvature).double().to_lorentz(ball)
    view = DiskView(manifold, np.zeros(2))
    np.testing.assert_allclose(view.place(points.numpy()), xy, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("chart", [Lorentz, Poincare])
@pytest.mark.parametrize("curvature", [1.0, 0.3])
def test_moving_the_middle_is_the_moebius_translation_and_keeps_distances(chart, curvature, rng):
    manifold = chart(2, curvature).double()
    points = manifold.exp0(torch.from_numpy(1.5 * rng.standard_normal((40, 2))))
    still = DiskView(manifold, np.zeros(2)).place(points.numpy())
    moved = DiskView(manifold, manifold.log0(points[7]).numpy()).place(points.numpy())
    np.testing.assert_allclose(moved[7], 0, atol=1e-12)
    z = still @ [1, 1j]
    moebius = (z - z[7]) / (1 - np.conj(z[7]) * z)
    np.testing.assert_allclose(moved @ [1, 1j], moebius, atol=1e-9)
    expected = manifold.dist(points[:, None], points).numpy() * curvature**0.5
    np.testing.assert_allclose(disk_distance(moved[:, None], moved), expected, rtol=1e-6, atol=1e-6)


def test_cells_far_out_are_told_apart_after_moving_there():
    plane = Lorentz(2).double()
    far = torch.tensor([[30.0, 0.0], [30.0, 0.0]], dtype=torch.float64)
    there = plane.exp0(plane.translate0(far, torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=torch.float64)))
    still = DiskView(plane, np.zeros(2)).place(there.numpy())
    assert np.abs(still[0] - still[1]).max() < 1e-10
    moved = DiskView(plane, far[0].numpy()).place(there.numpy())
    np.testing.assert_allclose(moved, [[0, 0], [0, np.tanh(0.5)]], atol=1e-3)


@pytest.mark.parametrize(
    ("curvature", "step"), [(1.0, 1.0), (np.float32(0.25), 2.0), (0.2, 2.0), (4.0, 0.5), (30.0, 0.1), (1e-4, 100.0)]
)
def test_circles_are_round_numbers_that_can_be_told_apart(curvature, step):
    view = DiskView(Poincare(2, float(curvature)), np.zeros(2))
    distances = view.circles()
    np.testing.assert_allclose(distances, step * np.arange(1, len(distances) + 1))
    assert 3 <= len(distances) <= 9
    radii = view.radius(distances)
    assert np.diff(radii, append=1).min() > 0.015
    point = np.array([radii[0], 0.0])
    assert disk_distance(point, np.zeros(2)) == pytest.approx(step * float(curvature) ** 0.5)


@pytest.mark.parametrize("seed", range(20))
def test_a_geodesic_is_the_shortest_way_on_a_circle_across_the_rim_at_right_angles(seed):
    start, end = in_disk(np.random.default_rng(seed), 2, largest=0.99)
    path = geodesic_path(start, end)
    points = along(path)
    ends, given = points[[0, -1]], np.stack([start, end])
    np.testing.assert_allclose(ends[ends[:, 0].argsort()], given[given[:, 0].argsort()], atol=1e-9)
    way = disk_distance(start, points) + disk_distance(points, end)
    np.testing.assert_allclose(way, disk_distance(start, end), rtol=1e-4)
    # Of the circle |p - centre| = radius: orthogonal to the unit circle if |centre|^2 = 1 + radius^2.
    centre = np.linalg.lstsq(2 * points, 1 + (points**2).sum(1), rcond=None)[0]
    radius = np.linalg.norm(points - centre, axis=1)
    np.testing.assert_allclose(radius**2 + 1, centre @ centre, rtol=1e-3)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ((-0.5, 0.2), (0.5, -0.2)),
        ((0.0, 0.0), (0.3, 0.9)),
        ((0.1, 0.1), (0.7, 0.7)),
        ((0.4, 0.1), (0.4, 0.1)),
        ((0.0, 0.0), (0.0, 0.0)),
        ((0.8, 0.3), (0.8, 0.3 + 1e-12)),
    ],
)
def test_through_the_middle_and_between_one_place_it_is_a_line(start, end):
    path = geodesic_path(np.array(start), np.array(end))
    assert np.isfinite(path.vertices).all()
    np.testing.assert_allclose(path.vertices[[0, -1]], [start, end], atol=1e-9)
    if not np.allclose(start, end):
        assert path.codes is None


def test_marks_are_written_where_no_points_are(rng):
    radii = np.array([0.4, 0.7])
    angle = rng.uniform(np.radians(10), np.radians(325), 20_000)
    xy = (rng.uniform(0, 1, 20_000) * np.stack([np.cos(angle), np.sin(angle)])).T
    assert np.degrees(free_angle(xy, radii)) == pytest.approx(345)
    assert np.degrees(free_angle(np.zeros((1, 2)), radii)) == pytest.approx(15)
