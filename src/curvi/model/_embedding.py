"""Embeddings: where cells lie on the latent manifold, and what scanpy needs to work with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Size, Tensor

from curvi.metrics import GeodesicNeighbors
from curvi.model._registration import RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from anndata import AnnData


class EmbeddingMixin(RegisteredModel):
    """Methods of :class:`curvi.CurviVAE` that read the encoder."""

    @torch.inference_mode()
    def get_latent_representation(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        give_mean: bool = True,
        n_samples: int = 1,
        batch_size: int | None = None,
        return_dist: bool = False,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
    ) -> np.ndarray | dict[str, np.ndarray]:
        """Where cells lie on the latent manifold.

        Parameters
        ----------
        adata
            Data with the genes of the model; by default the model's own.
        indices
            Cells, as integers or a boolean mask; rows come back in the order asked for.
        give_mean
            Whether to return the location of each posterior, or draws from it.
        n_samples
            The number of draws where ``give_mean=False``.
        batch_size
            Cells a pass; by default as many as are fast, at least the host's ``settings.batch_size``.
        return_dist
            Whether to return the posterior's own parameters by name instead.
        dataloader
            Minibatches to read in the place of ``adata``.

        Returns
        -------
        Points ``(n_cells, ambient_dim)`` on the manifold (``dim + 1`` coordinates on a sphere), with ``n_samples >
        1`` draws ``(n_samples, n_cells, ambient_dim)``; or the parameters, each ``(n_cells, ...)``: ``loc`` and
        ``concentration`` for ``"vmf"``, ``loc`` and ``scale`` for ``"normal"``.

        Raises
        ------
        ValueError
            If the genes differ, or a batch level has a category that the encoder would read but has not seen.
        """
        self._check_if_trained(warn=False)
        latent = self.module.latent
        parts: list[dict[str, Tensor]] = []
        for tensors in self._minibatches(adata, indices, batch_size, dataloader, encoder_only=True):
            inputs = self.module._get_inference_input(tensors)
            qz = self.module.posterior(**inputs)
            if return_dist:
                part = latent.posterior_parameters(qz)
            elif give_mean:
                part = {"z": latent.location(qz)}
            else:
                part = {"z": qz.sample() if n_samples == 1 else qz.sample(Size([n_samples])).transpose(0, 1)}
            parts.append({name: value.cpu() for name, value in part.items()})
        joined = {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
        if return_dist:
            return joined
        return joined["z"].swapaxes(0, 1) if joined["z"].ndim == 3 else joined["z"]

    def embed(
        self,
        adata: AnnData | None = None,
        key_added: str = "X_curvi",
        concentration_key: str | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Write the embedding into ``adata``, with what is needed to measure distances in it.

        Parameters
        ----------
        adata
            Data with the genes of the model; by default the model's own.
        key_added
            Key of ``.obsm`` for the points ``(n_cells, ambient_dim)``; ``.uns["curvi"][key_added]`` records the
            manifold.
        concentration_key
            Column of ``.obs`` for the concentration of each cell's posterior, where the latent space has one.
        batch_size
            Cells a pass.

        Raises
        ------
        ValueError
            If ``concentration_key`` is given and the latent space has no concentration.
        """
        target = self.adata if adata is None else adata
        parameters = self.get_latent_representation(adata, batch_size=batch_size, return_dist=True)
        if concentration_key is not None and "concentration" not in parameters:
            raise ValueError(
                f"`concentration_key` is {concentration_key!r}, but the posterior of {self.module.latent.name!r} "
                f"has {', '.join(map(repr, parameters))} only; leave it out."
            )
        target.obsm[key_added] = parameters["loc"]
        record = dict(target.uns.get("curvi", {}))
        record[key_added] = {"manifold": self.manifold.config(), "latent": self.module.latent.name}
        target.uns["curvi"] = record
        if concentration_key is not None:
            target.obs[concentration_key] = parameters["concentration"]

    def knn_transformer(
        self, n_neighbors: int = 15, *, method: str = "auto", recall: float = 0.98, random_state: int = 0
    ) -> GeodesicNeighbors:
        """Geodesic nearest neighbours on the latent manifold, for ``scanpy.pp.neighbors(transformer=...)``.

        The arguments are those of :class:`curvi.metrics.GeodesicNeighbors`: ``method="auto"`` compares all pairs of
        cells, and searches approximately for a share ``recall`` of the neighbours where many cells make that faster.

        Examples
        --------
        >>> import curvi
        >>> adata = curvi.datasets.synthetic(n_obs=200, n_vars=20)
        >>> curvi.CurviVAE.setup_anndata(adata)
        >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2)
        >>> model.knn_transformer(10, method="exact")
        GeodesicNeighbors(manifold=Sphere(dim=2), method='exact', n_neighbors=10)
        """
        return GeodesicNeighbors(self.manifold, n_neighbors, method=method, recall=recall, random_state=random_state)
