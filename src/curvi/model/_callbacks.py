"""What can watch a training besides the figures of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from lightning.pytorch.callbacks import Callback

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning.pytorch import LightningModule, Trainer

    from curvi.model._model import CurviVAE


class ModelScore(Callback):
    """A score of the model, computed after each pass over the validation cells and logged under a name of its own.

    Logged, it is a column of ``model.history``, and something that early stopping, checkpoints and searches for the
    best settings can follow. The model is in evaluation mode while it is scored, and all its methods work; what they
    draw at random does not change the training. Of several processes each computes it, and the mean is logged.

    Parameters
    ----------
    name
        What it is logged as.
    score
        From a :class:`curvi.CurviVAE` to a number.

    Raises
    ------
    ValueError
        If ``name`` is empty.

    Examples
    --------
    How many of a cell's neighbours are of its own type, as training goes on:

    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=200, n_vars=30)
    >>> curvi.CurviVAE.setup_anndata(adata)
    >>> model = curvi.CurviVAE(adata)
    >>> def accuracy(model):
    ...     adata.obsm["X_now"] = model.get_latent_representation()
    ...     return curvi.metrics.knn_accuracy(adata, "X_now", "cell_type", manifold=model.manifold)
    >>> watch = curvi.model.ModelScore("knn_accuracy", accuracy)
    >>> model.train(3, check_val_every_n_epoch=1, callbacks=[watch], enable_progress_bar=False)
    >>> len(model.history["knn_accuracy"])
    3
    """

    def __init__(self, name: str, score: Callable[[CurviVAE], float]) -> None:
        if not name:
            raise ValueError("`name` is empty; the score is logged under it, so give it one.")
        self.name = name
        self.score = score

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute the score and log it."""
        # The host's runner leaves the model there, for its own checkpoints.
        model: CurviVAE = trainer._model  # type: ignore[attr-defined]
        trained = model.is_trained_
        model.is_trained_ = True
        device = pl_module.device
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                value = float(self.score(model))
        finally:
            model.is_trained_ = trained
            model.module.eval()
        pl_module.log(self.name, value, sync_dist=True)
