"""The numbers of the centres of groups."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import curvi
from curvi.manifolds import Euclidean, Sphere


@pytest.mark.parametrize("latent", ["vmf", "poincare", "normal"])
def test_a_row_a_group_and_a_column_a_dimension(painters, latent):
    centres = curvi.explore.prototypes(painters[latent].adata, "label")
    ax = curvi.pl.prototypes_heatmap(centres, show=False)
    table = centres.to_frame()[["z0", "z1"]].to_numpy()
    (image,) = ax.images
    np.testing.assert_allclose(np.asarray(image.get_array()), table)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["z0", "z1"]
    assert ax.get_ylim() == (2.5, -0.5)
    written = {text.get_position(): text.get_text().replace("\N{MINUS SIGN}", "-") for text in ax.texts}
    for (i, j), number in np.ndenumerate(table):
        assert float(written[j, i]) == pytest.approx(number, abs=0.00501)
    assert image.norm.vmax == -image.norm.vmin == pytest.approx(np.abs(table).max())
    assert not any(text.startswith("-0.00") for text in written.values())


def test_many_numbers_are_colours_with_a_bar(cells, rng):
    cells.obsm["X_curvi"] = rng.normal(size=(120, 80))
    centres = curvi.explore.prototypes(cells, "cell_type", manifold=Euclidean(80))
    ax = curvi.pl.prototypes_heatmap(centres, vmax=0.5, show=False)
    assert len(ax.texts) == 0
    assert ax.child_axes[0].get_ylim() == (-0.5, 0.5)
    ax = curvi.pl.prototypes_heatmap(centres, values=True, show=False)
    assert len(ax.texts) == 240
    assert not ax.child_axes


def test_axes_files_and_what_cannot_be_drawn(cells, tmp_path):
    centres = curvi.explore.prototypes(cells, "cell_type", manifold=Sphere(2))
    _, ax = plt.subplots()
    assert curvi.pl.prototypes_heatmap(centres, ax=ax, title="centres", show=False) is ax
    assert ax.get_title() == "centres"
    curvi.pl.prototypes_heatmap(centres, save=tmp_path / "centres.png")
    assert (tmp_path / "centres.png").stat().st_size > 2_000
    with pytest.raises(ValueError, match="`vmax` is 0; it must be positive"):
        curvi.pl.prototypes_heatmap(centres, vmax=0)
