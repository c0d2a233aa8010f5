"""The host's loop over the minibatches of an epoch, without the calls that nobody answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.loops.fetchers import _PrefetchDataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.trainer import call
from lightning.pytorch.utilities.model_helpers import is_overridden

from curvi.model._plan import LeanTrainingPlan
from curvi.model._recorded import RecordedSteps, can_be_recorded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lightning.pytorch.loops.fetchers import _DataFetcher
    from torch import Tensor

    from curvi.model._plan import Figures

# What Lightning calls in every minibatch: of callbacks before and after it, of callbacks within it, of the plan, and of
# whoever has the data.
_AROUND = ("on_train_batch_start", "on_train_batch_end")
_WITHIN = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")
_OF_PLAN = (*_AROUND, *_WITHIN, "optimizer_zero_grad", "configure_gradient_clipping", "optimizer_step")
# In which of them a callback may change the model.
_WATCHED = (*_AROUND, "on_validation_start", "on_validation_batch_end", "on_validation_epoch_end", "on_validation_end")
# Whose callbacks leave the model as it is while an epoch runs.
_HARMLESS = frozenset({"curvi", "lightning", "scvi"})
_OF_DATA = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


def is_plain(trainer: Any, fetcher: _DataFetcher) -> bool:
    """Whether nothing is asked of minibatches but gradients in full precision on one device, and steps along them."""
    plan = trainer.lightning_module
    return (
        isinstance(plan, LeanTrainingPlan)
        and type(plan).training_step is LeanTrainingPlan.training_step
        and plan.automatic_optimization
        and type(trainer.strategy) is SingleDeviceStrategy
        and trainer.strategy.model is plan
        and type(trainer.precision_plugin) is Precision
        and type(fetcher) is _PrefetchDataFetcher
        and isinstance(trainer.profiler, PassThroughProfiler)
        and trainer.accumulate_grad_batches == 1
        and not trainer.fit_loop._skip_backward
        and not _answers([plan], _OF_PLAN)
        and not _answers(trainer.callbacks, _WITHIN)
    )


def _answers(parts: Iterable[Any], names: Iterable[str]) -> bool:
    """Whether any of these hooks does anything in any of these parts of a training."""
    return any(is_overridden(name, part) for part in parts for name in names)


def _is_harmless(callback: Any) -> bool:
    return type(callback) is not LambdaCallback and type(callback).__module__.partition(".")[0] in _HARMLESS


class LeanEpochLoop(_TrainingEpochLoop):
    """The host's loop, with the same steps, counters, checkpoints and runs of validation.

    What callbacks and others want of minibatches is found out when an epoch begins. Those of which more is wanted than
    a step of the optimiser, with callbacks before and after it, go the host's way, and so does the first one after a
    restart.
    """

    _plain = False
    _heard = True
    _validates: bool | None = None
    _steps: RecordedSteps | None = None
    _watched = False

    def run(self, data_fetcher: _DataFetcher) -> None:
        """Run an epoch."""
        self._plain = is_plain(self.trainer, data_fetcher)
        by_step = any(figure.meta.on_step for figure in self._results.values())
        self._heard = by_step or _answers(self.trainer.callbacks, _AROUND)  # type: ignore[attr-defined]
        self._validates = self._should_check_val_epoch()
        self._steps = self._recorded()
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        self._watched = _answers([each for each in callbacks if not _is_harmless(each)], _WATCHED)
        selector: Any = self.trainer._data_connector._datahook_selector
        self._hooks = [getattr(selector.get_instance(name), name) for name in _OF_DATA]
        try:
            super().run(data_fetcher)
        finally:
            self._validates = None

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Run a minibatch.

        Raises
        ------
        StopIteration
            If there is none left.
        """
        if not self._plain or self.restarting:
            super().advance(data_fetcher)
            return
        progress = self.batch_progress
        batch, _, _ = next(data_fetcher)
        batch_idx = self.batch_idx + 1
        progress.is_last_batch = data_fetcher.done
        batch = self._moved(batch)
        progress.increment_ready()
        self._tell_start(batch, batch_idx)
        output = None
        if batch is None:
            self._warning_cache.warn("the loader of the minibatches gave None, which is left out.")
        else:
            progress.increment_started()
            output = {"loss": self._optimise(batch, batch_idx)}
        progress.increment_processed()
        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        if self._num_ready_batches_reached():
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        self._tell_end(output, batch, batch_idx)

    def _recorded(self) -> RecordedSteps | None:
        """The steps of the module that are known by their operations; None where they must not be recorded."""
        plan: Any = self.trainer.lightning_module
        if not self._plain or not can_be_recorded(plan):
            return None
        steps = RecordedSteps.of(plan.module)
        steps.begin(plan)
        return steps

    def _tell_start(self, batch: Any, batch_idx: int) -> None:
        """Let callbacks know that a minibatch begins, if any wishes to, and the logger in any case."""
        connector = self.trainer._logger_connector
        if self._heard and batch is not None:
            connector.on_batch_start(batch)
            call._call_callback_hooks(self.trainer, _AROUND[0], batch, batch_idx)
        else:
            connector._first_loop_iter = connector._first_loop_iter is None

    def _tell_end(self, output: dict[str, Any] | None, batch: Any, batch_idx: int) -> None:
        """Let callbacks and loggers know that a minibatch has ended, if there is anything for them."""
        connector = self.trainer._logger_connector
        if self._heard:
            call._call_callback_hooks(self.trainer, _AROUND[1], output, batch, batch_idx)
            connector.on_batch_end()
        self.batch_progress.increment_completed()
        if self._heard:
            connector.update_train_step_metrics()

    def _moved(self, batch: Any) -> Any:
        """The minibatch on the device of the model, as the data wish it to get there."""
        before, transfer, after = self._hooks
        return after(transfer(before(batch, 0), self.trainer.strategy.root_device, 0), 0)

    def _optimise(self, batch: Any, batch_idx: int) -> Tensor:
        """Make the gradients of a minibatch and a step of the optimiser; returns the loss before it."""
        plan: Any = self.trainer.lightning_module
        optimizer: Any = self.trainer.optimizers[0]
        progress = self.automatic_optimization.optim_progress.optimizer
        lost: list[Tensor] = []

        def closure() -> Tensor:
            progress.zero_grad.increment_ready()
            progress.zero_grad.increment_started()
            optimizer.zero_grad()
            progress.zero_grad.increment_completed()
            with torch.enable_grad():
                figures = self._by_operations(plan, batch)
                if figures is None:
                    loss = plan.training_step(batch, batch_idx)
                    plan.backward(loss)
                else:
                    plan.keep(figures)
                    loss = figures.loss
            if self.trainer.gradient_clip_val:
                plan.clip_gradients(optimizer)
            lost[:] = [loss.detach()]
            return lost[0]

        progress.step.increment_ready()
        optimizer.step(closure)
        progress.step.increment_completed()
        return lost[0]

    def _by_operations(self, plan: Any, batch: Any) -> Figures | None:
        """The figures of a minibatch, with its gradients in the parameters; None where torch has to make them."""
        if self._steps is None:
            return None
        if self._watched:
            self._steps.begin(plan)
        return self._steps.run(plan, batch)

    def _should_check_val_epoch(self) -> bool:
        """Whether the epoch has validation, which every minibatch asks and no minibatch changes."""
        return super()._should_check_val_epoch() if self._validates is None else self._validates
