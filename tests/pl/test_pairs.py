"""Every two of several dimensions."""

from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

import curvi
from curvi.manifolds import Euclidean, Lorentz, Sphere


@pytest.fixture
def wide(cells, rng):
    """Cells in seven flat dimensions; the categories are apart in the first, and one of them is rare."""
    code = cells.obs["cell_type"].cat.codes.to_numpy()
    cells.obsm["X_curvi"] = rng.normal(size=(120, 7))
    cells.obsm["X_curvi"][:, 0] += 6 * code
    cells.uns["curvi"] = {"X_curvi": {"manifold": Euclidean(7).config()}}
    return cells[:90].copy()


def _by_place(axes, n):
    rows = iter(axes)
    return {(i, j): next(rows) for i in range(n) for j in range(i + 1)}


def test_the_first_five_dimensions_left_of_the_diagonal(wide):
    axes = curvi.pl.pairs(wide, color="cell_type", show=False)
    assert len(axes) == 15
    panels = _by_place(axes, 5)
    values = wide.obsm["X_curvi"]
    for (i, j), ax in panels.items():
        if i > j:
            drawn = np.asarray(ax.collections[0].get_offsets())
            np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], values[:, [j, i]][np.lexsort(values[:, [j, i]].T)])
            assert ax.get_xlim() == panels[4, j].get_xlim()
            assert ax.get_ylim() == panels[i, 0].get_ylim()
    assert [panels[4, j].get_xlabel() for j in range(5)] == ["z0", "z1", "z2", "z3", "z4"]
    assert [panels[i, 0].get_ylabel() for i in range(5)] == ["z0", "z1", "z2", "z3", "z4"]
    shown = [panels[4, j].get_xticks() for j in range(5)]
    assert all(len(ticks) >= 2 for ticks in shown)
    panels[4, 0].figure.draw_without_rendering()
    boxes = [label.get_window_extent() for j in range(5) for label in panels[4, j].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert panels[3, 1].get_xlabel() == panels[3, 1].get_ylabel() == ""


def test_each_density_has_the_area_one_and_its_own_place(wide):
    axes = curvi.pl.pairs(wide, color="cell_type", dims=[0, 2], show=False)
    diagonal = axes[0]
    colors = dict(zip(wide.obs["cell_type"].cat.categories, wide.uns["cell_type_colors"], strict=True))
    lines = {to_hex(line.get_color()): line.get_xydata() for line in diagonal.get_lines()}
    assert len(lines) == 3
    for kind, color in colors.items():
        x, density = lines[to_hex(color)].T
        assert np.trapezoid(density, x) == pytest.approx(1, abs=0.02)
        members = wide.obsm["X_curvi"][(wide.obs["cell_type"] == kind).to_numpy(), 0]
        assert np.trapezoid(density * x, x) == pytest.approx(members.mean(), abs=0.2)
    # Side by side the rare one is as large as the others.
    assert diagonal.get_ylim()[0] == 0
    assert diagonal.get_ylim()[1] > max(xy[:, 1].max() for xy in lines.values())


def test_a_density_is_what_a_kernel_estimate_says(rng):
    from scipy.stats import gaussian_kde

    from curvi.pl._pairs import _density

    values = rng.normal(size=500)
    edges = np.linspace(-4, 4, 201)
    middle = (edges[1:] + edges[:-1]) / 2
    expected = gaussian_kde(values)(middle)
    np.testing.assert_allclose(_density(values, edges), expected, atol=0.01)
    assert _density(np.zeros(1), edges).max() > 4


@pytest.mark.parametrize("manifold", [Sphere(9), Sphere(2), Lorentz(3)], ids=str)
def test_curved_dimensions_are_around_the_mean_or_a_place(cells, rng, manifold):
    tangent = torch.from_numpy(0.4 * rng.normal(size=(120, manifold.dim)))
    cells.obsm["X_curvi"] = manifold.double().exp0(tangent).numpy()
    axes = curvi.pl.pairs(cells, dims=[0, 1], manifold=manifold, show=False)
    np.testing.assert_allclose(np.asarray(axes[1].collections[0].get_offsets()).mean(axis=0), 0, atol=1e-4)
    assert axes[0].get_title(loc="left") == "around the mean"
    axes = curvi.pl.pairs(cells, color="cell_type", dims=[1], base="c3", manifold=manifold, show=False)
    assert axes.get_title(loc="left") == "cell_type, around c3"


def test_the_legend_covers_no_panel_and_is_not_cut(wide):
    wide.obs["many"] = [f"a category with quite a long name {i % 14}" for i in range(wide.n_obs)]
    wide.obs["many"] = wide.obs["many"].astype("category")
    for n in (1, 2, 5):
        figure = curvi.pl.pairs(wide, color="many", dims=range(n), return_fig=True)
        figure.draw_without_rendering()
        legend = figure.axes[0].get_legend().get_window_extent()
        assert not any(legend.overlaps(ax.get_window_extent()) for ax in figure.axes)
        assert legend.x1 <= figure.bbox.x1
        box = figure.axes[0].get_window_extent()
        assert box.width / figure.dpi == pytest.approx(1.5)
        assert box.height / figure.dpi == pytest.approx(1.5)


def test_numbers_have_a_bar_and_one_density(wide):
    figure = curvi.pl.pairs(wide, color="n_genes", dims=[0, 1], panel_size=2.0, return_fig=True)
    assert len(figure.axes[0].get_lines()) == 1
    assert figure.axes[0].child_axes[0].get_ylim() == (0, 89)
    assert figure.axes[0].get_window_extent().width / figure.dpi == pytest.approx(2.0)


def test_files_and_what_cannot_be_drawn(wide, tmp_path):
    curvi.pl.pairs(wide, color="cell_type", dims=[0, 1], save=tmp_path / "pairs.png")
    assert (tmp_path / "pairs.png").stat().st_size > 5_000
    assert plt.get_fignums() == []
    with pytest.raises(ValueError, match="the dimensions of Euclidean.* are numbered from 0 to 6"):
        curvi.pl.pairs(wide, dims=[0, 7])
    with pytest.raises(ValueError, match="`panel_size` is 0; expected inches above 0"):
        curvi.pl.pairs(wide, panel_size=0)
    with pytest.raises(ValueError, match="expected one column or gene"):
        curvi.pl.pairs(wide, color=["cell_type", "A"])
    assert plt.get_fignums() == []
