"""One run of the host's trainer, whose history is complete whatever the logger, and goes on where training goes on."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from scvi.model._utils import use_distributed_sampler
from scvi.train import TrainRunner
from scvi.train._callbacks import LoudEarlyStopping
from scvi.train._config import merge_kwargs
from scvi.train._logger import SimpleLogger

from curvi.model._history import HistoryLogger
from curvi.model._loop import LeanEpochLoop
from curvi.model._plan import has_kept_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightning.pytorch import LightningModule, Trainer
    from scvi.model.base import BaseModelClass

History = dict[str, pd.DataFrame]
_SPLIT = ("train_idx", "val_idx", "test_idx")


class _HandOver(Callback):
    """Leaves in a file what the first of several processes has found, for the process that started them."""

    def __init__(self, path: Path, logger: SimpleLogger) -> None:
        self.path = path
        self.logger = logger

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            data = trainer.datamodule  # type: ignore[attr-defined]
            found = {
                "history": self.logger.history,
                "recorded": getattr(pl_module, "recorded", {}),
                "split": {name: getattr(data, name) for name in _SPLIT if hasattr(data, name)},
            }
            self.path.write_bytes(pickle.dumps(found))


class Runner(TrainRunner):
    """The host's runner, with a history in memory beside whatever loggers there are, and for several processes.

    Of several processes, which may be started by this one and end with the training, all see the same cells set aside,
    can stop early together, and bring home what they have found.
    """

    def __init__(self, model: BaseModelClass, *args: Any, trainer_config: Any = None, **trainer: Any) -> None:
        # Checkpoints of the host mark the model as untrained, so that whether it was is to be known from the start.
        self._earlier: History = dict(model.history_ or {}) if model.is_trained_ else {}
        trainer = _with_history(merge_kwargs(trainer_config, trainer, name="trainer"))
        if use_distributed_sampler(trainer.get("strategy")):
            trainer = _with_early_stopping(trainer)
        with warnings.catch_warnings():
            # The host means that early stopping is off, which goes on through a callback here.
            warnings.filterwarnings("ignore", message="early_stopping was automatically disabled")
            super().__init__(model, *args, **trainer)
        loop = self.trainer.fit_loop.epoch_loop
        self.trainer.fit_loop.epoch_loop = LeanEpochLoop(self.trainer, loop.min_steps, loop.max_steps)
        found = [logger for logger in self.trainer.loggers if isinstance(logger, SimpleLogger)]
        if not found:
            found = [HistoryLogger()]
            self.trainer.loggers = [*self.trainer.loggers, *found]
        self._logger = found[0]
        self._handed: dict[str, Any] = {}
        if self.trainer.world_size > 1:
            self._prepare_processes()

    def _prepare_processes(self) -> None:
        """Give several processes a seed in common, and a place to leave what they find."""
        for part in (self.training_plan, self.data_splitter):
            if hasattr(part, "shared_seed"):
                part.shared_seed = int(torch.randint(2**62, ()))
        launcher = self.trainer.strategy.launcher
        if not isinstance(launcher, _MultiProcessingLauncher):
            return
        if launcher._start_method == "spawn" and has_kept_rows(self.training_plan.module):
            raise ValueError(
                "the model was made by load_query_data() and keeps the reference's rows of its tables, which processes "
                "that are spawned would not know of; train it in one process, or in a script with strategy='ddp'."
            )
        # A trainer of processes that have ended cannot be handed to others.
        self.model.trainer = None
        self._folder = TemporaryDirectory()
        self._handed_path = Path(self._folder.name) / "handed"
        self.trainer.callbacks.append(_HandOver(self._handed_path, self._logger))

    def __call__(self) -> None:
        """Train; afterwards each process has the model on its own device."""
        super().__call__()
        if self.trainer.world_size > 1:
            self.model.to_device(self.trainer.strategy.root_device)

    def _take_over(self) -> None:
        """Take what processes that have ended left."""
        if self.trainer.world_size > 1 and hasattr(self, "_folder"):
            if self._handed_path.exists():
                self._handed = pickle.loads(self._handed_path.read_bytes())
                self.training_plan.recorded = self._handed["recorded"]
                for name, cells in self._handed["split"].items():
                    setattr(self.data_splitter, name, cells)
            self._folder.cleanup()

    def _update_history(self) -> None:
        """Give the model the history of this run, after that of earlier ones."""
        self._take_over()
        if not self.trainer.is_global_zero:
            super()._update_history()
            return
        made = {name: frame.copy() for name, frame in self._logged().items()}
        if self.ckpt_path is None:
            self.model.history_ = _appended(self._earlier, made)
        else:
            self.model.history_ = _resumed(self.training_plan.recorded, made)

    def _logged(self) -> History:
        """What was logged, here or by another process of this run."""
        return self._handed.get("history") or self._logger.history


def _with_early_stopping(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """The trainer's arguments for several processes, with early stopping, which the host would leave out."""
    arguments = dict(trainer)
    names = ("monitor", "min_delta", "patience", "mode", "warmup_epochs")
    given = {name: arguments.pop(f"early_stopping_{name}") for name in names if f"early_stopping_{name}" in arguments}
    if arguments.pop("early_stopping", False):
        usual = {"monitor": "elbo_validation", "min_delta": 0.0, "patience": 45, "mode": "min", "warmup_epochs": 0}
        arguments["callbacks"] = [*arguments.get("callbacks", []), LoudEarlyStopping(**(usual | given))]
        if arguments.get("check_val_every_n_epoch") is None:
            arguments["check_val_every_n_epoch"] = 1
    return arguments


def _with_history(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """The trainer's arguments with a logger in memory, and with files where a folder is given only.

    The host writes the history of several processes to the working directory.
    """
    arguments = dict(trainer)
    if arguments.get("logger") is None:
        folder = arguments.get("log_save_dir")
        arguments["logger"] = HistoryLogger(save_dir=folder, save_log_on_disk=bool(folder))
    return arguments


def _appended(earlier: History, later: History) -> History:
    """The history of two runs, the second counted on from the first."""
    epochs = [frame.index.max() + 1 for frame in earlier.values() if frame.index.name == "epoch" and len(frame)]
    history = dict(earlier)
    for name, frame in later.items():
        before = earlier.get(name)
        if frame.index.name == "epoch":
            frame.index = frame.index + max(epochs, default=0)
        elif before is not None and len(before):
            frame.index = frame.index + before.index.max() + 1
        history[name] = frame if before is None else pd.concat([before, frame])
    return history


def _resumed(recorded: Mapping[str, Mapping[int, float]], later: History) -> History:
    """The history of a run that began at a checkpoint, with the epochs before it as they were recorded there."""
    history = dict(later)
    for name, values in recorded.items():
        index = pd.Index(list(values), name="epoch", dtype=object)
        history[name] = pd.DataFrame({name: list(values.values())}, index=index, dtype=object)
    return history
