"""The geometry of the globe's picture."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection

from curvi.pl._globe import View, _graticule, _shading, draw_globe, views_around


def on_sphere(rng, n):
    points = rng.standard_normal((n, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize(("elev", "azim"), [(0, 0), (20, 35), (-70, 200), (90, 10), (-90, 0)])
def test_the_projection_is_a_rotation_whose_third_row_is_the_view(elev, azim, rng):
    view = View(elev, azim)
    np.testing.assert_allclose(view.frame @ view.frame.T, np.eye(3), atol=1e-15)
    assert np.linalg.det(view.frame) == pytest.approx(1.0)
    xy, depth = view.project(view.frame[2])
    np.testing.assert_allclose([*xy, depth], [0, 0, 1], atol=1e-15)


@pytest.mark.parametrize(("elev", "azim"), [(25, 40), (-50, 170), (5, -100)])
def test_the_projection_agrees_with_the_three_dimensional_axes_of_matplotlib(elev, azim, rng):
    ax = plt.figure().add_subplot(projection="3d", proj_type="ortho")
    ax.view_init(elev, azim)
    ax.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    ax.set_box_aspect((1, 1, 1))
    matrix = ax.get_proj()
    points = on_sphere(rng, 50)
    theirs = (np.c_[points, np.ones(50)] @ matrix.T)[:, :2]
    centre = (np.array([0, 0, 0, 1]) @ matrix.T)[:2]
    xy, _ = View(elev, azim).project(points)
    # Matplotlib's box has another size.
    ratio = (theirs - centre) / xy
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-6)


def test_known_points_from_a_known_side():
    xy, depth = View(0, 0).project(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]]))
    np.testing.assert_allclose(xy, [[0, 0], [1, 0], [0, 1], [0, 0]], atol=1e-15)
    np.testing.assert_allclose(depth, [1, 0, 0, -1], atol=1e-15)
    _, depth = View(90, 0).project(np.array([0.0, 0, 1]))
    assert depth == pytest.approx(1)


@pytest.mark.parametrize("n_views", [2, 3, 4, 7])
def test_from_two_views_on_every_point_is_seen(n_views, rng):
    points = on_sphere(rng, 500)
    views = views_around(points, n_views)
    assert len(views) == n_views
    # Angles are rounded to degrees.
    depth = np.max([view.project(points)[1] for view in views], axis=0)
    assert depth.min() > -0.03


def test_two_views_are_opposite_and_one_view_faces_the_cells(rng):
    centre = np.array([0.6, -0.64, 0.48])
    points = centre + 0.1 * on_sphere(rng, 300)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    (alone,) = views_around(points, 1)
    assert alone.project(centre)[1] > 0.99
    first, second = views_around(points, 2)
    np.testing.assert_allclose(first.frame[2], -second.frame[2], atol=0.03)
    assert first.project(centre)[1] > 0.9


def test_the_graticule_is_cut_where_it_turns_to_the_far_side():
    view = View(20, 30)
    behind, in_front = _graticule(view)
    for piece in [*behind, *in_front]:
        assert np.hypot(*piece.T).max() <= 1 + 1e-12
    # 12 half meridians of 181 points, 5 parallels of 361; cuts repeat a point.
    n_cuts = sum(map(len, [*behind, *in_front])) - 12 * 181 - 5 * 361
    assert 0 < n_cuts < 30
    # The point that faces the viewer is 20 degrees from the equator, which passes below the middle of the picture.
    equator = min(np.abs(piece + [0, np.sin(np.radians(20))]).sum(1).min() for piece in in_front)
    assert equator < 0.02


def test_light_comes_from_the_upper_left_and_the_rim_is_denser():
    image = _shading(100)
    brightness, opacity = image[..., :3].mean(-1), image[..., 3]
    assert brightness[70, 30] > brightness[50, 50] > brightness[20, 80]
    assert opacity[50, 50] < opacity[50, 95] < 1
    assert image.min() >= 0
    assert image.max() <= 1


def test_a_globe_is_paper_image_outline_and_two_layers_of_grid():
    ax = plt.figure().add_subplot()
    draw_globe(ax, View(10, 10), 1.0)
    behind, in_front = (c for c in ax.collections if isinstance(c, LineCollection))
    (image,) = ax.get_images()
    paper, outline = ax.patches
    assert paper.zorder < behind.zorder < image.zorder < in_front.zorder <= outline.zorder
    assert behind.get_alpha() < in_front.get_alpha()
    assert image.get_clip_path() is not None
