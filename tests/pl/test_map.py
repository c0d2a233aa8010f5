"""Cells on the map: what is drawn where, and what is refused."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.text import Annotation

import curvi
from curvi.manifolds import Sphere
from curvi.pl._color import MISSING
from curvi.pl._globe import View
from curvi.pl._projection import Projection

NAMES = Projection.names()


def drawn(ax):
    (cells,) = (artist for artist in ax.collections if isinstance(artist, PathCollection))
    return np.asarray(cells.get_offsets())


def labels(ax):
    return {artist.get_text(): artist for artist in ax.texts if isinstance(artist, Annotation)}


def captions(ax):
    return [text.get_text() for text in ax.texts if not isinstance(text, Annotation)]


def expected(cells, view, projection):
    return Projection.named(projection)().points(View(*view).turn(cells.obsm["X_curvi"].astype(float)))


def same_points(one, two):
    np.testing.assert_allclose(one[np.lexsort(one.round(6).T)], two[np.lexsort(two.round(6).T)], atol=1e-6)


def mean(cells, name):
    members = cells.obsm["X_curvi"][cells.obs["cell_type"] == name]
    return Sphere(2).mean(torch.from_numpy(members).double()).numpy()


@pytest.mark.parametrize("projection", NAMES)
def test_points_lie_where_the_projection_puts_them(cells, projection):
    ax = curvi.pl.map(cells, projection=projection, centre=(20, -70), show=False)
    same_points(drawn(ax), expected(cells, (20, -70), projection))
    assert curvi.pl.map(cells, centre=(-50, 30), show=False) is not ax


@pytest.mark.parametrize("projection", NAMES)
@pytest.mark.parametrize("centre", ["back", ("cell_type", "back"), "c7", 7, np.int64(7), [0.0, 0.6, -0.8]])
def test_the_centre_is_in_the_middle(cells, projection, centre):
    ax = curvi.pl.map(cells, color="cell_type", projection=projection, centre=centre, show=False)
    onto = Projection.named(projection)()
    middle = onto.ellipses[0, :2]
    if isinstance(centre, list):
        elev, azim = np.degrees(np.arcsin(-0.8)), 90
        same_points(drawn(ax), expected(cells, (elev, azim), projection))
    elif "back" in np.atleast_1d(centre):
        np.testing.assert_allclose(labels(ax)["back"].xy, middle, atol=1e-6)
    else:
        nearest = np.abs(drawn(ax) - middle).max(1)
        assert nearest.min() < 1e-6
        assert (nearest < 1e-6).sum() == 1


def test_a_category_is_found_in_any_of_the_columns_and_told_apart_where_two_have_it(cells):
    cells.obs["side"] = np.where(cells.obs["cell_type"] == "rim", "rim", "not rim")
    ax, _ = curvi.pl.map(cells, color=["cell_type", "cell_type"], centre="rim", show=False)
    np.testing.assert_allclose(labels(ax)["rim"].xy, 0, atol=1e-6)
    with pytest.raises(ValueError, match="'rim', which is the name of a category of 'cell_type' and of a category of"):
        curvi.pl.map(cells, color=["cell_type", "side"], centre="rim")


def test_a_rotation_keeps_the_cells_apart_and_north_upright(cells):
    # The pole is above the middle, and the point itself is the reference of the angles.
    cells.obsm["X_curvi"][0] = (0.0, 0.0, 1.0)
    cells.obsm["X_curvi"][1] = (np.cos(0.4), 0.0, np.sin(0.4))
    ax = curvi.pl.map(cells, projection="lambert", centre="c1", show=False)
    left = Projection.named("lambert")().ellipses[0, :2]
    pole = left + [0, 2 * np.sin((np.pi / 2 - 0.4) / 2)]
    assert np.abs(drawn(ax) - pole).max(1).min() < 1e-6


def test_labels_point_to_the_projected_frechet_means(cells):
    for projection in NAMES:
        ax = curvi.pl.map(cells, color="cell_type", projection=projection, centre=(10, 40), show=False)
        assert set(labels(ax)) == {"front", "back", "rim"}
        for name, label in labels(ax).items():
            xy = Projection.named(projection)().points(View(10, 40).turn(mean(cells, name)))
            np.testing.assert_allclose(label.xy, xy, atol=1e-6)
            assert label.get_path_effects()


def test_a_category_without_a_centre_is_named_in_a_warning(cells):
    cells.obsm["X_curvi"][:40] = np.eye(3)[0] * np.where(np.arange(40) % 2, 1, -1)[:, None]
    with pytest.warns(UserWarning, match="'front' of 'cell_type' is not labelled.*not unique") as caught:
        ax = curvi.pl.map(cells, color="cell_type", show=False)
    assert caught[0].filename == __file__
    assert set(labels(ax)) == {"back", "rim"}
    with pytest.raises(ValueError, match="`centre` is .'cell_type', 'front'., which has no centre: .*not unique"):
        curvi.pl.map(cells, color="cell_type", centre="front")


@pytest.mark.parametrize("projection", NAMES)
def test_the_grid_and_the_outline_are_those_of_the_projection(cells, projection):
    ax = curvi.pl.map(cells, projection=projection, centre=(30, 20), show=False)
    onto = Projection.named(projection)()
    (grid,) = (artist for artist in ax.collections if isinstance(artist, LineCollection))
    # The pole, where twelve meridians meet, and 90 degrees to the east of the middle on the equator.
    ends = np.concatenate([line[[0, -1]] for line in grid.get_segments()])
    pole = onto.points(View(30, 20).turn(np.eye(3)[2]))
    assert (np.abs(ends - pole).max(1) < 1e-6).sum() == 12
    at = np.radians(80)
    point = onto.points(View(30, 20).turn(np.array([np.cos(at), np.sin(at), 0.0])))
    assert min(np.abs(line - point).max(1).min() for line in grid.get_segments()) < 0.02
    outlines = [patch for patch in ax.patches if not patch.get_fill()]
    np.testing.assert_allclose([[*p.center, p.width / 2, p.height / 2] for p in outlines], onto.ellipses)
    assert not ax.axison
    lower, upper = np.array([ax.get_xlim(), ax.get_ylim()]).T
    x, y, a, b = onto.ellipses.T
    assert (lower < np.array([x - a, y - b]).min(1)).all()
    assert (upper > np.array([x + a, y + b]).max(1)).all()
    (x0, y0), (x1, y1) = ax.transData.transform([(0, 0), (1, 1)])
    ax.figure.draw_without_rendering()
    (x0, y0), (x1, y1) = ax.transData.transform([(0, 0), (1, 1)])
    assert x1 - x0 == pytest.approx(y1 - y0)


def test_captions_tell_the_middle_of_each_part(cells):
    assert captions(curvi.pl.map(cells, centre=(-20, 200), show=False)) == ["20°S  160°W"]
    two = curvi.pl.map(cells, centre=(-20, 200), projection="lambert", show=False)
    assert captions(two) == ["20°S  160°W", "20°N  20°E"]
    onto = Projection.named("lambert")()
    places = [text.get_position()[0] for text in two.texts]
    low, high = two.get_xlim()
    np.testing.assert_allclose(low + np.array(places) * (high - low), onto.ellipses[:, 0])


def test_groups_keep_their_colors_and_the_others_lie_below_in_grey(cells):
    ax = curvi.pl.map(cells, color="cell_type", groups="rim", labels="legend", show=False)
    (scatter,) = (artist for artist in ax.collections if isinstance(artist, PathCollection))
    grey = plt.matplotlib.colors.to_rgb(MISSING)
    is_grey = (np.abs(scatter.get_facecolors()[:, :3] - grey) < 1e-9).all(1)
    assert is_grey[:80].all()
    assert not is_grey[80:].any()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["rim", "other"]
    assert set(labels(curvi.pl.map(cells, color="cell_type", groups=["rim", "back"], show=False))) == {"rim", "back"}


def test_one_panel_a_color_and_everything_beside_lies_on_the_figure(cells):
    figure = curvi.pl.map(cells, color=["cell_type", "depth", "A"], labels="legend", vmax="p90", return_fig=True)
    maps = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in maps] == ["cell_type", "depth", "A"]
    figure.draw_without_rendering()
    boxes = [ax.get_tightbbox().transformed(figure.transFigure.inverted()) for ax in maps]
    assert all(one.x1 <= two.x0 for one, two in zip(boxes, boxes[1:], strict=False))
    assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)
    assert maps[1].child_axes[0].get_ylim()[1] == pytest.approx(np.percentile(cells.obs["depth"], 90))


def test_it_saves_draws_on_given_axes_and_changes_no_data(cells, tmp_path):
    before = cells.obsm["X_curvi"].copy()
    curvi.pl.map(cells, color="A", save=tmp_path / "map.pdf")
    assert (tmp_path / "map.pdf").stat().st_size > 5_000
    assert plt.get_fignums() == []
    _, ax = plt.subplots()
    assert curvi.pl.map(cells, color="A", ax=ax, title="Gene A", show=False) is ax
    assert ax.get_title() == "Gene A"
    np.testing.assert_array_equal(cells.obsm["X_curvi"], before)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"basis": "X_umap"}, "`basis` is 'X_umap', but `adata.obsm` has 'X_curvi'"),
        ({"basis": "wide"}, r"shape \(120, 6\); the globe needs \(n_obs, 3\)"),
        ({"projection": "mercator"}, "unknown projection 'mercator'; the known names are 'mollweide', 'hammer'"),
        ({"centre": "nobody"}, "`centre` is 'nobody', which is no cell of `adata.obs_names`; name a category"),
        ({"centre": "nobody", "color": "cell_type"}, "`adata.obs_names` nor a category of 'cell_type'; name"),
        ({"centre": 120}, "`centre` is 120; cells are numbered from 0 to 119"),
        ({"centre": -1}, "`centre` is -1; cells are numbered"),
        ({"centre": ("leiden", "0")}, "`centre` is .'leiden', '0'., but `adata.obs` has 'cell_type'"),
        ({"centre": ("cell_type", "0")}, "`centre` is .'cell_type', '0'., but no cell has that value"),
        ({"centre": (95, 0)}, "latitude in degrees, from -90 to 90"),
        ({"centre": (0, np.nan)}, "latitude in degrees, from -90 to 90"),
        (
            {"centre": [0, 0, 2.0]},
            r"`centre` is \[0, 0, 2.0\]; expected a cell, a category, or a point of 3 numbers",
        ),
        ({"centre": [1.0, 0, 0, 0]}, "a point of 3 numbers on Sphere"),
        ({"centre": np.eye(3)[:2]}, "that is more than one"),
        ({"centre": np.eye(3)}, "that is more than one"),
        ({"centre": [None, 1, 2]}, "a point of 3 numbers on Sphere"),
        ({"centre": "both", "color": "cell_type"}, "name of cell 3 and of a category of 'cell_type'; pass the cell's"),
        ({"groups": "edge", "color": "cell_type"}, "`groups` has 'edge'; the categories that are drawn are 'front'"),
        ({"groups": "rim", "color": "A"}, "`groups` has 'rim'; the categories that are drawn are nothing"),
        ({"groups": [], "color": "cell_type"}, "`groups` has nothing"),
        ({"labels": "on_data"}, "`labels` is 'on_data'"),
        ({"title": ["a", "b"]}, "`title` has 2 titles"),
    ],
)
def test_unusable_arguments_are_sentences_and_leave_no_figure(cells, arguments, sentence):
    cells.obsm["wide"] = np.zeros((120, 6))
    if isinstance(arguments.get("centre"), str):
        cells.obs["cell_type"] = cells.obs["cell_type"].cat.rename_categories({"rim": "both"})
        cells.obs_names = [*cells.obs_names[:3], "both", *cells.obs_names[4:]]
    with pytest.raises(ValueError, match=sentence):
        curvi.pl.map(cells, **({"show": False} | arguments))
    assert plt.get_fignums() == []


def test_no_cells_is_a_sentence(cells):
    with pytest.raises(ValueError, match="no cells"):
        curvi.pl.map(cells[:0])
