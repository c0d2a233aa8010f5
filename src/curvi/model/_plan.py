"""The host's training plan, its figures summed on the device and logged once an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from scvi.train import TrainingPlan

if TYPE_CHECKING:
    from scvi.module.base import LossOutput
    from torch import Tensor


class EpochSums:
    """Sums over the cells of an epoch, kept on the device until they are read.

    Every minibatch adds to one small tensor, so that logging costs a training step next to nothing.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._total: Tensor | None = None

    @torch.no_grad()
    def add(self, output: LossOutput) -> None:
        """Add a minibatch: its loss and further metrics by the cell, its two terms of the ELBO, its cells."""
        n = output.n_obs_minibatch
        figures = {
            "cells": torch.full_like(output.loss, n),
            "loss": output.loss * n,
            "reconstruction_loss": output.reconstruction_loss_sum,
            "kl_local": output.kl_local_sum,
        } | {name: value * n for name, value in output.extra_metrics.items()}
        self._names = list(figures)
        step = torch.stack([value.double() for value in figures.values()])
        self._total = step if self._total is None else self._total + step

    def means(self, plan: TrainingPlan) -> dict[str, Tensor]:
        """The mean of each figure over the cells of all processes; the sums start again."""
        if self._total is None:
            return {}
        total = plan.trainer.strategy.reduce(self._total, reduce_op="sum")
        self._total = None
        means = dict(zip(self._names, total / total[0], strict=True))
        del means["cells"]
        return means


class LeanTrainingPlan(TrainingPlan):
    """The optimisers, schedules and KL warm-up of :class:`scvi.train.TrainingPlan`, without its cost of logging.

    Logs under the host's names, once an epoch: ``train_loss``, ``elbo_train`` (to be minimised, as there),
    ``reconstruction_loss_train``, ``kl_local_train``, further metrics, the same for validation, and ``kl_weight``.
    """

    def on_train_epoch_start(self) -> None:
        """Start the sums of the epoch."""
        self._train_sums = EpochSums()

    def on_validation_epoch_start(self) -> None:
        """Start the sums of the validation cells."""
        self._validation_sums = EpochSums()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of a minibatch."""
        self.loss_kwargs["kl_weight"] = self.kl_weight
        _, _, output = self.forward(batch, loss_kwargs=self.loss_kwargs)
        self._train_sums.add(output)
        return output.loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Add a minibatch of validation cells to the sums."""
        _, _, output = self.forward(batch, loss_kwargs=self.loss_kwargs)
        self._validation_sums.add(output)

    def on_train_epoch_end(self) -> None:
        """Log the training figures of the epoch."""
        self._log_means(self._train_sums, "train")
        self.log("kl_weight", float(self.loss_kwargs["kl_weight"]))

    def on_validation_epoch_end(self) -> None:
        """Log the validation figures of the epoch."""
        self._log_means(self._validation_sums, "validation")

    def _log_means(self, sums: EpochSums, stage: str) -> None:
        means = sums.means(self)
        if not means:
            return
        self.log(f"{stage}_loss", means.pop("loss"), prog_bar=True)
        self.log(f"elbo_{stage}", means["reconstruction_loss"] + means["kl_local"])
        self.log_dict({f"{name}_{stage}": value for name, value in means.items()})
