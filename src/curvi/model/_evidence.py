"""Evidence: the ELBO, the reconstruction error and the marginal log-likelihood of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from curvi.model._registration import RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anndata import AnnData


class EvidenceMixin(RegisteredModel):
    """Methods of :class:`curvi.CurviVAE` that say how well the model describes cells."""

    @torch.inference_mode()
    def get_elbo(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        batch_size: int | None = None,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
        return_mean: bool = True,
    ) -> float | np.ndarray:
        r"""The evidence lower bound of cells, in nats; higher is better.

        .. math:: \mathbb{E}_{q(z \mid x)}[\log p(x \mid z)] - \mathrm{KL}(q(z \mid x) \,\|\, p(z))

        Parameters
        ----------
        adata, indices, batch_size, dataloader
            As in :meth:`get_latent_representation`.
        return_mean
            Whether to return the mean over cells or each cell's own.

        Returns
        -------
        A number, or ``(n_cells,)``.
        """
        losses = self._losses("get_elbo", adata, indices, batch_size, dataloader)
        elbo = -(losses["reconstruction_loss"] + losses["kl_local"])
        return elbo.mean(dtype=np.float64) if return_mean else elbo

    @torch.inference_mode()
    def get_reconstruction_error(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        batch_size: int | None = None,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
        return_mean: bool = True,
    ) -> dict[str, float | np.ndarray]:
        r"""The reconstruction error :math:`-\mathbb{E}_q[\log p(x \mid z)]`, in nats; lower is better.

        Parameters
        ----------
        adata, indices, batch_size, dataloader
            As in :meth:`get_latent_representation`.
        return_mean
            Whether to return the mean over cells or each cell's own.

        Returns
        -------
        ``{"reconstruction_loss": ...}`` with a number or ``(n_cells,)``, as in scvi-tools.
        """
        loss = self._losses("get_reconstruction_error", adata, indices, batch_size, dataloader)["reconstruction_loss"]
        return {"reconstruction_loss": loss.mean(dtype=np.float64) if return_mean else loss}

    @torch.inference_mode()
    def get_marginal_ll(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        n_mc_samples: int = 1000,
        batch_size: int | None = None,
        return_mean: bool = True,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
        n_mc_samples_per_pass: int = 10,
    ) -> float | np.ndarray:
        r"""The importance-weighted estimate of the log-likelihood of cells, in nats, with this model's own prior.

        With ``n_mc_samples`` draws, the log-mean of :math:`p(x \mid z) p(z) / q(z \mid x)` :cite:p:`Burda2016`.

        Parameters
        ----------
        adata, indices, batch_size, dataloader
            As in :meth:`get_latent_representation`.
        n_mc_samples
            The number of draws; the estimate rises towards :math:`\log p(x)` with it.
        return_mean
            Whether to return the mean over cells or each cell's own.
        n_mc_samples_per_pass
            How many draws are decoded at once; memory grows with it.

        Returns
        -------
        A number, or ``(n_cells,)``.

        Raises
        ------
        ValueError
            If the latent space has no prior, as a plain autoencoder's.
        """
        self._check_if_trained()
        if not self.module.latent.has_prior:
            raise ValueError(
                f"latent={self.module.latent.name!r} has no prior, so that cells have no likelihood under the model; "
                "use get_reconstruction_error()."
            )
        if dataloader is None:
            self._need_values("get_marginal_ll", adata)
        parts = [
            self.module.marginal_ll(tensors, n_mc_samples, n_mc_samples_per_pass).cpu()
            for tensors in self._minibatches(adata, indices, batch_size, dataloader)
        ]
        log_likelihood = torch.cat(parts).numpy()
        return log_likelihood.mean(dtype=np.float64) if return_mean else log_likelihood

    def _losses(
        self,
        method: str,
        adata: AnnData | None,
        indices: Sequence[int] | np.ndarray | None,
        batch_size: int | None,
        dataloader: Iterable[dict[str, Tensor]] | None,
    ) -> dict[str, np.ndarray]:
        """The two terms of the ELBO of each cell from one draw, ``(n_cells,)`` each, for a method."""
        self._check_if_trained()
        if dataloader is None:
            self._need_values(method, adata)
        parts: dict[str, list[Tensor]] = {"reconstruction_loss": [], "kl_local": []}
        for tensors in self._minibatches(adata, indices, batch_size, dataloader):
            _, _, output = self.module(tensors)
            for name, values in parts.items():
                values.append(getattr(output, name)[name].cpu())
        return {name: torch.cat(values).numpy() for name, values in parts.items()}
