"""The optimiser and the learning rate of a training."""

from __future__ import annotations

from math import cos, pi

import numpy as np
import pytest
import scvi
import torch
from lightning.pytorch.callbacks import Callback
from packaging.version import Version

import curvi

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": None}


class Rates(Callback):
    """The learning rate of every step."""

    def __init__(self):
        self.rates, self.fused = [], set()

    def on_train_batch_end(self, trainer, *_):
        group = trainer.optimizers[0].param_groups[0]
        self.rates.append(group["lr"])
        self.fused.add(group["fused"])


@pytest.fixture
def model():
    adata = curvi.datasets.synthetic(n_obs=100, n_vars=20)
    curvi.CurviVAE.setup_anndata(adata)
    scvi.settings.seed = 0
    return curvi.CurviVAE(adata, n_hidden=8)


def test_the_learning_rate_is_constant_or_falls_along_a_cosine(model):
    constant, cosine = Rates(), Rates()
    model.train(max_epochs=2, batch_size=20, train_size=1.0, callbacks=[constant], **QUIET)
    model.train(
        max_epochs=4,
        batch_size=20,
        train_size=1.0,
        callbacks=[cosine],
        lr_schedule="cosine",
        plan_kwargs={"lr": 0.01},
        **QUIET,
    )
    assert constant.rates == [1e-3] * 10
    assert len(cosine.rates) == 20
    # The rate is that of the next step, whose number counts the steps that are done.
    np.testing.assert_allclose(cosine.rates, [0.005 * (1 + cos(pi * i / 20)) for i in range(1, 21)], atol=1e-12)


def test_one_call_for_all_parameters_makes_the_same_steps(model, monkeypatch):
    start = {key: value.clone() for key, value in model.module.state_dict().items()}
    ends = []
    for device in (torch.device("cpu"), None):
        model.module.load_state_dict(start)
        seen = Rates()
        if device is None:
            # The host's own optimiser.
            monkeypatch.setattr(
                curvi.model._plan.LeanTrainingPlan,
                "get_optimizer_creator",
                scvi.train.TrainingPlan.get_optimizer_creator,
            )
        scvi.settings.seed = 0
        model.train(max_epochs=3, batch_size=20, train_size=1.0, callbacks=[seen], **QUIET)
        ends.append({key: value.clone() for key, value in model.module.state_dict().items()})
        # From 1.5 on the host's own is in one call, too.
        assert seen.fused == {True} if device is not None or Version(scvi.__version__) >= Version("1.5") else {None}
    for key, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][key], rtol=1e-4, atol=1e-6)


def test_schedules_that_cannot_be_are_refused(model):
    with pytest.raises(ValueError, match="unknown `lr_schedule` 'linear'; the known names are 'constant', 'cosine'"):
        model.train(max_epochs=1, lr_schedule="linear", **QUIET)
    with pytest.raises(ValueError, match="`lr_schedule` is 'cosine' and `reduce_lr_on_plateau` is set"):
        model.train(max_epochs=1, lr_schedule="cosine", plan_kwargs={"reduce_lr_on_plateau": True}, **QUIET)


def test_early_stopping_needs_cells_to_watch(model):
    with pytest.raises(ValueError, match="`early_stopping` is True, but with `train_size=1.0` there are no validation"):
        model.train(max_epochs=1, train_size=1.0, early_stopping=True, **QUIET)


def test_a_model_of_nothing_is_refused():
    with pytest.raises(ValueError, match="neither `adata` nor `registry` was given"):
        curvi.CurviVAE()


def test_steps_are_logged_where_asked_for(model):
    model.train(
        max_epochs=4,
        batch_size=20,
        log_every_n_steps=1,
        check_val_every_n_epoch=2,
        early_stopping=True,
        plan_kwargs={"on_step": True},
        **QUIET,
    )
    assert len(model.history["train_loss_step"]) == 4 * 5
    assert len(model.history["validation_loss_step"]) == 2
    for name in ("train_loss", "elbo_train", "reconstruction_loss_train", "kl_local_train"):
        assert len(model.history[f"{name}_epoch"]) == 4
        assert name not in model.history
    steps = model.history["train_loss_step"].to_numpy(dtype=float).reshape(4, 5).mean(1)
    # 90 cells in five minibatches of 18.
    np.testing.assert_allclose(model.history["train_loss_epoch"].to_numpy(dtype=float)[:, 0], steps, rtol=1e-5)
    panels = curvi.pl.history(model, keys=["elbo", "loss_step"], show=False)
    assert [line.get_label() for line in panels[0].get_lines()][:2] == ["train", "validation"]
