"""What a run says while it runs: progress as bars or lines, messages and warnings one line each."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from lightning.pytorch.callbacks import Callback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightning.pytorch import LightningModule, Trainer

logger = logging.getLogger(__name__)

# What the host libraries say of devices, seeds and their own services, and warn of in short trainings.
_HOST_LOGGERS = ("scvi", "lightning.pytorch", "lightning.fabric")
_HOST_WARNINGS = (
    "The number of training batches",
    "The .*dataloader.* does not have many workers",
    "GPU available but not used",
    "Writing zarr v2 data will no longer be the default",
)


class EpochLines(Callback):
    """A log line for every tenth of the epochs and for the last one, in the place of a progress bar."""

    def __init__(self) -> None:
        self._done = 0
        self._said = 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the epoch; its losses are not known yet."""
        self._done += 1

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a line about the epoch before, if it completed another tenth."""
        total = trainer.max_epochs or 0
        if total > 0 and self._done * 10 // total > self._said * 10 // total:
            self._say(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a line about the last epoch, which early stopping may have made any."""
        if self._done > self._said:
            self._say(trainer)

    def _say(self, trainer: Trainer) -> None:
        measured = {"training": "elbo_train", "validation": "elbo_validation"}
        losses = [
            f"{cells} {float(trainer.callback_metrics[key]):.1f}"
            for cells, key in measured.items()
            if key in trainer.callback_metrics
        ]
        logger.info("epoch %d of %d; negative ELBO: %s", self._done, trainer.max_epochs, ", ".join(losses))
        self._said = self._done


def progress_arguments() -> dict[str, Any]:
    """Arguments of a trainer for a bar where standard output is a terminal, and for plain lines elsewhere."""
    if sys.stdout.isatty():
        return {"enable_progress_bar": True, "callbacks": []}
    return {"enable_progress_bar": False, "callbacks": [EpochLines()]}


@contextmanager
def plain_output(stream: TextIO | None = None) -> Iterator[None]:
    r"""Write the messages of this package and warnings as single lines; silence the host libraries.

    Everything is as it was afterwards.

    Parameters
    ----------
    stream
        Where to write; standard error by default.

    Examples
    --------
    >>> import io
    >>> import warnings
    >>> from curvi.pipeline import plain_output
    >>> lines = io.StringIO()
    >>> with plain_output(lines):
    ...     warnings.warn("odd data", stacklevel=1)
    >>> lines.getvalue()
    'warning: odd data\n'
    """
    lines = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(lines)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    ours = logging.getLogger("curvi")
    levels = {name: logging.getLogger(name).level for name in ("curvi", *_HOST_LOGGERS)}

    def show(message: Warning | str, *args: object) -> None:
        lines.write(f"warning: {' '.join(str(message).split())}\n")

    ours.addHandler(handler)
    try:
        ours.setLevel(logging.INFO)
        for name in _HOST_LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", category)
            for message_start in _HOST_WARNINGS:
                warnings.filterwarnings("ignore", message=message_start)
            warnings.showwarning = show  # type: ignore[assignment]
            yield
    finally:
        ours.removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
