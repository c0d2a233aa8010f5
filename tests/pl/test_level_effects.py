"""Bars of what batch levels explain."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import curvi


@pytest.fixture
def effects():
    rows = {
        "donor": {"decoded": 0.4, "decoded_unique": 0.3, "latent": -0.01, "latent_unique": -0.02},
        "disease": {"decoded": 0.1, "decoded_unique": 0.0, "latent": np.nan, "latent_unique": np.nan},
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def test_bars_are_shares_and_their_unique_parts(effects):
    ax = curvi.pl.level_effects(effects, ["decoded", "latent"], title="two levels", show=False)
    whole, own, latent, _ = (bars.patches for bars in ax.containers)
    assert [bar.get_width() for bar in whole] == [0.4, 0.1]
    assert [bar.get_width() for bar in own] == [0.3, 0.0]
    assert [bar.get_y() for bar in whole] == [bar.get_y() for bar in own]
    assert latent[0].get_width() == 0
    assert np.isnan(latent[1].get_width())
    # The first level and the first share stand on top.
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert whole[0].get_y() < latent[0].get_y() < whole[1].get_y()
    assert [text.get_text() for text in ax.get_yticklabels()] == ["donor", "disease"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["decoded, before correction", "latent space"]
    assert ax.get_title() == "two levels"
    plt.close("all")


def test_axes_of_the_caller_and_a_file(effects, tmp_path):
    _, ax = plt.subplots()
    assert curvi.pl.level_effects(effects, ["decoded"], ax=ax, save=tmp_path / "bars.png", show=False) is ax
    assert (tmp_path / "bars.png").stat().st_size > 1000
    plt.close("all")


def test_what_it_refuses(effects):
    with pytest.raises(ValueError, match="`keys` is 'observed'; the shares in `effects` are 'decoded', 'latent'"):
        curvi.pl.level_effects(effects, ["observed"])
    with pytest.raises(ValueError, match="`effects` has no rows"):
        curvi.pl.level_effects(effects.iloc[:0], ["decoded"])
