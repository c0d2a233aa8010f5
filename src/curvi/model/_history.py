"""The host's logger in memory, whose tables are made when they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from lightning.pytorch.loggers.logger import rank_zero_experiment
from scvi.train._logger import SimpleLogger

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Figures:
    """Figures by name and by epoch or step.

    The host keeps tables, and to put a row at the end of a table costs as much as a step of training.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, dict[int | None, Any]]] = {}

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Keep figures; they are of the step or the epoch that is among them, or else of ``step``."""
        kind = "epoch" if "epoch" in metrics and "step" not in metrics else "step"
        point = metrics.get(kind, step)
        for name, value in metrics.items():
            if name != kind:
                _, values = self._kept.setdefault(name, (kind, {}))
                values[point] = value.item() if hasattr(value, "item") else value

    def save(self) -> None:
        """Do nothing, as they stay in memory."""

    @property
    def data(self) -> dict[str, pd.DataFrame]:
        """A table for each name, as the host makes them."""
        tables = {}
        for name, (kind, values) in self._kept.items():
            index = pd.Index(list(values), name=kind)
            tables[name] = pd.DataFrame({name: list(values.values())}, index=index, dtype=object)
        return tables


class HistoryLogger(SimpleLogger):
    """The host's logger, with the same tables at less cost by the epoch."""

    _experiment: _Figures | None

    @property
    @rank_zero_experiment
    def experiment(self) -> _Figures:
        """What keeps the figures."""
        if self._experiment is None:
            self._experiment = _Figures()
        return self._experiment
