"""Cells in the plane."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Annotation

import curvi


def test_points_are_two_coordinates_to_one_scale(cells):
    ax = curvi.pl.plane(cells, dims=(2, 0), show=False)
    (scatter,) = ax.collections
    drawn = np.asarray(scatter.get_offsets())
    expected = cells.obsm["X_curvi"][:, [2, 0]]
    np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], expected[np.lexsort(expected.T)])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("curvi 2", "curvi 0")
    ax.figure.draw_without_rendering()
    (x0, y0), (x1, y1) = ax.transData.transform([(0, 0), (1, 1)])
    assert x1 - x0 == pytest.approx(y1 - y0)
    assert ax.get_xlim()[0] < expected[:, 0].min()
    assert ax.get_xlim()[1] > expected[:, 0].max()


def test_labels_point_to_the_means(cells):
    ax = curvi.pl.plane(cells, color="cell_type", show=False)
    found = {artist.get_text(): artist.xy for artist in ax.texts if isinstance(artist, Annotation)}
    for name in ("front", "back", "rim"):
        mean = cells.obsm["X_curvi"][cells.obs["cell_type"] == name, :2].mean(axis=0)
        np.testing.assert_allclose(found[name], mean, atol=1e-6)


def test_no_category_hides_another_by_its_place_in_the_data(cells):
    cells.obsm["X_curvi"][:] = [[1, 0, 0]]
    ax = curvi.pl.plane(cells, color="cell_type", show=False)
    (scatter,) = ax.collections
    last = {tuple(color) for color in scatter.get_facecolors()[-40:]}
    assert len(last) == 3
    again = curvi.pl.plane(cells, color="cell_type", show=False).collections[0]
    np.testing.assert_array_equal(again.get_facecolors(), scatter.get_facecolors())


def test_numbers_have_a_color_bar_and_higher_ones_lie_on_top(cells):
    figure = curvi.pl.plane(cells, color=["n_genes", "cell_type"], labels="legend", return_fig=True)
    numbers, categories = (ax for ax in figure.axes if ax.get_xlabel())
    np.testing.assert_allclose(numbers.collections[0].get_offsets(), cells.obsm["X_curvi"][:, :2])
    assert numbers.child_axes[0].get_ylim() == (0, 119)
    assert categories.get_legend() is not None
    assert numbers.get_window_extent().x1 < categories.get_window_extent().x0


def test_it_saves_and_takes_axes(cells, tmp_path):
    curvi.pl.plane(cells, color="A", save=tmp_path / "plane.png")
    assert (tmp_path / "plane.png").stat().st_size > 5_000
    assert plt.get_fignums() == []
    _, ax = plt.subplots()
    assert curvi.pl.plane(cells, color="A", ax=ax, title="Gene A", show=False) is ax
    assert ax.get_title() == "Gene A"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"basis": "X_umap"}, "`basis` is 'X_umap', but `adata.obsm` has 'X_curvi'"),
        ({"basis": "line"}, r"shape \(120, 1\); a plane needs at least two columns"),
        ({"dims": (0, 3)}, "expected two of the 3 columns"),
        ({"dims": (0, -1)}, "expected two of the 3 columns"),
        ({"dims": (0, 1, 2)}, "expected two of the 3 columns"),
        ({"basis": "nan"}, "NaN or infinite in 1 cells"),
        ({"color": "no such"}, "'no such', which is neither"),
    ],
)
def test_unusable_arguments_are_sentences(cells, arguments, sentence):
    cells.obsm["line"] = np.zeros((120, 1))
    cells.obsm["nan"] = np.where(np.arange(120)[:, None] == 3, np.nan, np.ones((120, 2)))
    with pytest.raises(ValueError, match=sentence):
        curvi.pl.plane(cells, **arguments)
    assert plt.get_fignums() == []
