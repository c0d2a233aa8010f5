"""One run of the host's trainer, whose history is complete whatever the logger, and goes on where training goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from scvi.train import TrainRunner
from scvi.train._logger import SimpleLogger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvi.model.base import BaseModelClass

History = dict[str, pd.DataFrame]


class Runner(TrainRunner):
    """The host's runner, with a history in memory beside whatever loggers there are."""

    def __init__(self, model: BaseModelClass, *args: Any, **kwargs: Any) -> None:
        # Checkpoints of the host mark the model as untrained, so that whether it was is to be known from the start.
        self._earlier: History = dict(model.history_ or {}) if model.is_trained_ else {}
        super().__init__(model, *args, **kwargs)
        found = [logger for logger in self.trainer.loggers if isinstance(logger, SimpleLogger)]
        if not found:
            found = [SimpleLogger()]
            self.trainer.loggers = [*self.trainer.loggers, *found]
        self._logger = found[0]

    def _update_history(self) -> None:
        """Give the model the history of this run, after that of earlier ones."""
        if not self.trainer.is_global_zero:
            super()._update_history()
            return
        made = {name: frame.copy() for name, frame in self._logged().items()}
        if self.ckpt_path is None:
            self.model.history_ = _appended(self._earlier, made)
        else:
            self.model.history_ = _resumed(self.training_plan.recorded, made)

    def _logged(self) -> History:
        """What was logged: in memory, or by another process of this run in a file."""
        path = getattr(self._logger, "history_path", None)
        return self._logger.history or (pd.read_pickle(path) if path and Path(path).exists() else {})


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
