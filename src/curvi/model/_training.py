"""Training: the host's trainer, with minibatches of even size and a KL warm-up that ends."""

from __future__ import annotations

import warnings
from inspect import signature
from math import ceil
from typing import TYPE_CHECKING, Any

from scvi.dataloaders import DataSplitter
from scvi.model._utils import get_max_epochs_heuristic
from scvi.model.base import UnsupervisedTrainingMixin
from scvi.train import TrainingPlan

from curvi.data import CellLoader
from curvi.model._plan import LeanTrainingPlan
from curvi.model._registration import RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Mapping


class CellSplitter(DataSplitter):
    """The host's split into training, validation and test cells, loaded by :class:`curvi.data.CellLoader`."""

    data_loader_cls = CellLoader


class TrainingMixin(UnsupervisedTrainingMixin, RegisteredModel):
    """The :meth:`train` of :class:`curvi.CurviVAE`."""

    _data_splitter_cls = CellSplitter
    _training_plan_cls = LeanTrainingPlan

    def train(
        self,
        max_epochs: int | None = None,
        *,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        train_size: float | None = None,
        validation_size: float | None = None,
        shuffle_set_split: bool = True,
        batch_size: int = 128,
        early_stopping: bool = False,
        kl_weight: float = 1.0,
        kl_warmup: float = 0.1,
        lr_schedule: str = "constant",
        plan_kwargs: Mapping[str, Any] | None = None,
        **trainer_kwargs: Any,
    ) -> None:
        r"""Fit the model by stochastic gradients of the ELBO.

        Parameters
        ----------
        max_epochs
            Passes over the training cells; by default the host's rule, ``min(round(20000 / n_cells * 400), 400)``.
        accelerator, devices
            Where to train, as in :class:`lightning.pytorch.Trainer`.
        train_size, validation_size
            Fractions of the cells; by default 0.9 and the rest. What neither takes is the test set.
        shuffle_set_split
            Whether the split is random (by ``scvi.settings.seed``) or in the order of the cells.
        batch_size
            The largest minibatch; minibatches are of nearly equal size.
        early_stopping
            Whether to stop once the validation ELBO no longer rises.
        kl_weight
            The weight :math:`\beta \ge 0` of the divergence.
        kl_warmup
            The fraction in [0, 1] of the steps that will run over which the weight rises linearly from 0; 0 for a
            constant weight.
        lr_schedule
            ``"constant"``, or ``"cosine"`` for a learning rate that falls along a cosine to 0 at the last step, which
            lets it start higher.
        plan_kwargs
            Further arguments of the host's training plan (``lr``, ``weight_decay``, ``eps``,
            ``reduce_lr_on_plateau``, ...). ``n_steps_kl_warmup`` or ``n_epochs_kl_warmup`` given here go before
            ``kl_warmup``.
        **trainer_kwargs
            ``datasplitter_kwargs``, ``datamodule`` and all arguments of the host's trainer (``callbacks``, ``logger``,
            ``check_val_every_n_epoch``, ``gradient_clip_val``, ``enable_progress_bar``, ``simple_progress_bar``, ...).

        Raises
        ------
        ValueError
            If ``max_epochs`` or ``batch_size`` is below 1, ``kl_weight`` is negative, ``kl_warmup`` outside [0, 1],
            ``lr_schedule`` is unknown, ``early_stopping`` has no validation cells, or ``plan_kwargs`` has a name that
            the training plan does not take.
        """
        for argument, value in {"max_epochs": max_epochs, "batch_size": batch_size}.items():
            if value is not None and value < 1:
                raise ValueError(f"`{argument}` is {value}; it must be at least 1.")
        if not kl_weight >= 0:
            raise ValueError(f"`kl_weight` is {kl_weight}; it must be 0 or positive.")
        if not 0.0 <= kl_warmup <= 1.0:
            raise ValueError(f"`kl_warmup` is {kl_warmup}; it must be a fraction of the training in [0, 1].")
        if early_stopping and train_size == 1.0 and not validation_size:
            raise ValueError(
                "`early_stopping` is True, but with `train_size=1.0` there are no validation cells to watch; leave "
                "some out, or set it to False."
            )
        n_obs = getattr(trainer_kwargs.get("datamodule"), "n_obs", None) or self.adata.n_obs
        if max_epochs is None:
            max_epochs = get_max_epochs_heuristic(n_obs)
        plan = {"max_kl_weight": float(kl_weight), "lr_schedule": lr_schedule} | dict(plan_kwargs or {})
        taken = [name for name in signature(TrainingPlan).parameters if name not in ("module", "loss_kwargs")]
        foreign = [name for name in plan if name not in (*taken, "lr_schedule")]
        if foreign:
            raise ValueError(
                f"`plan_kwargs` has {', '.join(map(repr, foreign))}; the training plan takes {', '.join(taken)}."
            )
        if not {"n_steps_kl_warmup", "n_epochs_kl_warmup"} & plan.keys():
            steps_per_epoch = ceil(n_obs * (train_size or 0.9) / batch_size)
            plan["n_epochs_kl_warmup"] = None
            plan["n_steps_kl_warmup"] = round(kl_warmup * max_epochs * steps_per_epoch)
        self.module.train()  # a loaded model is in evaluation mode
        with warnings.catch_warnings():
            if self.module.holds:
                warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
            super().train(
                max_epochs=max_epochs,
                accelerator=accelerator,
                devices=devices,
                train_size=train_size,
                validation_size=validation_size,
                shuffle_set_split=shuffle_set_split,
                batch_size=batch_size,
                early_stopping=early_stopping,
                plan_kwargs=plan,
                **trainer_kwargs,
            )
