"""The host's training plan, its figures summed on the device and logged once an epoch."""

from __future__ import annotations

from math import cos, isfinite, pi
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scvi.train import TrainingPlan
from scvi.train._trainingplans import _compute_kl_weight
from torch import distributed
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.weak import WeakTensorKeyDictionary

from curvi.data import CellLoader
from curvi.model._adam import Adam, AdamW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from scvi.module.base import BaseModuleClass
    from torch import Tensor, nn
    from torch.optim import Optimizer


# The share of the learning rate at a time in [0, 1] of the training.
_SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda time: 1.0,
    "cosine": lambda time: (1 + cos(pi * time)) / 2,
}

_ADAM: dict[str, type[Optimizer]] = {"Adam": Adam, "AdamW": AdamW}


# Tables of which some rows are kept.
_KEPT: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def keep_rows(parameter: Tensor, n_rows: int) -> None:
    """Let training move the rows of a table beyond the first ``n_rows`` only: those have no gradient and no decay."""

    def only_new(grad: Tensor) -> Tensor:
        moved = grad.clone()
        moved[:n_rows].zero_()
        return moved

    _KEPT[parameter] = parameter.register_hook(only_new)


def has_kept_rows(module: nn.Module) -> bool:
    """Whether :func:`keep_rows` was said of a table of the module."""
    return any(map(is_kept, module.parameters()))


def is_kept(parameter: Tensor) -> bool:
    """Whether :func:`keep_rows` was said of a parameter."""
    return parameter in _KEPT


class Figures(NamedTuple):
    """What is known of a minibatch after its forward pass."""

    n: int
    """Its cells."""
    values: dict[str, Tensor]
    """The loss and further metrics by the cell, and then the sums of the two terms of the ELBO."""

    @property
    def loss(self) -> Tensor:
        """What is to be minimised."""
        return self.values["loss"]


class EpochSums:
    """Sums over the cells of an epoch, kept on the device until they are read.

    The figures of some hundred minibatches are added at once, so that logging costs a training step next to nothing.
    """

    _AT_ONCE = 256

    def __init__(self) -> None:
        self._names: list[str] = []
        self._sizes: list[int] = []
        self._steps = torch.empty(0)
        self._total: Tensor | None = None

    def add(self, figures: Figures) -> None:
        """Add a minibatch."""
        values = list(figures.values.values())
        if not self._sizes:
            self._names = ["cells", *figures.values]
            self._steps = figures.loss.new_empty(self._AT_ONCE, len(values))
        with torch.no_grad():
            # Kept apart, they would be scattered among the large tensors of the steps, whose memory then has no use.
            torch.stack(values, out=self._steps[len(self._sizes)])
        self._sizes.append(figures.n)
        if len(self._sizes) == self._AT_ONCE:
            self._add_up()

    def _add_up(self) -> None:
        """Add the minibatches that wait to the sums."""
        if not self._sizes:
            return
        steps = self._steps[: len(self._sizes)].double()
        sizes = torch.tensor(self._sizes, dtype=steps.dtype, device=steps.device)
        # All but the last two are by the cell.
        steps[:, :-2] *= sizes[:, None]
        total = torch.cat([sizes.sum()[None], steps.sum(0)])
        self._total = total if self._total is None else self._total + total
        self._sizes = []

    def means(self, plan: TrainingPlan) -> dict[str, Tensor]:
        """The mean of each figure over the cells of all processes; the sums start again."""
        self._add_up()
        if self._total is None:
            return {}
        total = plan.trainer.strategy.reduce(self._total, reduce_op="sum")
        self._total = None
        means = dict(zip(self._names, total / total[0], strict=True))
        del means["cells"]
        return means


class LeanTrainingPlan(TrainingPlan):
    """The optimisers, schedules and KL warm-up of :class:`scvi.train.TrainingPlan`, without its cost of logging.

    Besides, the learning rate can fall along a cosine to 0 at the end of the training, ``lr_schedule="cosine"``, and
    the KL warm-up can be a fraction ``kl_warmup`` in [0, 1] of the steps that will run. Logs under the host's names,
    once an epoch: ``train_loss``, ``elbo_train`` (to be minimised, as there), ``reconstruction_loss_train``,
    ``kl_local_train``, further metrics, the same for validation, and ``kl_weight``. With ``on_step=True`` the loss of
    steps too, ``train_loss_step`` and ``validation_loss_step``; the figures of epochs then have the ending ``_epoch``,
    as there, and without it they can still be watched by callbacks. On the processor steps are recorded and then made
    by their operations alone, with the same numbers; not with ``record_steps=False``.

    Its checkpoints hold what the host's lack to go on with the same steps: the state of the random numbers, and the
    figures of the epochs so far, ``recorded``.

    In a run of several processes, each draws numbers of its own from ``shared_seed``, which they have in common, anew
    every epoch; the figures are those of the cells of all processes. At the end all have the same running figures of
    normalisation, those of the first.
    """

    _weight: Tensor
    _weighed: tuple[float, torch.device] | None = None

    def __init__(
        self,
        module: BaseModuleClass,
        *,
        lr_schedule: str = "constant",
        kl_warmup: float | None = None,
        record_steps: bool = True,
        **kwargs: Any,
    ) -> None:
        if kl_warmup is not None:
            kwargs |= {"n_epochs_kl_warmup": None, "n_steps_kl_warmup": None}
        super().__init__(module, **kwargs)
        if lr_schedule not in _SCHEDULES:
            known = ", ".join(map(repr, _SCHEDULES))
            raise ValueError(f"unknown `lr_schedule` {lr_schedule!r}; the known names are {known}.")
        if lr_schedule != "constant" and self.reduce_lr_on_plateau:
            raise ValueError(
                f"`lr_schedule` is {lr_schedule!r} and `reduce_lr_on_plateau` is set; the learning rate can follow one "
                "of the two only."
            )
        self.lr_schedule = lr_schedule
        self.kl_warmup = kl_warmup
        self.record_steps = record_steps
        self.recorded: dict[str, dict[int, float]] = {}
        self.shared_seed = 0

    def setup(self, stage: str) -> None:
        """Let the processes of a run have one seed in common."""
        if self.trainer.world_size > 1:
            self.shared_seed = self.trainer.strategy.broadcast(self.shared_seed)

    def on_train_start(self) -> None:
        """Find out over how many steps the weight of the divergence rises; over epochs where steps are not known."""
        for config in self.trainer.lr_scheduler_configs:
            # A checkpoint is written before its epoch's figure is looked at.
            if config.reduce_on_plateau:
                name = f"{config.monitor}_epoch" if self.on_step else str(config.monitor)
                for value in list(self.recorded.get(name, {}).values())[config.scheduler.last_epoch :]:
                    config.scheduler.step(value)
        if self.kl_warmup is None:
            return
        steps = self.trainer.estimated_stepping_batches
        if isfinite(steps) and steps > 0:
            self.n_steps_kl_warmup = round(self.kl_warmup * steps)
        else:
            self.n_epochs_kl_warmup = round(self.kl_warmup * (self.trainer.max_epochs or 0))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the state of the random numbers and the history to a checkpoint."""
        state = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        checkpoint["curvi"] = {"random": state, "recorded": self.recorded, "shared_seed": self.shared_seed}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take what :meth:`on_save_checkpoint` added."""
        name, _ = next(self.named_parameters())
        self.to(checkpoint["state_dict"][name].dtype)
        found = checkpoint.get("curvi", {})
        self.recorded = found.get("recorded", {})
        self.shared_seed = found.get("shared_seed", self.shared_seed)
        for kind, state in found.get("random", {}).items():
            if kind == "cpu":
                torch.set_rng_state(state.cpu())
            elif torch.cuda.is_available():
                torch.cuda.set_rng_state(state.cpu())

    def configure_optimizers(self) -> dict[str, Any]:
        """The optimiser and, where the learning rate is not constant, its schedule by the step."""
        config = super().configure_optimizers()
        if self.lr_schedule != "constant":
            steps, share = self.trainer.estimated_stepping_batches, _SCHEDULES[self.lr_schedule]
            if not isfinite(steps) or steps < 1:
                raise ValueError(
                    f"`lr_schedule` is {self.lr_schedule!r}, which must know how many steps will run, but the "
                    "loader of the minibatches has no length; pass `max_steps`, or 'constant'."
                )
            schedule = LambdaLR(config["optimizer"], lambda step: share(min(step / steps, 1.0)))
            config["lr_scheduler"] = {"scheduler": schedule, "interval": "step"}
        return config

    def get_optimizer_creator(self) -> Callable[[Iterable[Tensor]], Optimizer]:
        """The host's optimiser; on the CPU, Adam in one call for all parameters, with the same steps.

        Tables of which some rows are kept have no weight decay, which would move those rows.
        """
        if self.device.type == "cpu" or (self.trainer.gradient_clip_val and "mixed" in str(self.trainer.precision)):
            # From 1.5 on the host asks for one call itself, in a way that Lightning does not clip in mixed precision.
            self.fused_optimizer = False
        if self.optimizer_name not in _ADAM:
            return super().get_optimizer_creator()
        one_call = self.device.type == "cpu"
        create = self._optimizer_creator_fn(_ADAM[self.optimizer_name]) if one_call else super().get_optimizer_creator()

        def made(parameters: Iterable[Tensor]) -> Optimizer:
            every = list(parameters)
            kept = [parameter for parameter in every if parameter in _KEPT]
            rest = [parameter for parameter in every if parameter not in _KEPT]
            groups = [{"params": rest}] if rest else []
            optimizer = create([*groups, {"params": kept, "weight_decay": 0.0}] if kept else every)
            if one_call:
                for group in optimizer.param_groups:
                    group.update(fused=True, foreach=False)
            return optimizer

        return made

    def on_train_epoch_start(self) -> None:
        """Start the sums of the epoch; of several processes, each with draws and cells of its own."""
        self._train_sums = EpochSums()
        if self.trainer.world_size > 1:
            if isinstance(self.trainer.train_dataloader, CellLoader):
                self.trainer.train_dataloader.set_epoch(self.current_epoch)
            own = np.random.SeedSequence([self.shared_seed, self.current_epoch, self.global_rank])
            torch.manual_seed(int(own.generate_state(1, np.uint64)[0] >> np.uint64(1)))

    def on_train_end(self) -> None:
        """Give all processes the running figures of normalisation of the first, which else lag by one step."""
        if self.trainer.world_size > 1 and distributed.is_initialized():
            for buffer in self.module.buffers():
                distributed.broadcast(buffer, 0)

    def on_validation_epoch_start(self) -> None:
        """Start the sums of the validation cells."""
        self._validation_sums = EpochSums()

    @property
    def kl_weight(self) -> Tensor:
        """The weight of the divergence in this step; the tensor of the last step where it has not changed."""
        weight = _compute_kl_weight(
            self.current_epoch,
            self.global_step,
            self.n_epochs_kl_warmup,
            self.n_steps_kl_warmup,
            self.max_kl_weight,
            self.min_kl_weight,
        )
        if (weight, self.device) != self._weighed:
            self._weighed = weight, self.device
            self._weight = torch.tensor(weight, device=self.device)
        return self._weight

    def weigh(self) -> Tensor:
        """Let the next loss have the weight of the divergence in this step, and return it."""
        weight = self.loss_kwargs["kl_weight"] = self.kl_weight
        return weight

    def figures(self, batch: Mapping[str, Tensor | None]) -> Figures:
        """The figures of a minibatch, with a graph for their gradients."""
        _, _, output = self.forward(batch, loss_kwargs=self.loss_kwargs)
        sums = {"reconstruction_loss": output.reconstruction_loss_sum, "kl_local": output.kl_local_sum}
        return Figures(output.n_obs_minibatch, {"loss": output.loss, **output.extra_metrics, **sums})

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of a minibatch."""
        self.weigh()
        figures = self.figures(batch)
        self.keep(figures)
        return figures.loss

    def keep(self, figures: Figures) -> None:
        """Add a minibatch to the sums of the epoch."""
        self._train_sums.add(figures)
        if self.on_step:
            # By the step: what goes through `log` is kept by the epoch once a figure of the epoch stands beside it.
            for logger in self.trainer.loggers:
                logger.log_metrics({"train_loss_step": float(figures.loss.detach())}, step=self.global_step)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Add a minibatch of validation cells to the sums."""
        figures = self.figures(batch)
        self._validation_sums.add(figures)
        if self.on_step:
            self.log("validation_loss_step", figures.loss, on_step=True, on_epoch=False)

    def on_train_epoch_end(self) -> None:
        """Log the training figures of the epoch."""
        self._log_means(self._train_sums, "train")
        weight = self.loss_kwargs["kl_weight"]
        self._log("kl_weight", weight)
        self._record("kl_weight", float(weight))

    def on_validation_epoch_end(self) -> None:
        """Log the validation figures of the epoch."""
        self._log_means(self._validation_sums, "validation")

    def _log_means(self, sums: EpochSums, stage: str) -> None:
        means = sums.means(self)
        if not means:
            return
        loss = means.pop("loss")
        figures = {f"{stage}_loss": loss, f"elbo_{stage}": means["reconstruction_loss"] + means["kl_local"]}
        figures |= {f"{name}_{stage}": value for name, value in means.items()}
        for name, value in figures.items():
            self._log(name, value, prog_bar=value is loss, logger=bool(self.on_epoch) and not self.on_step)
        if self.on_epoch and self.on_step:
            figures = {f"{name}_epoch": value for name, value in figures.items()}
            for name, value in figures.items():
                self._log(name, value)
        if self.on_epoch:
            for name, value in figures.items():
                self._record(name, float(value))

    def _log(self, name: str, value: Tensor, **shown: bool) -> None:
        """Log a figure of an epoch, the same in all processes.

        What Lightning looks into when something is logged is dear, and is the same in every epoch but the first.
        """
        hook, results = self._current_fx_name, self.trainer._results
        key = f"{hook}.{name}"
        known = results.get(key)
        if known is not None and known.has_reset:
            results.update_metrics(key, value, 1)
            self.trainer._logger_connector._current_fx = hook
        else:
            self.log(name, value, sync_dist=True, **shown)

    def _record(self, name: str, value: float) -> None:
        self.recorded.setdefault(name, {})[self.current_epoch] = value
