"""The loop over minibatches without hooks: the trainings of Lightning's own, to the last bit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scvi
import torch
from lightning.pytorch.callbacks import (
    Callback,
    Checkpoint,
    GradientAccumulationScheduler,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.utilities.exceptions import SIGTERMException

import curvi
from curvi.model._loop import LeanEpochLoop
from curvi.model._plan import LeanTrainingPlan

QUIET = {"enable_progress_bar": False, "enable_model_summary": False}


class Listener(Callback):
    """Listens to a hook of minibatches and does nothing, so that Lightning's own loop runs."""

    def on_before_zero_grad(self, *_):
        pass


class Kept(Callback):
    """What Lightning counts and keeps, at the end of every epoch and every run of validation."""

    def __init__(self):
        self.found = []

    def on_train_epoch_end(self, trainer, plan):
        loop = trainer.fit_loop.epoch_loop
        self.found.append(
            {
                "loops": trainer.fit_loop.state_dict(),
                "steps": (trainer.global_step, loop.global_step, loop._batches_that_stepped, loop.total_batch_idx),
                "optimizer": repr(trainer.optimizers[0].state_dict()),
                "schedules": [repr(config.scheduler.state_dict()) for config in trainer.lr_scheduler_configs],
                "weight": float(plan.kl_weight),
                "figures": {name: float(value) for name, value in trainer.callback_metrics.items()},
            }
        )

    def on_validation_end(self, trainer, plan):
        self.found.append((trainer.global_step, trainer.fit_loop.epoch_loop.batch_idx))


@pytest.fixture(scope="module")
def cells():
    return curvi.datasets.synthetic(n_obs=150, n_vars=20)


@pytest.fixture
def calls(monkeypatch):
    """How many minibatches each of the two ways took."""
    counted = {"lean": 0, "all": 0}
    ours, theirs = LeanEpochLoop._optimise, _TrainingEpochLoop.advance

    def optimise(self, *args):
        counted["lean"] += 1
        return ours(self, *args)

    def advance(self, fetcher):
        counted["all"] += 1
        theirs(self, fetcher)

    monkeypatch.setattr(LeanEpochLoop, "_optimise", optimise)
    monkeypatch.setattr(_TrainingEpochLoop, "advance", advance)
    return counted


def train(cells, *callbacks, **options):
    """A model and what was kept of its training."""
    adata = cells.copy()
    curvi.CurviVAE.setup_anndata(adata)
    scvi.settings.seed = 0
    model = curvi.CurviVAE(adata, n_hidden=8)
    kept = Kept()
    options = {"max_epochs": 4, "batch_size": 20, **QUIET, **options}
    if any(isinstance(callback, Checkpoint) for callback in callbacks):
        options["enable_checkpointing"] = None
    model.train(callbacks=[*callbacks, kept], **options)
    return model, kept.found


def assert_same(one, other):
    """Weights, history and whatever was kept are the same to the last bit."""
    (model, kept), (model2, kept2) = one, other
    for name, value in model.module.state_dict().items():
        torch.testing.assert_close(value, model2.module.state_dict()[name], rtol=0, atol=0, equal_nan=True)
    assert kept == kept2
    assert model.history.keys() == model2.history.keys()
    for name, frame in model.history.items():
        pd.testing.assert_frame_equal(frame, model2.history[name])
    assert model.trainer.current_epoch == model2.trainer.current_epoch
    assert model.trainer.global_step == model2.trainer.global_step


SETTINGS = {
    "plain": {},
    "validation": {"check_val_every_n_epoch": 1},
    "validation in between": {"check_val_every_n_epoch": 1, "val_check_interval": 3},
    "validation by the step": {"check_val_every_n_epoch": None, "val_check_interval": 5},
    "early stopping": {
        "max_epochs": 30,
        "early_stopping": True,
        "early_stopping_patience": 2,
        "early_stopping_min_delta": 1e3,
    },
    "max_steps": {"max_steps": 10, "max_epochs": None},
    "max_steps within epochs": {"max_steps": 17, "max_epochs": 4, "check_val_every_n_epoch": 1},
    "min_steps": {"max_epochs": 6, "min_steps": 20, "early_stopping": True, "early_stopping_patience": 1},
    "limit": {"limit_train_batches": 4},
    "share": {"limit_train_batches": 0.5, "limit_val_batches": 1, "check_val_every_n_epoch": 2},
    "cosine": {"lr_schedule": "cosine"},
    "warm-up": {"kl_warmup": 0.7, "kl_weight": 0.4},
    "warm-up by epochs": {"plan_kwargs": {"n_epochs_kl_warmup": 3}},
    "clipped": {"gradient_clip_val": 0.5},
    "clipped by value": {"gradient_clip_val": 1e-3, "gradient_clip_algorithm": "value"},
    "AdamW": {"plan_kwargs": {"optimizer": "AdamW", "weight_decay": 0.1}},
    "own optimiser": {
        "plan_kwargs": {"optimizer": "Custom", "optimizer_creator": lambda p: torch.optim.SGD(p, lr=1e-4)}
    },
    "steps logged": {"plan_kwargs": {"on_step": True}, "log_every_n_steps": 1},
    "plateau": {
        "max_epochs": 12,
        "log_every_n_steps": 3,
        "plan_kwargs": {
            "reduce_lr_on_plateau": True,
            "lr_scheduler_metric": "elbo_train",
            "lr_threshold": 1e3,
            "lr_patience": 3,
        },
    },
    "compressed rows": {"load_sparse_tensor": True},
}


@pytest.mark.parametrize("options", SETTINGS.values(), ids=list(SETTINGS))
def test_trainings_are_those_of_lightnings_loop(cells, calls, options):
    lean = train(cells, **options)
    assert calls["all"] == 0
    n_steps = calls["lean"]
    assert n_steps == lean[0].trainer.global_step > 0
    host = train(cells, Listener(), **options)
    assert calls == {"lean": n_steps, "all": n_steps}
    assert_same(lean, host)


class Talking(Callback):
    """Logs figures of its own in the hooks in which the plan logs."""

    def on_train_epoch_end(self, trainer, plan):
        self.log("epochs", float(trainer.current_epoch))

    def on_validation_epoch_end(self, trainer, plan):
        self.log("steps", float(trainer.global_step))


class TalkingLast(Talking, Checkpoint):
    """The same, after the plan."""


@pytest.mark.parametrize("talking", [(), (Talking,), (TalkingLast,)], ids=["plan", "first", "last"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"check_val_every_n_epoch": 1, "val_check_interval": 3},
        {"plan_kwargs": {"on_step": True}, "log_every_n_steps": 1, "check_val_every_n_epoch": 2},
        {"plan_kwargs": {"on_epoch": False}},
    ],
    ids=str,
)
def test_figures_of_epochs_are_those_that_lightnings_log_makes(cells, monkeypatch, talking, options):
    ours = train(cells, *(kind() for kind in talking), **options)
    monkeypatch.setattr(
        LeanTrainingPlan,
        "_log",
        lambda self, name, value, **shown: self.log(name, value, sync_dist=True, **shown),
    )
    theirs = train(cells, *(kind() for kind in talking), **options)
    assert_same(ours, theirs)
    assert len(ours[0].history["kl_weight"]) == 4
    assert bool(talking) == ("epochs" in ours[0].history)
    assert ours[0].trainer.progress_bar_metrics == theirs[0].trainer.progress_bar_metrics


NEED_THE_HOST = {
    "mixed precision": {"precision": "bf16-mixed"},
    "accumulated": {"accumulate_grad_batches": 2},
    "profiled": {"profiler": "simple"},
}


@pytest.mark.parametrize("options", NEED_THE_HOST.values(), ids=list(NEED_THE_HOST))
def test_what_asks_for_more_goes_the_hosts_way(cells, calls, options):
    train(cells, **options)
    assert calls["lean"] == 0 < calls["all"]


WITHIN = ["on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step"]


@pytest.mark.parametrize("hook", ["on_train_batch_start", "on_train_batch_end", *WITHIN])
def test_callbacks_are_heard(cells, calls, hook):
    heard = []
    listener = type("Listener", (Callback,), {hook: lambda self, trainer, *_: heard.append(trainer.global_step)})()
    model, _ = train(cells, listener)
    assert len(heard) == model.trainer.global_step
    assert heard[0] == (hook == "on_train_batch_end")
    assert bool(calls["all"]) == (hook in WITHIN)


class Diary(Callback):
    """What callbacks are told before and after minibatches, and figures of its own by the step and the epoch."""

    def __init__(self):
        self.told = []

    def on_train_batch_start(self, trainer, plan, batch, batch_idx):
        self.told.append((batch_idx, trainer.global_step, {name: value.shape for name, value in batch.items()}))
        if batch_idx == 5 and trainer.current_epoch == 2:
            trainer.should_stop = True

    def on_train_batch_end(self, trainer, plan, outputs, batch, batch_idx):
        self.told.append((batch_idx, trainer.global_step, float(outputs["loss"]), plan._current_fx_name))
        self.log("twice", 2 * outputs["loss"], on_step=True, on_epoch=True, prog_bar=True)


@pytest.mark.parametrize("options", [{}, {"log_every_n_steps": 2, "check_val_every_n_epoch": 1}], ids=str)
def test_callbacks_around_minibatches_are_told_what_lightning_tells_them(cells, calls, tmp_path, options):
    def run(folder, *listeners):
        save = ModelCheckpoint(tmp_path / folder, every_n_train_steps=4, save_top_k=-1)
        bar, diary = TQDMProgressBar(refresh_rate=0), Diary()
        shown = {"enable_progress_bar": True, "simple_progress_bar": False}
        trained = train(cells, *listeners, save, bar, diary, **shown, **options)
        return trained, diary.told, sorted(path.name for path in (tmp_path / folder).iterdir())

    lean, *told = run("lean")
    assert calls["all"] == 0 < calls["lean"]
    host, *told_by_host = run("host", Listener())
    assert calls["all"] == calls["lean"]
    assert told == told_by_host
    assert_same(lean, host)
    assert len(lean[0].history["twice_epoch"]) == 3
    assert lean[0].trainer.progress_bar_metrics == host[0].trainer.progress_bar_metrics


def test_whether_there_is_more_to_do_is_asked_anew_every_epoch(cells, calls):
    class Second(Callback):
        def on_train_epoch_start(self, trainer, plan):
            if trainer.current_epoch == 1:
                trainer.callbacks.append(listener)
            if trainer.current_epoch == 2:
                trainer.callbacks.remove(listener)

    listener = Listener()
    model, _ = train(cells, Second(), max_epochs=4)
    assert calls == {"lean": 21, "all": 7}
    calls.update(lean=0, all=0)
    model, _ = train(cells, GradientAccumulationScheduler({0: 1, 2: 7}))
    assert calls == {"lean": 14, "all": 14}
    assert model.trainer.global_step == 16


def test_a_checkpoint_is_that_of_lightning_and_can_be_gone_on_from(cells, calls, tmp_path):
    class AtEnd(Checkpoint):
        """Saves without a hook of minibatches."""

        def __init__(self, name):
            self.name = name

        def on_train_epoch_end(self, trainer, plan):
            if trainer.current_epoch == 2:
                trainer.save_checkpoint(tmp_path / self.name)

    options = {"max_epochs": 6, "lr_schedule": "cosine"}
    whole = train(cells, AtEnd("lean.ckpt"), **options)
    train(cells, AtEnd("host.ckpt"), Listener(), **options)
    assert calls["lean"] == calls["all"] == 42
    lean, host = (torch.load(tmp_path / f"{name}.ckpt", weights_only=False) for name in ("lean", "host"))
    assert lean.keys() == host.keys()
    for name in lean:
        if name not in ("curvi", "state_dict"):
            assert repr(lean[name]) == repr(host[name]), name
    for name in ("state_dict", "curvi"):
        torch.testing.assert_close(lean[name], host[name], rtol=0, atol=0)
    for name in ("lean", "host"):
        calls.update(lean=0, all=0)
        resumed, _ = train(cells, AtEnd("again.ckpt"), **options, ckpt_path=tmp_path / f"{name}.ckpt")
        # The first minibatch after a restart is Lightning's affair.
        assert calls["lean"] + calls["all"] == 21
        assert calls["all"] <= 1
        for key, value in whole[0].module.state_dict().items():
            torch.testing.assert_close(value, resumed.module.state_dict()[key], rtol=0, atol=0)
        assert resumed.trainer.global_step == 42
        for figure in ("elbo_train", "kl_weight"):
            np.testing.assert_array_equal(resumed.history[figure], whole[0].history[figure])


class Stopped(Callback):
    """What ended a training, and when."""

    def on_exception(self, trainer, plan, exception):
        self.seen = (type(exception), trainer.global_step)


@pytest.mark.parametrize(("exception", "step"), [(KeyError, 9), (SIGTERMException, 10)])
def test_an_interruption_reaches_lightning(cells, monkeypatch, exception, step):
    def interrupted(self, *args):
        if self.global_step == 9:
            if exception is KeyError:
                raise KeyError
            # What Lightning does when the signal comes; it ends the minibatch.
            self.trainer._signal_connector.received_sigterm = True
        return ours(self, *args)

    ours = LeanEpochLoop._optimise
    stopped = Stopped()
    monkeypatch.setattr(LeanEpochLoop, "_optimise", interrupted)
    with pytest.raises(exception):
        train(cells, stopped)
    assert stopped.seen == (exception, step)


def test_a_minibatch_of_nothing_is_left_out(cells, monkeypatch):
    moved = LeanEpochLoop._moved
    monkeypatch.setattr(
        LeanEpochLoop, "_moved", lambda self, batch: None if self.batch_idx == 2 else moved(self, batch)
    )
    with pytest.warns(UserWarning, match="gave None, which is left out"):
        model, _ = train(cells)
    assert model.trainer.global_step == 24
