"""Black and white pictures drawn anew in every minibatch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.callbacks import Callback
from scvi import REGISTRY_KEYS

if TYPE_CHECKING:
    from torch import Tensor


class DynamicBinarization(Callback):
    r"""Draw every pixel as black or white with the probability that its grey value says, anew in every minibatch.

    Encoder and likelihood see the same draw, in training and in validation :cite:p:`Burda2016`. Give it to
    :meth:`curvi.CurviVAE.train` as a callback, with data in [0, 1] and ``likelihood="bernoulli"``.

    Examples
    --------
    >>> import curvi
    >>> from curvi.model import DynamicBinarization
    >>> adata = curvi.datasets.digits()
    >>> curvi.CurviVAE.setup_anndata(adata)
    >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, likelihood="bernoulli")
    >>> model.train(max_epochs=1, callbacks=[DynamicBinarization()], enable_progress_bar=False, logger=None)
    """

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Replace the pixels of a training minibatch."""
        _binarize(batch)

    def on_validation_batch_start(
        self, trainer: Any, pl_module: Any, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Replace the pixels of a validation minibatch."""
        _binarize(batch)


def _binarize(batch: dict[str, Tensor]) -> None:
    batch[REGISTRY_KEYS.X_KEY] = torch.bernoulli(batch[REGISTRY_KEYS.X_KEY])
