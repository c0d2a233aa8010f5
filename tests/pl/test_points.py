"""What chosen points decode to."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import curvi

PINK = {"stain": "pink"}
HEAD = 2


def _circles(ax):
    (circles,) = (line for line in ax.get_lines() if line.get_color() == "white")
    return circles.get_xydata()


@pytest.mark.parametrize("latent", ["vmf", "poincare", "normal"])
def test_numbers_over_the_cells_and_images_below(painters, tile, latent):
    model = painters[latent]
    chosen = curvi.explore.points(model.adata, [("label", "b"), 4, None])
    cells, images = curvi.pl.points(model, chosen, batch=PINK, show=False)
    expected = model.decode(chosen.points, PINK).reshape(3, 6, 4, 3)
    for column in range(3):
        np.testing.assert_allclose(tile(images, column, 0, HEAD), expected[column], atol=1e-5)
    assert [text.get_text() for text in images.texts] == ["1: b", f"2: {chosen.names[1]}", "3: origin"]
    numbers = {text.get_text(): text.get_position() for text in cells.texts}
    np.testing.assert_allclose([numbers[str(i)] for i in (1, 2, 3)], _circles(cells))
    if latent == "normal":
        np.testing.assert_allclose(_circles(cells), chosen.points)


def test_points_of_a_picture_lead_to_cells(painters):
    model = painters["normal"]
    adata = model.adata.copy()
    adata.obsm["X_tsne"] = np.random.default_rng(0).normal(size=(30, 2))
    chosen = curvi.explore.points(adata, [(0.0, 0.0), (5.0, 5.0)], basis_2d="X_tsne")
    cells, images = curvi.pl.points(model, chosen, adata, "label", basis_2d="X_tsne", batch=PINK, show=False)
    np.testing.assert_allclose(_circles(cells), [[0, 0], [5, 5]])
    # What was asked for is in sight, also where there are no cells.
    assert cells.get_xlim()[1] > 5
    (rings,) = (line for line in cells.get_lines() if line.get_fillstyle() == "none")
    np.testing.assert_allclose(rings.get_xydata(), adata.obsm["X_tsne"][chosen.rows])
    assert [text.get_text() for text in images.texts] == [f"1: {chosen.names[0]}", f"2: {chosen.names[1]}"]


def test_one_point_and_axes(painters):
    model = painters["vmf"]
    chosen = curvi.explore.points(model.adata, [3])
    _, axes = plt.subplots(2)
    drawn = curvi.pl.points(model, chosen, batch=PINK, ax=axes, title="one", show=False)
    assert drawn == list(axes)
    assert axes[0].get_title() == "one"
    assert len(_circles(axes[0])) == 1
    np.testing.assert_allclose(_circles(axes[0]), 0, atol=1e-6)
