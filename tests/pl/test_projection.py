"""Maps of the sphere: equal areas, known places, and lines that end at the cut."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from curvi.pl._globe import View, graticule
from curvi.pl._projection import Projection

NAMES = ["mollweide", "hammer", "lambert"]
RIGHT, UP, TOWARDS = np.eye(3)


@pytest.fixture(params=NAMES)
def projection(request):
    return Projection.named(request.param)()


def on_sphere(rng, n):
    points = rng.standard_normal((n, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def seen(lat, lon):
    return np.stack([np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)], axis=-1)


def inside(projection, xy, grow=1e-9):
    x, y, a, b = projection.ellipses.T
    return (((xy[..., :1] - x) / a) ** 2 + ((xy[..., 1:] - y) / b) ** 2 <= 1 + grow).any(-1)


def test_every_projection_is_tested():
    assert Projection.names() == NAMES


def test_the_outline_has_the_area_of_the_sphere_and_holds_all_points(projection, rng):
    a, b = projection.ellipses[:, 2:].T
    assert np.pi * (a * b).sum() == pytest.approx(4 * np.pi)
    assert inside(projection, projection.points(on_sphere(rng, 20_000))).all()


def test_small_regions_keep_their_area(projection, rng):
    # Central differences along two directions that span a unit square on the sphere.
    points = on_sphere(rng, 2000)
    points = points[(np.abs(points) > 0.02).all(1)]
    east = np.cross(UP, points)
    east /= np.linalg.norm(east, axis=1, keepdims=True)
    north = np.cross(points, east)
    step = 1e-5
    side = np.sign(projection.level(points))
    columns = [
        (projection.place(points + step * way, side) - projection.place(points - step * way, side)) / (2 * step)
        for way in (east, north)
    ]
    area = columns[0][:, 0] * columns[1][:, 1] - columns[0][:, 1] * columns[1][:, 0]
    np.testing.assert_allclose(area, 1.0, rtol=1e-6)


def test_uniform_points_fill_the_map_uniformly(projection, rng):
    xy = projection.points(on_sphere(rng, 100_000))
    # Uniform points of each ellipse become uniform in its angle and in the square of its radius.
    x, y, a, b = projection.ellipses[(xy[:, :1] > 0).astype(int).ravel() if len(projection.ellipses) > 1 else 0].T
    u, v = (xy[:, 0] - x) / a, (xy[:, 1] - y) / b
    counts, *_ = np.histogram2d(np.arctan2(v, u), u**2 + v**2, bins=(12, 10), range=((-np.pi, np.pi), (0, 1)))
    assert counts.sum() == len(xy)
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3
    # The test would notice a map that is not of equal area.
    lat, lon = np.arcsin(on_sphere(rng, 100_000)[:, 2]), rng.uniform(-np.pi, np.pi, 100_000)
    plain, *_ = np.histogram2d(lon, lat, bins=(12, 10))
    assert stats.chisquare(plain.ravel()).pvalue < 1e-100


def test_known_places():
    mollweide, hammer, lambert = (Projection.named(name)() for name in NAMES)
    for oval in (mollweide, hammer):
        ends = [[0, 0], [0, 2**0.5], [0, -(2**0.5)]]
        np.testing.assert_allclose(oval.points(np.array([TOWARDS, UP, -UP])), ends, atol=1e-15)
        np.testing.assert_allclose(oval.place(-TOWARDS, np.array(1.0)), [8**0.5, 0], atol=1e-15)
        np.testing.assert_allclose(oval.place(-TOWARDS, np.array(-1.0)), [-(8**0.5), 0], atol=1e-15)
    # Along the equator Mollweide's map is linear; a parallel is a straight line whose height bounds the cap's area.
    np.testing.assert_allclose(mollweide.points(RIGHT), [2**0.5, 0], atol=1e-15)
    parallel = mollweide.points(seen(np.full(9, 0.7), np.linspace(-3, 3, 9)))
    assert np.ptp(parallel[:, 1]) < 1e-12
    theta = np.arcsin(parallel[0, 1] / 2**0.5)
    assert 2 * theta + np.sin(2 * theta) == pytest.approx(np.pi * np.sin(0.7), rel=1e-12)
    np.testing.assert_allclose(hammer.points(RIGHT), [2 * np.sin(np.pi / 4) / np.cos(np.pi / 8), 0], atol=1e-15)
    left, right = lambert.ellipses[:, :2]
    np.testing.assert_allclose(lambert.points(np.array([TOWARDS, -TOWARDS])), [left, right])
    np.testing.assert_allclose(lambert.points(UP), left + [0, 2**0.5])
    # The far half is seen from its own side: what is to the right from here is to the left there.
    towards_right = seen(np.zeros(2), np.array([0.3, np.pi - 0.3]))
    np.testing.assert_allclose(lambert.points(towards_right)[0] - left, [2 * np.sin(0.15), 0], atol=1e-12)
    np.testing.assert_allclose(lambert.points(towards_right)[1] - right, [-2 * np.sin(0.15), 0], atol=1e-12)


def test_mollweide_is_right_up_to_the_poles():
    lat = np.concatenate([np.pi / 2 - np.geomspace(1e-12, 1, 200), np.linspace(-1.5, 1.5, 101)])
    y = Projection.named("mollweide")().points(seen(lat, np.zeros_like(lat)))[:, 1]
    theta = np.arcsin(np.clip(y / 2**0.5, -1, 1))
    np.testing.assert_allclose(2 * theta + np.sin(2 * theta), np.pi * np.sin(lat), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("view", [View(0, 0), View(0, 15), View(35, -60), View(90, 0), View(-42, 140)])
def test_no_line_crosses_the_map_and_none_is_lost(projection, view):
    for line in graticule():
        turned = view.turn(line)
        pieces = projection.line(turned)
        assert 1 <= len(pieces) <= 3
        for piece in pieces:
            assert inside(projection, piece, 1e-6).all()
            # Points are a degree apart; Mollweide's map stretches most, next to the poles.
            assert np.hypot(*np.diff(piece, axis=0).T).max() < 0.21
        # Every point is there, and both ends of each cut.
        assert sum(map(len, pieces)) == len(line) + 2 * (len(pieces) - 1)
        for one, two in zip(pieces, pieces[1:], strict=False):
            for end in (one[-1], two[0]):
                assert inside(projection, end, 1e-6)
                assert not inside(projection, end, -1e-3)


def test_a_line_across_the_cut_is_two_pieces_that_reach_the_rim(projection):
    # The equator begins in the middle and passes the cut of each map.
    longitude = np.radians(np.linspace(0, 360, 361))
    equator = seen(np.zeros(361), longitude)
    pieces = projection.line(equator)
    ends = [(round(float(piece[0, 0]), 9), round(float(piece[-1, 0]), 9)) for piece in pieces]
    r = 2**0.5
    gap = 0.03 * r
    expected = [[(0, 2 * r), (-2 * r, 0)]] * 2 + [[(-r - gap, -gap), (gap, 2 * r + gap), (-2 * r - gap, -r - gap)]]
    np.testing.assert_allclose(ends, dict(zip(NAMES, expected, strict=True))[projection.name], atol=1e-8)


def test_a_line_that_lies_on_the_cut_stays_in_one_piece():
    cut = seen(np.radians(np.linspace(-89, 89, 179)), np.full(179, np.pi)) + 1e-16
    for name in ("mollweide", "hammer"):
        (piece,) = Projection.named(name)().line(cut)
        assert np.sign(piece[:, 0]).min() == np.sign(piece[:, 0]).max()
