"""The host's loop over the minibatches of an epoch, without the hooks that nobody listens to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.loops.fetchers import _PrefetchDataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden

from curvi.model._plan import LeanTrainingPlan

if TYPE_CHECKING:
    from lightning.pytorch.loops.fetchers import _DataFetcher
    from torch import Tensor

# What Lightning calls in every minibatch: of the plan and of callbacks, of the plan alone, and of whoever has the data.
_OF_BOTH = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
_OF_PLAN = ("optimizer_zero_grad", "configure_gradient_clipping", "optimizer_step")
_OF_DATA = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


def is_plain(trainer: Any, fetcher: _DataFetcher) -> bool:
    """Whether nothing is asked of minibatches but gradients in full precision on one device, and steps along them."""
    plan, loop = trainer.lightning_module, trainer.fit_loop.epoch_loop
    listeners = [(each, name) for each in (plan, *trainer.callbacks) for name in _OF_BOTH]
    listeners += [(plan, name) for name in _OF_PLAN]
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
        and not any(figure.meta.on_step for figure in loop._results.values())
        and not any(is_overridden(name, each) for each, name in listeners)
    )


class LeanEpochLoop(_TrainingEpochLoop):
    """The host's loop, with the same steps, counters, checkpoints and runs of validation.

    Whether minibatches can do without hooks is found out when an epoch begins; those that cannot go the host's way,
    and so does the first one after a restart.
    """

    _plain = False
    _validates: bool | None = None

    def run(self, data_fetcher: _DataFetcher) -> None:
        """Run an epoch."""
        self._plain = is_plain(self.trainer, data_fetcher)
        self._validates = self._should_check_val_epoch()
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
        connector = self.trainer._logger_connector
        connector._first_loop_iter = connector._first_loop_iter is None
        if batch is None:
            self._warning_cache.warn("the loader of the minibatches gave None, which is left out.")
        else:
            progress.increment_started()
            self._optimise(batch, batch_idx)
        progress.increment_processed()
        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        if self._num_ready_batches_reached():
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        progress.increment_completed()

    def _moved(self, batch: Any) -> Any:
        """The minibatch on the device of the model, as the data wish it to get there."""
        before, transfer, after = self._hooks
        return after(transfer(before(batch, 0), self.trainer.strategy.root_device, 0), 0)

    def _optimise(self, batch: Any, batch_idx: int) -> None:
        """Make the gradients of a minibatch and a step of the optimiser."""
        plan: Any = self.trainer.lightning_module
        optimizer: Any = self.trainer.optimizers[0]
        progress = self.automatic_optimization.optim_progress.optimizer

        def closure() -> Tensor:
            with torch.enable_grad():
                loss = plan.training_step(batch, batch_idx)
                progress.zero_grad.increment_ready()
                progress.zero_grad.increment_started()
                optimizer.zero_grad()
                progress.zero_grad.increment_completed()
                plan.backward(loss)
            if self.trainer.gradient_clip_val:
                plan.clip_gradients(optimizer)
            return loss.detach()

        progress.step.increment_ready()
        optimizer.step(closure)
        progress.step.increment_completed()

    def _should_check_val_epoch(self) -> bool:
        """Whether the epoch has validation, which every minibatch asks and no minibatch changes."""
        return super()._should_check_val_epoch() if self._validates is None else self._validates
