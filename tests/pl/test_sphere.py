"""Cells on the globe: what is drawn where, and what is refused."""

from __future__ import annotations

import copy

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.text import Annotation

import curvi
from curvi.manifolds import Sphere
from curvi.pl._globe import View


def scatters(ax):
    """The far and the near side of a globe."""
    hidden, front = (artist for artist in ax.collections if isinstance(artist, PathCollection))
    return hidden, front


def labels(ax):
    return {artist.get_text(): artist for artist in ax.texts if isinstance(artist, Annotation)}


def test_points_lie_on_their_side_with_their_opacity(cells):
    ax = curvi.pl.sphere(cells, color="cell_type", views=[(10, 20)], alpha=0.8, hidden_alpha=0.2, show=False)
    xy, depth = View(10, 20).project(cells.obsm["X_curvi"].astype(float))
    hidden, front = scatters(ax)
    for drawn, expected in ((front.get_offsets(), xy[depth >= 0]), (hidden.get_offsets(), xy[depth < 0])):
        np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], expected[np.lexsort(expected.T)], atol=1e-6)
    assert set(front.get_facecolors()[:, 3]) == {0.8}
    assert set(hidden.get_facecolors()[:, 3]) == {0.2}
    (globe,) = ax.get_images()
    assert hidden.zorder < globe.zorder < front.zorder


def test_nearer_points_are_drawn_over_farther_ones_and_larger(cells):
    ax = curvi.pl.sphere(cells, color="cell_type", views=[(0, 0)], show=False)
    _, front = scatters(ax)
    distance = np.hypot(*front.get_offsets().T)
    assert (np.diff(distance) <= 1e-12).all()
    assert (np.diff(front.get_sizes()) >= 0).all()


def test_higher_numbers_are_drawn_over_lower_ones_unless_told_otherwise(cells):
    ax = curvi.pl.sphere(cells, color="n_genes", views=[(0, 0)], show=False)
    _, front = scatters(ax)
    xy, depth = View(0, 0).project(cells.obsm["X_curvi"].astype(float))
    np.testing.assert_allclose(front.get_offsets(), xy[depth >= 0])
    ax = curvi.pl.sphere(cells, color="n_genes", views=[(0, 0)], sort_order=False, show=False)
    assert (np.diff(np.hypot(*scatters(ax)[1].get_offsets().T)) <= 1e-12).all()


def test_labels_point_to_the_projected_frechet_means_on_the_sides_that_show_them(cells):
    views = [(15, 10), (-15, 190)]
    axes = curvi.pl.sphere(cells, color="cell_type", views=views, show=False)
    seen = {name for ax in axes for name in labels(ax)}
    assert seen == {"front", "back", "rim"}
    for ax, view in zip(axes, views, strict=True):
        for name in ("front", "back", "rim"):
            members = cells.obsm["X_curvi"][cells.obs["cell_type"] == name]
            mean = Sphere(2).mean(torch.from_numpy(members).double()).numpy()
            xy, depth = View(*view).project(mean)
            assert (name in labels(ax)) == (depth >= 0)
            if depth >= 0:
                np.testing.assert_allclose(labels(ax)[name].xy, xy, atol=1e-6)
    # Nothing is in the way of this one.
    assert labels(axes[0])["front"].get_position() == pytest.approx(labels(axes[0])["front"].xy)


def test_labels_have_a_halo_and_lie_over_the_points(cells):
    ax = curvi.pl.sphere(cells, color="cell_type", views=1, show=False)
    for label in labels(ax).values():
        assert label.get_path_effects()
        assert label.zorder > scatters(ax)[1].zorder


def test_a_category_without_a_centre_is_named_in_a_warning(cells):
    cells.obsm["X_curvi"][:40] = np.eye(3)[0] * np.where(np.arange(40) % 2, 1, -1)[:, None]
    with pytest.warns(UserWarning, match="'front' of 'cell_type' is not labelled.*not unique"):
        axes = curvi.pl.sphere(cells, color="cell_type", show=False)
    assert {name for ax in axes for name in labels(ax)} == {"back", "rim"}


@pytest.mark.parametrize(
    ("views", "count"), [(1, 1), (2, 2), (4, 4), ((20, 30), 1), ([(0, 0), (0, 120), (0, 240)], 3), (np.int64(2), 2)]
)
def test_each_view_has_its_panel(cells, views, count):
    figure = curvi.pl.sphere(cells, views=views, return_fig=True)
    assert len(figure.axes) == count
    for ax in figure.axes:
        assert len(scatters(ax)) == 2
        assert len(ax.get_images()) == 1
    boxes = [ax.get_position() for ax in figure.axes]
    assert all(one.x1 <= two.x0 for one, two in zip(boxes, boxes[1:], strict=False))
    assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)


def test_the_caption_tells_the_view(cells):
    ax = curvi.pl.sphere(cells, views=[(-20, 200)], show=False)
    assert [text.get_text() for text in ax.texts] == ["20°S  160°W"]


def test_one_row_of_views_a_color_with_its_color_bar(cells):
    figure = curvi.pl.sphere(cells, color=["cell_type", "depth", "A"], views=2, return_fig=True)
    globes = [ax for ax in figure.axes if ax.get_images()]
    assert len(globes) == 6
    heights = [round(ax.get_position().y0, 6) for ax in globes]
    assert len(set(heights)) == 3
    assert heights == sorted(heights, reverse=True)
    assert [ax.get_title() for ax in globes[::2]] == ["cell_type", "depth", "A"]
    assert [len(ax.child_axes) for ax in globes] == [0, 0, 0, 1, 0, 1]
    bar = globes[3].child_axes[0]
    np.testing.assert_allclose(bar.get_ylim(), (cells.obs["depth"].min(), cells.obs["depth"].max()))


def test_everything_beside_the_globe_lies_on_the_figure(cells):
    cells.obs["cell_type"] = cells.obs["cell_type"].cat.rename_categories({"rim": "a very long name of a type " * 2})
    figure = curvi.pl.sphere(cells, color=["cell_type", "depth"], views=1, labels="legend", return_fig=True)
    figure.draw_without_rendering()
    for ax in figure.axes:
        for artist in [*ax.child_axes, *filter(None, [ax.get_legend()])]:
            box = artist.get_tightbbox().transformed(figure.transFigure.inverted())
            assert 0 <= box.x0 < box.x1 <= 1
    one, two = (ax for ax in figure.axes if ax.get_images())
    legend = one.get_legend().get_window_extent()
    assert legend.x1 < two.get_window_extent().x0


def test_a_legend_names_all_categories_and_missing_cells(cells):
    cells.obs.loc[cells.obs_names[:5], "cell_type"] = np.nan
    ax = curvi.pl.sphere(cells, color="cell_type", labels="legend", views=1, show=False)
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["front", "back", "rim", "NA"]
    assert [line.get_color() for line in legend.get_lines()][:3] == list(cells.uns["cell_type_colors"])
    assert labels(ax) == {}
    ax = curvi.pl.sphere(cells, color="cell_type", labels=None, views=1, show=False)
    assert ax.get_legend() is None
    assert labels(ax) == {}


def test_it_draws_on_the_axes_of_the_caller(cells):
    figure, axes = plt.subplots(2, 2)
    size = figure.get_size_inches().copy()
    returned = curvi.pl.sphere(cells, color=["cell_type", "depth"], views=2, ax=axes, show=False)
    assert returned == list(axes.ravel())
    np.testing.assert_array_equal(figure.get_size_inches(), size)
    assert plt.get_fignums() == [figure.number]
    assert len(figure.axes) == 5
    with pytest.raises(ValueError, match="`ax` has 4 axes; expected 2, one for each of 2 views of 1"):
        curvi.pl.sphere(cells, views=2, ax=axes)


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_it_saves_files_and_keeps_no_figure(cells, tmp_path, ending):
    path = tmp_path / f"globe.{ending}"
    axes = curvi.pl.sphere(cells, color="cell_type", save=path, show=False)
    assert path.stat().st_size > 10_000
    assert plt.get_fignums() == []
    assert all(isinstance(ax, Axes) for ax in axes)


def test_the_saved_picture_is_lit_and_colored(cells, tmp_path):
    curvi.pl.sphere(cells, color="cell_type", palette=["red", "lime", "blue"], views=[(0, 0)], save=tmp_path / "a.png")
    image = plt.imread(tmp_path / "a.png")[..., :3]
    reddish = (image[..., 0] > 0.8) & (image[..., 1:].max(-1) < 0.3)
    assert reddish.sum() > 200
    assert not ((image[..., 1] > 0.8) & (image[..., [0, 2]].max(-1) < 0.3)).any()


def test_nothing_global_changes(cells):
    settings, backend = copy.deepcopy(dict(mpl.rcParams)), mpl.get_backend()
    obs, keys, x = cells.obs.copy(), set(cells.uns), cells.X.copy()
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    curvi.pl.sphere(cells, color=["cell_type", "depth", "flag"], show=False)
    assert dict(mpl.rcParams) == settings
    assert mpl.get_backend() == backend
    assert cells.obs.equals(obs)
    assert set(cells.uns) - keys == {"cell_type_colors", "flag_colors"}
    np.testing.assert_array_equal(cells.X, x)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_it_shows_where_matplotlib_is_interactive(cells, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(True))
    assert curvi.pl.sphere(cells, views=1) is not None
    assert shown == []
    monkeypatch.setattr(mpl, "is_interactive", lambda: True)
    assert curvi.pl.sphere(cells, views=1) is None
    assert curvi.pl.sphere(cells, views=1, return_fig=True) is not None
    assert len(shown) == 1
    assert curvi.pl.sphere(cells, views=1, show=False) is not None
    assert len(shown) == 1


def test_a_single_cell_and_a_view_of_data(cells):
    assert curvi.pl.sphere(cells[:1], color="cell_type", views=1, show=False) is not None
    assert "cell_type_colors" not in cells.uns


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"basis": "X_umap"}, "`basis` is 'X_umap', but `adata.obsm` has 'X_curvi'"),
        ({"basis": "wide"}, r"shape \(120, 6\); the globe needs \(n_obs, 3\).*`pl.plane`"),
        ({"basis": "far"}, "does not lie on the unit sphere: points must have length 1"),
        ({"basis": "nan"}, "nan or infinite"),
        ({"color": "no such"}, "'no such', which is neither"),
        ({"views": 0}, "`views` is 0; expected"),
        ({"views": []}, "`views` is"),
        ({"views": [(1, 2, 3)]}, "`views` is"),
        ({"views": "front"}, "`views` is 'front'"),
        ({"views": [(1, 2), (3,)]}, "`views` is"),
        ({"views": [(100, 0)]}, "latitude, from -90 to 90"),
        ({"labels": "on_data"}, "`labels` is 'on_data'; expected one of 'on data', 'legend', None"),
        ({"title": ["a", "b"]}, "`title` has 2 titles; `color` has 1"),
    ],
)
def test_unusable_arguments_are_sentences_and_leave_no_figure(cells, arguments, sentence):
    cells.obsm["wide"] = np.zeros((120, 6))
    cells.obsm["far"] = 2 * cells.obsm["X_curvi"]
    cells.obsm["nan"] = np.full((120, 3), np.nan)
    with pytest.raises(ValueError, match=sentence):
        curvi.pl.sphere(cells, **({"show": False} | arguments))
    assert plt.get_fignums() == []


def test_no_cells_is_a_sentence(cells):
    with pytest.raises(ValueError, match="no cells"):
        curvi.pl.sphere(cells[:0])
    with pytest.raises(ValueError, match="no cells"):
        curvi.pl.plane(cells[:0])
