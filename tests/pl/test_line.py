"""What lies on the way from one point to another."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection, PathCollection

import curvi
from curvi.manifolds import Euclidean, Product, Sphere
from curvi.pl._scene import dimensions_scene, finely, scene_of_path

PINK = {"stain": "pink"}
# A line of text is two pixels high.
HEAD = 2


def _way(model, n=4):
    return curvi.explore.line(model.adata, ("label", "a"), 7, n=n)


def _dots(ax):
    (dots,) = (line for line in ax.get_lines() if line.get_marker() == "o" and line.get_fillstyle() == "full")
    return dots.get_xydata()


def _line(ax):
    return [c for c in ax.collections if isinstance(c, LineCollection)][-1].get_segments()


@pytest.mark.parametrize("latent", ["vmf", "poincare", "normal"])
def test_images_below_cells(painters, tile, latent):
    model = painters[latent]
    way = _way(model)
    cells, images = curvi.pl.line(model, way, color="label", batch=PINK, show=False)
    expected = model.decode(way.points, PINK).reshape(4, 6, 4, 3)
    for column in range(4):
        np.testing.assert_allclose(tile(images, column, 0, HEAD), expected[column], atol=1e-5)
    assert [text.get_text() for text in images.texts] == ["a", "0.33", "0.67", way.names[-1]]
    (scatter,) = (c for c in cells.collections if isinstance(c, PathCollection))
    assert len(scatter.get_offsets()) == 30
    assert cells.get_title() == "label"
    assert images.get_window_extent().y1 < cells.get_window_extent().y0
    for ax in (cells, images):
        box = ax.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= ax.figure.bbox.x1
    height = images.get_window_extent().height / images.figure.dpi
    assert height == pytest.approx(0.7 * (6 + HEAD) / 6, rel=1e-6)


def test_in_flat_space_the_line_is_straight(painters):
    model = painters["normal"]
    way = _way(model)
    cells, _ = curvi.pl.line(model, way, batch=PINK, show=False)
    np.testing.assert_allclose(_dots(cells), way.points, atol=1e-6)
    (piece,) = _line(cells)
    np.testing.assert_allclose(piece[[0, -1]], way.points[[0, -1]], atol=1e-6)
    direction = (way.points[-1] - way.points[0]) / np.linalg.norm(way.points[-1] - way.points[0])
    across = (piece - way.points[0]) @ np.array([-direction[1], direction[0]])
    np.testing.assert_allclose(across, 0, atol=1e-6)
    assert (cells.get_xlabel(), cells.get_ylabel()) == ("z0", "z1")


def test_a_disk_and_a_map_are_seen_whole(painters):
    model = painters["poincare"]
    cells, _ = curvi.pl.line(model, _way(model), batch=PINK, show=False)
    assert (np.linalg.norm(_dots(cells), axis=1) < 1).all()
    np.testing.assert_allclose(cells.get_ylim(), (-1.03, 1.03))
    # In the Poincare ball the disk around the origin is the points themselves.
    np.testing.assert_allclose(_dots(cells), _way(model).points, atol=1e-6)
    model = painters["vmf"]
    cells, _ = curvi.pl.line(model, _way(model), batch=PINK, show=False)
    reach = np.abs(cells.get_xlim()).max()
    assert reach > 2 * np.sqrt(2)
    # The middle of the path is in the middle of the map.
    assert np.abs(_dots(cells)).max() < np.sqrt(2)
    np.testing.assert_allclose(_dots(cells)[0], -_dots(cells)[-1], atol=1e-2)


def test_a_line_in_a_picture_shows_which_cells_it_is_taken_through(painters, tile):
    model = painters["vmf"]
    adata = model.adata.copy()
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(30, 3))
    way = curvi.explore.line(adata, 2, (1.0, 1.0), n=5, basis_2d="X_umap")
    cells, images = curvi.pl.line(model, way, adata, basis_2d="X_umap", batch=PINK, show=False)
    np.testing.assert_allclose(_dots(cells), way.positions)
    (rings,) = (line for line in cells.get_lines() if line.get_fillstyle() == "none")
    np.testing.assert_allclose(rings.get_xydata(), adata.obsm["X_umap"][way.rows, :2])
    assert cells.get_xlabel() == "umap 0"
    np.testing.assert_allclose(
        tile(images, 0, 0, HEAD), model.decode(adata.obsm["X_curvi"][[2]], PINK).reshape(6, 4, 3), atol=1e-5
    )
    with pytest.raises(ValueError, match="`path` was chosen in a picture; pass the `basis_2d`"):
        curvi.pl.line(model, way, adata, batch=PINK)
    with pytest.raises(ValueError, match="`path` was not chosen in a picture"):
        curvi.pl.line(model, _way(model), adata, basis_2d="X_umap", batch=PINK)
    with pytest.raises(ValueError, match="`basis_2d` is 'X_tsne', but"):
        curvi.pl.line(model, way, adata, basis_2d="X_tsne", batch=PINK)


def test_pieces_follow_the_geodesic_and_do_not_cross_a_cut():
    globe = Sphere(2).double()
    ends = [np.array([-0.8, 0.6, 0.0]), np.array([-0.8, -0.6, 0.0])]
    path = curvi.explore.line(manifold=globe, start=ends[0], end=ends[1], n=3)
    fine = finely(path)
    np.testing.assert_allclose(np.linalg.norm(fine, axis=1), 1)
    np.testing.assert_allclose(fine[:, 2], 0, atol=1e-9)
    lengths = globe.dist(torch.from_numpy(fine[:-1]), torch.from_numpy(fine[1:]))
    assert lengths.sum().item() == pytest.approx(path.length)
    cells = curvi.datasets.synthetic(n_obs=30, n_vars=3, shape="sphere")
    # Around (1, 0, 0) the way from 143 to 217 degrees passes the point that is opposite.
    seen = dimensions_scene(cells, "latent", (0, 1), [1.0, 0.0, 0.0], globe)
    first, second = seen.pieces(fine)
    assert first[:, 0].min() > 2
    assert second[:, 0].max() < -2
    centred = scene_of_path(cells, path, basis="latent", basis_2d=None, dims=(0, 1), base=None)
    assert len(centred.pieces(fine)) == 1
    cut = scene_of_path(cells, path, basis="latent", basis_2d=None, dims=(0, 1), base=[1.0, 0.0, 0.0])
    assert len(cut.pieces(fine)) == 2


def test_a_torus_and_many_dimensions_are_two_of_them(rng):
    torus = Product([Sphere(1), Sphere(1)]).double()
    for manifold in (torus, Euclidean(4).double(), Sphere(5).double()):
        cells = curvi.datasets.synthetic(n_obs=30, n_vars=3)
        tangent = torch.from_numpy(0.3 * rng.normal(size=(30, manifold.dim)))
        cells.obsm["X_curvi"] = manifold.exp0(tangent).numpy()
        path = curvi.explore.line(cells, 0, 1, manifold=manifold)
        scene = scene_of_path(cells, path, basis="X_curvi", basis_2d=None, dims=(1, 0), base=None)
        np.testing.assert_allclose(scene.place(path.points)[[0, -1]], scene.xy[:2], atol=1e-9)


def test_by_default_the_dimensions_are_those_in_which_the_path_goes_farthest():
    cells = curvi.datasets.synthetic(n_obs=30, n_vars=3)
    flat = Euclidean(4).double()
    cells.obsm["X_curvi"] = np.random.default_rng(0).normal(size=(30, 4))
    path = curvi.explore.line(cells, [0.0, 0, 0, 0], [0.1, -2.0, 0.2, 1.0], manifold=flat)
    scene = scene_of_path(cells, path, basis="X_curvi", basis_2d=None, dims=None, base=None)
    np.testing.assert_allclose(scene.place(path.points)[-1], [-2.0, 1.0])
    one = curvi.explore.points(cells, [3], manifold=flat)
    scene = scene_of_path(cells, one, basis="X_curvi", basis_2d=None, dims=None, base=None)
    np.testing.assert_allclose(scene.place(one.points)[0], cells.obsm["X_curvi"][3, :2])


def test_the_arrow_points_along_the_end_of_the_line(painters):
    model = painters["normal"]
    way = _way(model, 30)
    cells, _ = curvi.pl.line(model, way, batch=PINK, show=False)
    (arrow,) = (text for text in cells.texts if text.get_text() == "" and text.arrow_patch is not None)
    np.testing.assert_allclose(arrow.xy, way.points[-1], atol=1e-6)
    ahead = way.points[-1] - way.points[0]
    tail = -np.array(arrow.xyann)
    np.testing.assert_allclose(tail / np.linalg.norm(tail), ahead / np.linalg.norm(ahead), atol=1e-5)


def test_many_images_axes_files_and_what_cannot_be_drawn(painters, counter, tmp_path):
    model = painters["vmf"]
    way = _way(model, 14)
    figure = curvi.pl.line(model, way, batch=PINK, n_columns=5, title="from a", return_fig=True)
    cells, images = figure.axes
    assert cells.get_title() == "from a"
    assert np.asarray(images.images[0].get_array()).shape[1] == 5 * 4 + 4
    _, axes = plt.subplots(2)
    assert curvi.pl.line(model, way, batch=PINK, ax=axes, show=False) == list(axes)
    curvi.pl.line(model, way, batch=PINK, save=tmp_path / "line.png")
    assert (tmp_path / "line.png").stat().st_size > 5_000
    plt.close("all")
    for arguments, sentence in (
        ({"ax": axes[0]}, "expected two axes, for the cells and for the images"),
        ({"batch": None}, "`batch` has nothing for the batch level 'stain'"),
        ({"labels": "here"}, "`labels` is 'here'"),
        ({"color": "nothing"}, "'nothing', which is neither"),
        ({"color": ["label", "stain"]}, "expected one column or gene"),
        ({"basis": "X_other"}, "`basis` is 'X_other'"),
    ):
        with pytest.raises(ValueError, match=sentence):
            curvi.pl.line(model, way, **({"batch": PINK} | arguments))
        assert plt.get_fignums() == []
    with pytest.raises(ValueError, match="`model` was not trained on images"):
        curvi.pl.line(counter, way)
    with pytest.raises(ValueError, match="`z` does not lie on"):
        curvi.pl.line(painters["normal"], way, batch=PINK)
