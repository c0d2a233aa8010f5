"""What the centres of groups decode to."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import curvi

PINK = {"stain": "pink"}
# Two lines of text are three pixels high.
HEAD = 3


@pytest.mark.parametrize("latent", ["vmf", "poincare"])
def test_each_group_has_its_image_name_and_count(painters, tile, latent):
    model = painters[latent]
    centres = curvi.explore.prototypes(model.adata[:-1], "label")
    ax = curvi.pl.prototypes(model, centres, batch=PINK, show=False)
    expected = model.decode(centres.points, PINK).reshape(3, 6, 4, 3)
    for column in range(3):
        np.testing.assert_allclose(tile(ax, column, 0, HEAD), expected[column], atol=1e-5)
    assert [text.get_text() for text in ax.texts] == ["a\nn = 10", "b\nn = 10", "c\nn = 9"]


def test_axes_files_and_what_cannot_be_drawn(painters, tmp_path):
    model = painters["vmf"]
    centres = curvi.explore.prototypes(model.adata, "label")
    _, ax = plt.subplots()
    assert curvi.pl.prototypes(model, centres, batch=PINK, ax=ax, title="centres", show=False) is ax
    assert ax.get_title() == "centres"
    curvi.pl.prototypes(model, centres, batch=PINK, save=tmp_path / "centres.png")
    assert (tmp_path / "centres.png").stat().st_size > 2_000
    with pytest.raises(ValueError, match="`n_columns` is 0; expected at least 1"):
        curvi.pl.prototypes(model, centres, batch=PINK, n_columns=0)
    with pytest.raises(ValueError, match="`batch` has nothing for the batch level 'stain'"):
        curvi.pl.prototypes(model, centres)
    with pytest.raises(ValueError, match="`z` does not lie on"):
        curvi.pl.prototypes(painters["normal"], centres, batch=PINK)
