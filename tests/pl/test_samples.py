"""Images drawn from the prior."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import curvi

PINK = {"stain": "pink"}


@pytest.mark.parametrize("latent", ["vmf", "poincare"])
def test_images_are_those_of_the_draws(painters, tile, latent):
    model = painters[latent]
    ax = curvi.pl.samples(model, 5, 3, batch=PINK, n_columns=3, show=False)
    expected = model.decode(model.sample_prior(5, seed=3), PINK).reshape(5, 6, 4, 3)
    for i in range(5):
        np.testing.assert_allclose(tile(ax, i % 3, i // 3), expected[i], atol=1e-5)
    assert len(ax.texts) == 0


def test_numbers_of_the_points(painters, tile):
    model = painters["vmf"]
    ax = curvi.pl.samples(model, 2, batch=PINK, coordinates=True, show=False)
    points = model.sample_prior(2, seed=0)
    assert [text.get_text() for text in ax.texts] == ["\n".join(f"{x:.2f}" for x in point) for point in points]
    # Three lines of text are five pixels high.
    np.testing.assert_allclose(tile(ax, 1, 0, 5), model.decode(points, PINK)[1].reshape(6, 4, 3), atol=1e-5)


def test_axes_and_files(painters, tmp_path):
    model = painters["vmf"]
    _, ax = plt.subplots()
    assert curvi.pl.samples(model, 2, batch=PINK, ax=ax, title="draws", show=False) is ax
    assert ax.get_title() == "draws"
    curvi.pl.samples(model, batch=PINK, save=tmp_path / "draws.png")
    assert (tmp_path / "draws.png").stat().st_size > 2_000


def test_what_cannot_be_drawn(painters, counter):
    with pytest.raises(ValueError, match="`batch` has nothing for the batch level 'stain'"):
        curvi.pl.samples(painters["vmf"])
    with pytest.raises(ValueError, match="`n` is 0"):
        curvi.pl.samples(painters["vmf"], 0, batch=PINK)
    with pytest.raises(ValueError, match="`model` was not trained on images"):
        curvi.pl.samples(counter)
