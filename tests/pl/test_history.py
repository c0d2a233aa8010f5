"""Training curves."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import curvi

N = 20


def frame(name, values, index="epoch"):
    # The host's logger keeps Python objects.
    values = np.asarray(values, dtype=object)
    return pd.DataFrame({name: values}, pd.RangeIndex(len(values), name=index))


def trained(**more):
    down = 700 + 200 * np.exp(-np.arange(N) / 3)
    valid = down + 3 + np.where(np.arange(N) > 12, np.arange(N) - 12, 0)
    curves = {
        "kl_weight": frame("kl_weight", np.linspace(0, 1, 90), "step"),
        "validation_loss": frame("validation_loss", valid),
        "elbo_validation": frame("elbo_validation", valid),
        "reconstruction_loss_validation": frame("reconstruction_loss_validation", valid - 8),
        "kl_local_validation": frame("kl_local_validation", np.full(N, 8.0)),
        "kl_global_validation": frame("kl_global_validation", np.zeros(N)),
        "train_loss_epoch": frame("train_loss_epoch", down),
        "train_loss_step": frame("train_loss_step", np.repeat(down, 5), "step"),
        "elbo_train": frame("elbo_train", down),
        "reconstruction_loss_train": frame("reconstruction_loss_train", down - 8),
        "kl_local_train": frame("kl_local_train", 8 - np.exp(-np.arange(N))),
        "kl_global_train": frame("kl_global_train", np.zeros(N)),
    }
    return SimpleNamespace(history=curves | more)


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def test_training_and_validation_of_a_quantity_share_a_panel():
    axes = curvi.pl.history(trained(), show=False)
    titles = [ax.get_title() for ax in axes]
    assert titles == [
        "negative ELBO",
        "reconstruction loss",
        "KL divergence",
        "weight of the KL divergence",
        "loss step",
    ]
    model = trained()
    curves = lines(axes[0])
    for cells in ("train", "validation"):
        expected = model.history[f"elbo_{cells}"][f"elbo_{cells}"].to_numpy(dtype=float)
        np.testing.assert_allclose(curves[cells].get_ydata(), expected)
    assert axes[0].get_xlabel() == "epoch"
    assert axes[3].get_xlabel() == "step"
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["train", "validation"]
    assert axes[3].get_legend() is None


def test_a_ring_marks_the_best_validation_epoch_of_losses_only():
    elbo, kl = curvi.pl.history(trained(), ["elbo", "kl_local"], show=False)
    ring = lines(elbo)["_best"]
    valid = lines(elbo)["validation"].get_ydata()
    assert ring.get_xdata() == [np.argmin(valid)]
    assert 0 < np.argmin(valid) < N - 1
    assert ring.get_ydata() == [valid.min()]
    assert "_best" not in lines(kl)


@pytest.mark.parametrize("keys", ["elbo", "elbo_train", ["elbo_validation", "elbo_train"], ["elbo"]])
def test_a_quantity_is_chosen_by_its_name_or_that_of_a_curve(keys):
    ax = curvi.pl.history(trained(), keys, show=False)
    assert ax.get_title() == "negative ELBO"
    assert {"train", "validation"} <= set(lines(ax))


def test_names_of_losses_are_paired():
    ax = curvi.pl.history(trained(), "loss", show=False)
    assert {"train", "validation"} <= set(lines(ax))
    ax = curvi.pl.history(trained(), "train_loss_step", show=False)
    assert set(lines(ax)) == {"train"}
    assert ax.get_xlabel() == "step"


def test_missing_epochs_are_left_out_and_one_epoch_is_a_dot():
    sparse = np.full(N, np.nan)
    sparse[4::5] = [4.0, 3.0, 2.0, 1.0]
    ax = curvi.pl.history(trained(elbo_validation=frame("elbo_validation", sparse)), "elbo", show=False)
    np.testing.assert_array_equal(lines(ax)["validation"].get_xdata(), [4, 9, 14, 19])
    ax = curvi.pl.history(SimpleNamespace(history={"elbo_train": frame("elbo_train", [5.0])}), show=False)
    assert lines(ax)["train"].get_marker() == "o"
    constant = SimpleNamespace(history={"elbo_train": frame("elbo_train", [5.0, 5.0])})
    assert curvi.pl.history(constant, show=False).get_title() == "negative ELBO"


def test_a_logarithmic_scale_has_labelled_ticks():
    for ax in curvi.pl.history(trained(), scale="log", show=False):
        assert ax.get_yscale() == "log"
        ax.figure.draw_without_rendering()
        low, high = ax.get_ylim()
        ticks = [t.get_text() for t in ax.get_yticklabels() if low <= t.get_position()[1] <= high and t.get_text()]
        assert len(ticks) >= 2, ax.get_title()
    assert curvi.pl.history(trained(), "elbo", show=False).get_yscale() == "linear"


@pytest.mark.parametrize(
    ("history", "arguments", "sentence"),
    [
        (None, {}, r"no history; call `model.train\(\)` first"),
        ({}, {}, "no history"),
        ({"elbo_train": frame("elbo_train", [np.nan])}, {}, "holds no numbers"),
        (..., {"keys": "accuracy"}, "`keys` has 'accuracy'; the history has 'kl_weight', 'loss', 'elbo'"),
        (..., {"keys": []}, "empty list"),
        (..., {"scale": "symlog"}, "`scale` is 'symlog'; expected one of 'linear', 'log'"),
        (..., {"keys": "kl_global", "scale": "log"}, "cannot show 'kl_global', whose values are from 0 to 0"),
        ({"elbo_train": frame("elbo_train", [-3.0, 2.0])}, {"scale": "log"}, "from -3 to 2"),
        (..., {"keys": "elbo", "title": ["a", "b"]}, "`title` has 2 titles; there are 1 panels"),
    ],
)
def test_unusable_arguments_are_sentences(history, arguments, sentence):
    model = trained() if history is ... else SimpleNamespace(history=history)
    with pytest.raises(ValueError, match=sentence):
        curvi.pl.history(model, **arguments)
    assert plt.get_fignums() == []


def test_it_saves_and_takes_axes(tmp_path):
    curvi.pl.history(trained(), save=tmp_path / "history.png")
    assert (tmp_path / "history.png").stat().st_size > 5_000
    assert plt.get_fignums() == []
    _, axes = plt.subplots(1, 2)
    returned = curvi.pl.history(trained(), ["elbo", "kl_local"], ax=axes, title=["left", "right"], show=False)
    assert [ax.get_title() for ax in returned] == ["left", "right"]
