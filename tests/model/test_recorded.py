"""Training steps made by their recorded operations give the numbers of the usual ones, bit for bit."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
import pytest
import scvi
import torch
from lightning.pytorch.callbacks import Callback, LambdaCallback, ModelCheckpoint
from sklearn.datasets import load_digits

import curvi
from curvi import presets
from curvi.model import _recorded
from curvi.model._loop import LeanEpochLoop
from curvi.model._recorded import RecordedSteps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anndata import AnnData

SMALL: dict[str, Any] = {"n_hidden": 12, "n_layers": 1}
LEVELS = {"batch_key": ["patient", "condition"]}
EPOCHS = 3


def _real(cells: AnnData) -> AnnData:
    made = cells.copy()
    made.X = np.log1p(made.X.toarray())
    return made


def _dense(cells: AnnData) -> AnnData:
    made = cells.copy()
    made.X = made.X.toarray()
    return made


def _grey(cells: AnnData) -> AnnData:
    made = _real(cells)
    made.X = made.X / made.X.max()
    return made


def _sized(cells: AnnData) -> AnnData:
    cells.obs["size"] = np.asarray(cells.X.sum(1)).ravel() * 1.1
    return cells


def _images(_: AnnData) -> AnnData:
    made = curvi.data.from_images((load_digits().images[:240, None] > 7).astype(np.float32), channels="first")
    made.obs["batch"] = np.where(np.arange(240) % 3, "a", "b")
    return made


def _same_figures(a: curvi.CurviVAE, b: curvi.CurviVAE) -> bool:
    return a.history.keys() == b.history.keys() and all(
        np.array_equal(a.history[name].to_numpy(float), b.history[name].to_numpy(float), equal_nan=True)
        for name in b.history
    )


def _same_weights(a: curvi.CurviVAE, b: curvi.CurviVAE) -> bool:
    pairs = zip(a.module.state_dict().values(), b.module.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def _n_programs(model: curvi.CurviVAE) -> int:
    known = RecordedSteps.of(model.module)._known.values()
    return sum(each is not None and each.is_compared for each in known)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps were made by their operations."""
    made: list[int] = []
    run = RecordedSteps.run

    def counted(self: RecordedSteps, *args: Any) -> Any:
        figures = run(self, *args)
        made.append(figures is not None)
        return figures

    monkeypatch.setattr(RecordedSteps, "run", counted)
    return made


@pytest.fixture
def both(
    monkeypatch: pytest.MonkeyPatch, quiet: dict[str, Any], runs: list[int]
) -> Callable[..., tuple[curvi.CurviVAE, curvi.CurviVAE]]:
    """The same training with steps that are recorded, soon, and with usual ones."""
    monkeypatch.setattr(_recorded, "_USUAL_STEPS", 2)

    def make(
        adata: AnnData,
        arguments: dict[str, Any] | None = None,
        setup: dict[str, Any] | None = None,
        prepare: Callable[[curvi.CurviVAE], Any] = lambda model: None,
        callbacks: Callable[[curvi.CurviVAE], list[Callback]] = lambda model: [],
        **train: Any,
    ) -> tuple[curvi.CurviVAE, curvi.CurviVAE]:
        def one() -> curvi.CurviVAE:
            curvi.CurviVAE.setup_anndata(adata, **(setup or {}))
            scvi.settings.seed = 0
            model = curvi.CurviVAE(adata, **({**SMALL} if arguments is None else arguments))
            prepare(model)
            model.train(callbacks=callbacks(model), **{"max_epochs": EPOCHS, "batch_size": 32, **quiet, **train})
            return model

        recorded = one()
        with monkeypatch.context() as usual:
            usual.setattr(LeanEpochLoop, "_recorded", lambda self: None)
            return recorded, one()

    return make


SOFTPLUS = {"likelihood_kwargs": {"mean_activation": "softplus"}}
CASES: dict[str, tuple[Callable[[AnnData], AnnData], dict[str, Any], dict[str, Any]]] = {
    "normal": (_dense, {**SMALL, "latent": "normal"}, {}),
    "delta": (_real, {**SMALL, "latent": "delta", "likelihood": "student_t"}, {}),
    "vmf": (_dense, {**SMALL, "latent_kwargs": {"learn_curvature": True}}, LEVELS),
    "vmf, sparse": (lambda cells: cells, {**SMALL, "n_latent": 10}, LEVELS),
    "power_spherical": (lambda cells: cells, {**SMALL, "latent": "power_spherical", "likelihood": "poisson"}, {}),
    "lorentz": (lambda cells: cells, {**SMALL, "latent": "lorentz", "latent_kwargs": {"learn_curvature": True}}, {}),
    "poincare": (lambda cells: cells, {**SMALL, "latent": "poincare", "latent_kwargs": {"learn_curvature": True}}, {}),
    "torus": (_dense, {**SMALL, "latent": [("vmf", 1)] * 2}, {}),
    "product": (_dense, {**SMALL, "latent": [("vmf", 2), ("lorentz", 2), ("normal", 3)], "thinning_weight": 1.0}, {}),
    "zinb": (_dense, {**SMALL, "likelihood": "zinb", "dispersion": "gene-cell"}, LEVELS),
    "softplus": (_dense, {**SMALL, **SOFTPLUS}, LEVELS),
    "zinb, softplus": (_dense, {**SMALL, **SOFTPLUS, "likelihood": "zinb"}, {}),
    "poisson, softplus": (lambda cells: cells, {**SMALL, **SOFTPLUS, "likelihood": "poisson"}, {}),
    "dispersion by level": (lambda cells: cells, {**SMALL, "dispersion": "gene-batch"}, LEVELS),
    "grey": (_grey, {**SMALL, "likelihood": "continuous_bernoulli", "normalization": "layer"}, {}),
    "shrinkage": (_dense, {**SMALL, "level_shrinkage": 2.0, "encode_covariates": True}, LEVELS),
    "covariates": (_dense, SMALL, {"batch_key": "patient", "continuous_covariate_keys": ["age"]}),
    "dropout": (_dense, {"n_hidden": 12, "dropout_rate": 0.4, "normalization": "none", "activation": "gelu"}, {}),
    "corruption": (_dense, {**SMALL, "corruption": "thinning"}, {}),
    "salt": (_grey, {**SMALL, "likelihood": "bernoulli", "corruption": "salt_and_pepper"}, {}),
    "scphere": (lambda cells: cells, presets.scphere, LEVELS),
    "hyperbolic": (lambda cells: cells, presets.hyperbolic, LEVELS),
    "images": (_images, {**presets.images, "n_hidden": [3, 4], "dropout_rate": 0.2}, {"batch_key": "batch"}),
    "denoising": (_real, presets.denoising, {}),
    "linear": (_real, presets.linear, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_training_is_the_usual_one_bit_for_bit(name: str, cells: AnnData, both: Any, runs: list[int]) -> None:
    prepare, arguments, setup = CASES[name]
    a, b = both(prepare(cells), arguments, setup)
    assert _same_figures(a, b)
    assert _same_weights(a, b)
    assert _n_programs(a) == 2, "minibatches of 30 and of 31 cells"
    assert sum(runs) > 8
    assert _n_programs(b) == 0


@pytest.mark.parametrize("likelihood", ["nb", "zinb", "poisson"])
def test_weights_in_double_precision_are_recorded_too(likelihood: str, cells: AnnData, both: Any) -> None:
    a, b = both(cells, {**SMALL, "likelihood": likelihood}, prepare=lambda model: model.module.double())
    assert _n_programs(a) == 2
    assert _same_figures(a, b)
    assert _same_weights(a, b)


class _At(Callback):
    """Changes something before a minibatch, the training ones counted from 0."""

    def __init__(self, step: int, change: Callable[[], Any]) -> None:
        self.step, self.change = step, change

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            self.change()


def _set_dropout(model: curvi.CurviVAE) -> None:
    for part in model.module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.6


def _hold(model: curvi.CurviVAE) -> None:
    model.module.hold([part for part in model.module.modules() if isinstance(part, torch.nn.BatchNorm1d)])
    model.module.train()


def _freeze(model: curvi.CurviVAE) -> None:
    next(model.module.encoder.parameters()).requires_grad_(False)


def _transpose_in_place(model: curvi.CurviVAE) -> None:
    for part in model.module.decoder.modules():
        if isinstance(part, torch.nn.Linear) and part.in_features == part.out_features:
            part.weight.data = part.weight.data.t()


CHANGES: dict[str, Callable[[curvi.CurviVAE], Any]] = {
    "thinning": lambda model: setattr(model.module, "thinning_weight", 3.0),
    "thinning rate": lambda model: setattr(model.module.thinning, "rate", 0.7),
    "dropout": _set_dropout,
    "hold": _hold,
    "freeze": _freeze,
    "size": lambda model: setattr(model.module, "unit_norm_input", True),
    "load": lambda model: model.module.load_state_dict(
        {name: value * 0.5 if value.is_floating_point() else value for name, value in model.module.state_dict().items()}
    ),
    "assign": lambda model: [setattr(each, "data", each.data * 0.5) for each in model.module.parameters()],
    "turn": _transpose_in_place,
    "corruption": lambda model: setattr(model.module, "corruption", curvi.nn.FeatureDropout(0.5)),
    "other corruption": lambda model: setattr(model.module, "corruption", curvi.nn.CountThinning(0.5)),
}
WIDE = {"n_hidden": [12, 12], "thinning_weight": 1.0, "corruption": "thinning", "corruption_kwargs": {"rate": 0.5}}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_before_a_minibatch_are_honoured(name: str, cells: AnnData, both: Any, runs: list[int]) -> None:
    change = CHANGES[name]
    a, b = both(_dense(cells), WIDE, callbacks=lambda model: [_At(8, lambda: change(model))])
    assert _same_figures(a, b)
    assert _same_weights(a, b)
    assert any(runs[:8])
    assert name == "load" or not runs[8], "what was recorded is forgotten"
    assert any(runs[14:])


@pytest.mark.parametrize("name", ["thinning", "hold", "freeze", "load", "turn"])
def test_changes_between_epochs_are_honoured(name: str, cells: AnnData, both: Any, runs: list[int]) -> None:
    class Between(Callback):
        def __init__(self, model: curvi.CurviVAE) -> None:
            self.model = model

        def on_train_epoch_start(self, trainer: Any, *_: Any) -> None:
            if trainer.current_epoch == 1:
                CHANGES[name](self.model)

    a, b = both(_dense(cells), WIDE, callbacks=lambda model: [Between(model)])
    assert _same_figures(a, b)
    assert _same_weights(a, b)
    assert any(runs[:7])
    assert name == "load" or not runs[7]
    assert any(runs[14:])


def test_callbacks_made_of_functions_are_honoured(cells: AnnData, both: Any) -> None:
    def change(model: curvi.CurviVAE) -> Callable[..., None]:
        def start(trainer: Any, *_: Any) -> None:
            if trainer.global_step == 9:
                model.module.thinning_weight = 3.0

        return start

    a, b = both(_dense(cells), WIDE, callbacks=lambda model: [LambdaCallback(on_train_batch_start=change(model))])
    assert _same_figures(a, b)
    assert _same_weights(a, b)


def test_changes_by_validation_within_an_epoch_are_honoured(cells: AnnData, both: Any) -> None:
    steps: list[int] = []

    class AfterValidation(Callback):
        def __init__(self, model: curvi.CurviVAE) -> None:
            self.model = model

        def on_validation_end(self, trainer: Any, *_: Any) -> None:
            steps.append(trainer.global_step)
            if trainer.global_step == 10:
                self.model.module.thinning_weight = 3.0

    a, b = both(
        _dense(cells),
        WIDE,
        callbacks=lambda model: [AfterValidation(model)],
        val_check_interval=3,
        check_val_every_n_epoch=1,
    )
    assert 10 in steps
    assert _same_figures(a, b)
    assert _same_weights(a, b)


@pytest.mark.parametrize(
    "train",
    [
        {"gradient_clip_val": 0.05},
        {"plan_kwargs": {"weight_decay": 0.1, "optimizer": "AdamW"}, "lr_schedule": "cosine"},
        {"plan_kwargs": {"reduce_lr_on_plateau": True, "lr_patience": 0}},
        {"early_stopping": True, "max_epochs": 8, "early_stopping_patience": 1},
        {"kl_warmup": 1.0},
        {"plan_kwargs": {"n_epochs_kl_warmup": 2}, "kl_weight": 3.0},
        {"max_steps": 19, "max_epochs": 5},
        {"batch_size": 200, "max_epochs": 6},
        {"data_device": "cpu"},
        {"plan_kwargs": {"on_step": True}},
    ],
    ids=str,
)
def test_what_is_around_a_step_is_the_same(train: dict[str, Any], cells: AnnData, both: Any, runs: list[int]) -> None:
    a, b = both(cells, **train)
    assert _same_figures(a, b)
    assert _same_weights(a, b)
    assert any(runs)


def _moving(parameters: Any) -> torch.optim.Optimizer:
    class Moving(torch.optim.SGD):
        """Writes its parameters to another place in some of its steps."""

        count = 0

        def step(self, closure: Any = None) -> Any:
            made = super().step(closure)
            self.count += 1
            if self.count == 10:
                for group in self.param_groups:
                    for parameter in group["params"]:
                        parameter.data = parameter.data.clone()
            return made

    return Moving(parameters, lr=1e-3)


def test_parameters_that_an_optimizer_moves_are_found(cells: AnnData, both: Any, runs: list[int]) -> None:
    a, b = both(cells, plan_kwargs={"optimizer": "Custom", "optimizer_creator": _moving})
    assert _same_weights(a, b)
    assert runs[9]
    assert not runs[10]
    assert any(runs[15:])


def _hook(model: curvi.CurviVAE) -> None:
    model.module.decoder.register_forward_hook(lambda module, given, made: made * 1.0)


def _parameter_hook(model: curvi.CurviVAE) -> None:
    next(model.module.parameters()).register_hook(lambda gradient: 0.5 * gradient)


class _Own(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.5


USUAL: dict[str, Callable[[curvi.CurviVAE], Any]] = {
    "hook": _hook,
    "parameter hook": _parameter_hook,
    "module of a user": lambda model: setattr(model.module, "corruption", _Own()),
    "patched method": lambda model: setattr(model.module, "encode", model.module.encode),
}


@pytest.mark.parametrize("name", USUAL)
def test_what_others_do_in_a_step_goes_the_usual_way(name: str, cells: AnnData, both: Any, runs: list[int]) -> None:
    a, b = both(_dense(cells), prepare=USUAL[name])
    assert _same_weights(a, b)
    assert not runs


def test_plans_of_others_and_the_search_for_anomalies_go_the_usual_way(
    cells: AnnData, both: Any, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    both(cells, detect_anomaly=True)
    assert not runs

    class Plan(curvi.CurviVAE._training_plan_cls):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return super().forward(*args, **kwargs)

    monkeypatch.setattr(curvi.CurviVAE, "_training_plan_cls", Plan)
    both(cells)
    assert not runs


def test_numbers_that_operations_do_not_tell_are_those_of_the_usual_way(
    cells: AnnData, both: Any, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    count = [0]

    class Counting(Callback):
        def on_train_start(self, *_: Any) -> None:
            count[0] = 0

        def on_train_batch_start(self, *_: Any) -> None:
            count[0] += 1

    monkeypatch.setattr(curvi.nn.FeatureDropout, "forward", lambda self, x: x * count[0] + torch.rand_like(x))
    a, b = both(_dense(cells), {**SMALL, "corruption": "dropout"}, callbacks=lambda model: [Counting()])
    assert len(runs) == 21
    assert sum(runs) == 2, "only the two comparisons, whose numbers are those of the usual way"
    assert _n_programs(a) == 0
    assert _same_figures(a, b)
    assert _same_weights(a, b)


def test_training_goes_on_with_what_was_recorded(cells: AnnData, quiet: dict[str, Any], runs: list[int]) -> None:
    curvi.CurviVAE.setup_anndata(cells)
    model = curvi.CurviVAE(cells, **SMALL)
    model.train(EPOCHS, batch_size=32, **quiet)
    runs.clear()
    model.train(1, batch_size=32, **quiet)
    assert len(runs) == 7
    assert all(runs)


def test_two_trainings_in_turn_are_the_usual_ones(
    cells: AnnData, quiet: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def one() -> curvi.CurviVAE:
        curvi.CurviVAE.setup_anndata(cells)
        scvi.settings.seed = 0
        model = curvi.CurviVAE(cells, **SMALL)
        model.train(EPOCHS, batch_size=32, **quiet)
        model.module.double()
        model.train(EPOCHS, batch_size=32, **quiet)
        model.module.float()
        model.train(EPOCHS, batch_size=48, train_size=0.7, **quiet)
        return model

    recorded = one()
    monkeypatch.setattr(LeanEpochLoop, "_recorded", lambda self: None)
    assert _same_weights(recorded, one())


def test_recording_can_be_left_out(cells: AnnData, quiet: dict[str, Any], runs: list[int]) -> None:
    curvi.CurviVAE.setup_anndata(cells)
    models = []
    for plan in ({"record_steps": False}, {}):
        scvi.settings.seed = 0
        models.append(curvi.CurviVAE(cells, **SMALL))
        models[-1].train(EPOCHS, batch_size=32, plan_kwargs=plan, **quiet)
        assert (_n_programs(models[-1]), any(runs)) == ((2, True) if not plan else (0, False))
    assert _same_weights(*models)


def test_short_trainings_record_nothing(
    cells: AnnData, quiet: dict[str, Any], monkeypatch: pytest.MonkeyPatch, runs: list[int]
) -> None:
    monkeypatch.setattr(RecordedSteps, "_record", None)
    curvi.CurviVAE.setup_anndata(cells)
    model = curvi.CurviVAE(cells, **SMALL)
    model.train(1, batch_size=32, **quiet)
    assert runs == [False] * 7


def test_a_loss_that_is_no_number_breaks_nothing(cells: AnnData, both: Any) -> None:
    def spoil(model: curvi.CurviVAE) -> None:
        with torch.no_grad():
            next(model.module.decoder.parameters()).fill_(float("nan"))

    a, b = both(cells, prepare=spoil)
    assert _n_programs(a) == 0
    assert _same_figures(a, b)
    assert np.isnan(a.history["train_loss"].to_numpy(float)).all()


def test_rows_that_are_kept_do_not_move(
    cells: AnnData, quiet: dict[str, Any], make_cells: Any, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    scvi.settings.seed = 0
    curvi.CurviVAE.setup_anndata(cells, **LEVELS)
    reference = curvi.CurviVAE(cells, **{**SMALL, "encode_covariates": True})
    reference.train(1, batch_size=32, **quiet)
    query = make_cells(seed=1)
    query.obs["patient"] = query.obs["patient"].cat.rename_categories({"p0": "new"})

    def one() -> curvi.CurviVAE:
        scvi.settings.seed = 0
        model = curvi.CurviVAE.load_query_data(query.copy(), reference)
        model.train(EPOCHS, batch_size=32, **quiet)
        return model

    runs.clear()
    recorded = one()
    assert any(runs)
    monkeypatch.setattr(LeanEpochLoop, "_recorded", lambda self: None)
    assert _same_weights(recorded, one())


def test_a_training_that_is_resumed_is_the_usual_one(
    cells: AnnData, tmp_path: Path, quiet: dict[str, Any], runs: list[int]
) -> None:
    def model() -> curvi.CurviVAE:
        curvi.CurviVAE.setup_anndata(cells)
        scvi.settings.seed = 0
        return curvi.CurviVAE(cells, **SMALL)

    class Stop(Callback):
        def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
            trainer.should_stop = trainer.current_epoch == 2

    def saving() -> ModelCheckpoint:
        return ModelCheckpoint(dirpath=tmp_path, filename="last", save_on_train_epoch_end=True)

    whole = model()
    whole.train(7, batch_size=32, **quiet)
    model().train(7, batch_size=32, callbacks=[saving(), Stop()], **quiet)
    runs.clear()
    resumed = model()
    resumed.train(7, batch_size=32, ckpt_path=tmp_path / "last.ckpt", callbacks=[saving()], **quiet)
    assert any(runs)
    assert _same_weights(whole, resumed)


def test_modules_are_let_go(cells: AnnData, quiet: dict[str, Any]) -> None:
    curvi.CurviVAE.setup_anndata(cells)
    model = curvi.CurviVAE(cells, **SMALL)
    model.train(EPOCHS, batch_size=32, **quiet)
    module = ref(model.module)
    steps = ref(RecordedSteps.of(model.module))
    assert _n_programs(model) == 2
    del model
    gc.collect()
    assert module() is None
    assert steps() is None


def test_minibatches_with_more_than_tensors_go_the_usual_way() -> None:
    steps = RecordedSteps()
    assert steps.run(None, {"X": torch.ones(2, 2), "names": ["a", "b"]}) is None
