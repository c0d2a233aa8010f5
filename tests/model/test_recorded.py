"""Training steps made by their recorded operations give the numbers of the usual ones, bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scvi
import torch
from sklearn.datasets import load_digits

import curvi
from curvi import presets
from curvi.model._loop import LeanEpochLoop
from curvi.model._recorded import RecordedSteps

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData
    from lightning.pytorch.callbacks import Callback

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
    """The same training with steps that are recorded, and with usual ones."""

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
