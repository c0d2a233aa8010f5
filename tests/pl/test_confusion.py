from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import curvi


def table(counts, classes=("red", "white")):
    return pd.DataFrame(counts, index=list(classes), columns=list(classes))


@pytest.fixture
def result():
    matrices = {"originals": table([[90, 10], [1, 3]]), "samples": table([[2, 2], [0, 4]])}
    return SimpleNamespace(matrices=matrices)


def test_counts_are_written_where_they_belong(result):
    first, second = curvi.pl.confusion(result, show=False)
    assert [text.get_text() for text in first.texts] == ["90", "10", "1", "3"]
    # True classes downwards: the 10 of the first line stand to the right of the 90.
    assert first.texts[1].get_position() == (1, 0)
    assert [ax.get_title() for ax in (first, second)] == ["originals", "samples"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["red", "white"]
    assert first.get_ylabel() == "true"
    assert first.get_ylim()[0] > first.get_ylim()[1]


def test_colours_are_shares_of_a_line(result):
    ax, _ = curvi.pl.confusion(result, show=False)
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.9, 0.1], [0.25, 0.75]])
    assert ax.images[0].get_clim() == (0, 1)


def test_what_it_comes_to_stands_below(result):
    ax, _ = curvi.pl.confusion(result, show=False)
    assert ax.get_xlabel() == f"predicted\naccuracy {93 / 104:.3f}, balanced 0.825"


def test_a_choice_of_matrices_with_titles_on_axes_of_the_caller(result, tmp_path):
    _, axes = plt.subplots(1, 2)
    curvi.pl.confusion(result, ["samples", "originals"], ax=axes, title=["b", "a"], show=False)
    assert [ax.get_title() for ax in axes] == ["b", "a"]
    assert axes[0].texts[0].get_text() == "2"
    curvi.pl.confusion({"one": table([[1, 0], [0, 1]])}, save=tmp_path / "one.png", show=False)
    assert (tmp_path / "one.png").stat().st_size > 2000


def test_long_names_stand_upright_and_inside_the_figure():
    names = ["immature granulocyte", "erythroblast", "platelet"]
    figure = curvi.pl.confusion({"cells": table(np.eye(3, dtype=int), names)}, return_fig=True)
    figure.canvas.draw()
    (ax,) = figure.axes
    box = ax.get_tightbbox()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.y1 <= figure.bbox.height
    assert ax.get_xticklabels()[0].get_rotation() == 90


def test_a_class_without_rows_is_left_out_of_the_balance():
    ax = curvi.pl.confusion({"a": table([[1, 3], [0, 0]])}, show=False)
    assert ax.get_xlabel().endswith("accuracy 0.250, balanced 0.250")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"names": ["reconstructions"]}, "`result` has 'originals', 'samples'"),
        ({"names": []}, "`names` is"),
        ({"title": "one"}, "`title` has 1 titles; 2 matrices"),
    ],
)
def test_wrong_arguments(result, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        curvi.pl.confusion(result, **arguments)


@pytest.mark.parametrize(
    "bad",
    [
        pd.DataFrame([[1, 2]], index=["a"], columns=["a", "b"]),
        pd.DataFrame([[1, 2], [3, 4]], index=["a", "b"], columns=["b", "a"]),
        table([[0, 0], [0, 0]]),
        table([[1, -1], [0, 1]]),
    ],
)
def test_tables_that_are_no_confusion(bad):
    with pytest.raises(ValueError, match="the table 'x' needs"):
        curvi.pl.confusion({"x": bad})
