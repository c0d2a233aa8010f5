"""What changes along single dimensions."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import curvi

PINK = {"stain": "pink"}
# A line of text is two pixels high.
HEAD = 2


def _texts(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("latent", ["vmf", "poincare", "normal"])
def test_a_line_a_dimension_below_shared_steps(painters, tile, latent):
    model = painters[latent]
    steps = curvi.explore.traversal(model.adata, span=1.0, n=5)
    ax = curvi.pl.traversal(model, steps, batch=PINK, show=False)
    expected = model.decode(steps.points, PINK).reshape(2, 5, 6, 4, 3)
    for line in range(2):
        for column in range(5):
            np.testing.assert_allclose(tile(ax, column, line, HEAD), expected[line, column], atol=1e-5)
    assert _texts(ax) == ["-1", "-0.5", "0", "0.5", "1", "z0", "z1"]


def test_steps_of_their_own(painters, tile):
    model = painters["normal"]
    steps = curvi.explore.traversal(model.adata, n=3)
    assert not np.allclose(steps.steps[0], steps.steps[1])
    ax = curvi.pl.traversal(model, steps, batch=PINK, show=False)
    assert [float(text) for text in _texts(ax)[:6]] == pytest.approx(steps.steps.ravel(), abs=0.005)
    # The second line has a head of its own.
    expected = model.decode(steps.points[1, 0], PINK).reshape(6, 4, 3)
    np.testing.assert_allclose(tile(ax, 0, 1, 2 * HEAD), expected, atol=1e-5)


def test_one_dimension(painters):
    steps = curvi.explore.traversal(painters["vmf"].adata, dims=1, span=(0.0, 2.0), n=3)
    ax = curvi.pl.traversal(painters["vmf"], steps, batch=PINK, show=False)
    assert _texts(ax) == ["0", "1", "2", "z1"]


def test_axes_files_and_what_cannot_be_drawn(painters, tmp_path):
    model = painters["vmf"]
    steps = curvi.explore.traversal(model.adata, n=3)
    _, ax = plt.subplots()
    assert curvi.pl.traversal(model, steps, batch=PINK, ax=ax, title="steps", show=False) is ax
    assert ax.get_title() == "steps"
    curvi.pl.traversal(model, steps, batch=PINK, save=tmp_path / "steps.png")
    assert (tmp_path / "steps.png").stat().st_size > 2_000
    with pytest.raises(ValueError, match="`batch` has nothing for the batch level 'stain'"):
        curvi.pl.traversal(model, steps)
    with pytest.raises(ValueError, match="`z` does not lie on"):
        curvi.pl.traversal(painters["normal"], steps, batch=PINK)
