"""Maps of images over two dimensions."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import curvi

PINK = {"stain": "pink"}


def _decoded(model, grid):
    return model.decode(grid.points, PINK).reshape(-1, 6, 4, 3)


@pytest.mark.parametrize(("latent", "lines", "columns"), [("vmf", 3, 6), ("normal", 3, 3)])
def test_images_of_a_table_stand_at_their_positions(painters, latent, lines, columns):
    model = painters[latent]
    grid = curvi.explore.grid(model.manifold, n=3)
    ax = curvi.pl.manifold_grid(model, grid, batch=PINK, show=False)
    (image,) = ax.images
    drawn = np.asarray(image.get_array())
    assert drawn.shape == (6 * lines, 4 * columns, 4)
    assert image.get_extent() == [-0.5, columns - 0.5, -0.5, lines - 0.5]
    # The upper left image is at the lowest x and the highest y.
    across, up = (np.unique(grid.positions[:, axis].round(9)) for axis in range(2))
    for expected, (x, y) in zip(_decoded(model, grid), grid.positions.round(9), strict=True):
        column, line = np.searchsorted(across, x), lines - 1 - np.searchsorted(up, y)
        np.testing.assert_allclose(drawn[6 * line : 6 * line + 6, 4 * column : 4 * column + 4, :3], expected, atol=1e-5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == grid.axes
    assert ax.get_ylim() == (-0.5, lines - 0.5)


def _numbers(labels):
    return np.array([float(label.get_text().replace("\N{MINUS SIGN}", "-")) for label in labels])


def test_numbers_along_an_axis_are_where_they_belong(painters):
    model = painters["normal"]
    grid = curvi.explore.grid(model.manifold, n=9)
    ax = curvi.pl.manifold_grid(model, grid, batch=PINK, show=False)
    across = grid.positions[:9, 0]
    for ticks, names in ((ax.get_xticks(), ax.get_xticklabels()), (ax.get_yticks(), ax.get_yticklabels())):
        values = _numbers(names)
        assert len(values) >= 3
        assert (np.diff(values) > 0).all()
        within = (values > across[0]) & (values < across[-1])
        # Quantiles are no even steps: the place is found among the middles of images.
        np.testing.assert_allclose(ticks[within], np.interp(values, across, np.arange(9))[within], atol=1e-9)
        assert 0 in values


def test_a_sphere_is_seen_whole(painters):
    model = painters["vmf"]
    ax = curvi.pl.manifold_grid(model, curvi.explore.grid(model.manifold, n=4), batch=PINK, show=False)
    np.testing.assert_allclose(_numbers(ax.get_yticklabels()), [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_allclose(ax.get_yticks(), [-0.5, 0.5, 1.5, 2.5, 3.5])


def _boxes(ax):
    """Left, right, bottom and top of each image, `(n, 4)`."""
    return np.array([image.get_extent() for image in ax.images])


@pytest.mark.parametrize("n", [2, 5, 8])
def test_images_of_a_disk_are_at_their_points_and_do_not_overlap(painters, n):
    model = painters["poincare"]
    grid = curvi.explore.grid(model.manifold, n=n)
    ax = curvi.pl.manifold_grid(model, grid, batch=PINK, show=False)
    left, right, bottom, top = _boxes(ax).T
    np.testing.assert_allclose(np.stack([left + right, bottom + top], axis=1) / 2, grid.positions, atol=1e-12)
    np.testing.assert_allclose((top - bottom) / (right - left), 6 / 4)
    shared_x = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    shared_y = np.minimum(top[:, None], top) - np.maximum(bottom[:, None], bottom)
    overlap = np.minimum(shared_x, shared_y)
    np.fill_diagonal(overlap, -1)
    assert overlap.max() < 1e-9
    for image, expected in zip(ax.images, _decoded(model, grid), strict=True):
        np.testing.assert_allclose(image.get_array()[..., :3], expected, atol=1e-5)
        assert image.origin == "upper"


def test_images_of_a_disk_get_smaller_towards_the_rim(painters):
    model = painters["poincare"]
    grid = curvi.explore.grid(model.manifold, n=8)
    boxes = _boxes(curvi.pl.manifold_grid(model, grid, batch=PINK, show=False))
    height = boxes[:, 3] - boxes[:, 2]
    radius = np.linalg.norm(grid.positions, axis=1)
    assert height[radius < 0.3].min() > height[radius > 0.8].max()
    assert height.min() > 0


@pytest.mark.parametrize("latent", ["normal", "poincare"])
def test_one_point(painters, latent):
    model = painters[latent]
    grid = curvi.explore.grid(model.manifold, n=1)
    ax = curvi.pl.manifold_grid(model, grid, batch=PINK, show=False)
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array())[..., :3], _decoded(model, grid)[0], atol=1e-5)


def test_size_axes_and_files(painters, tmp_path):
    model = painters["vmf"]
    grid = curvi.explore.grid(model.manifold, n=3)
    figure = curvi.pl.manifold_grid(model, grid, batch=PINK, size=0.6, return_fig=True)
    box = figure.axes[0].get_window_extent()
    assert box.height / figure.dpi == pytest.approx(3 * 0.6)
    assert box.width / box.height == pytest.approx(6 * 4 / (3 * 6))
    _, ax = plt.subplots()
    assert curvi.pl.manifold_grid(model, grid, batch=PINK, ax=ax, title="map", show=False) is ax
    assert ax.get_title() == "map"
    disk = curvi.explore.grid(painters["poincare"].manifold, n=3)
    curvi.pl.manifold_grid(painters["poincare"], disk, batch=PINK, save=tmp_path / "disk.png")
    assert (tmp_path / "disk.png").stat().st_size > 2_000


def test_what_cannot_be_drawn(painters, counter):
    grid = curvi.explore.grid(painters["vmf"].manifold, n=2)
    with pytest.raises(ValueError, match="`batch` has nothing for the batch level 'stain'"):
        curvi.pl.manifold_grid(painters["vmf"], grid)
    with pytest.raises(ValueError, match="`z` does not lie on"):
        curvi.pl.manifold_grid(painters["normal"], grid, batch=PINK)
    with pytest.raises(ValueError, match="`model` was not trained on images"):
        curvi.pl.manifold_grid(counter, grid)
    with pytest.raises(ValueError, match="`size` is 0"):
        curvi.pl.manifold_grid(painters["vmf"], grid, batch=PINK, size=0)
