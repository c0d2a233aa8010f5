"""Principal components: what each explains and is made of."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.ticker import PercentFormatter

import curvi
from curvi.manifolds import Euclidean, Sphere


@pytest.fixture
def components(cells, rng):
    cells.obsm["X_curvi"] = rng.normal(size=(120, 6)) * np.array([5, 1, 3, 1, 1, 1])
    return curvi.explore.pca(cells, manifold=Euclidean(6), n_comps=4)


def test_bars_are_shares_and_the_table_the_loadings(components):
    bars, table = curvi.pl.pca_loadings(components, show=False)
    np.testing.assert_allclose([bar.get_height() for bar in bars.patches], components.variance_ratio)
    (line,) = bars.get_lines()
    np.testing.assert_allclose(line.get_ydata(), components.variance_ratio.cumsum())
    assert isinstance(bars.yaxis.get_major_formatter(), PercentFormatter)
    (image,) = table.images
    np.testing.assert_allclose(np.asarray(image.get_array()), components.loadings)
    assert (image.norm.vmin, image.norm.vmax) == (-1, 1)
    assert [label.get_text() for label in table.get_xticklabels()] == ["PC1", "PC2", "PC3", "PC4"]
    assert [label.get_text() for label in table.get_yticklabels()] == [f"z{i}" for i in range(6)]
    assert len(table.texts) == 24


def test_each_bar_stands_over_its_column(components):
    bars, table = curvi.pl.pca_loadings(components, show=False)
    bars.figure.draw_without_rendering()
    for i in range(4):
        above, below = bars.transData.transform((i, 0)), table.transData.transform((i, 0))
        assert above[0] == pytest.approx(below[0])
        assert above[1] > below[1]
    assert bars.get_window_extent().y0 > table.get_window_extent().y1
    assert bars.get_window_extent().y1 < bars.figure.bbox.y1


def test_a_sphere_many_dimensions_axes_and_files(cells, rng, components, tmp_path):
    points = rng.normal(size=(120, 31))
    cells.obsm["X_curvi"] = points / np.linalg.norm(points, axis=1, keepdims=True)
    found = curvi.explore.pca(cells, base=[1.0] + 30 * [0.0], manifold=Sphere(30))
    bars, table = curvi.pl.pca_loadings(found, title="a sphere", show=False)
    assert len(table.texts) == 0
    assert table.child_axes[0].get_ylim() == (-1, 1)
    assert bars.get_title() == "a sphere"
    _, axes = plt.subplots(2)
    assert curvi.pl.pca_loadings(components, ax=axes, show=False) == list(axes)
    curvi.pl.pca_loadings(components, save=tmp_path / "pca.png")
    assert (tmp_path / "pca.png").stat().st_size > 5_000
    with pytest.raises(ValueError, match="`ax` has 1 axes; expected two, for the bars and for the table"):
        curvi.pl.pca_loadings(components, ax=axes[0])
