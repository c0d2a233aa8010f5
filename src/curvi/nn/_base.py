"""The two contracts of a network: an encoder of cells and a decoder of latent points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from curvi._compressed import unstacked


class Encoder(nn.Module, ABC):
    """From the input of a cell to the raw code that a latent space reads.

    Attributes
    ----------
    takes_sparse
        Whether it also reads compressed rows (:data:`torch.sparse_csr`) of float32 on the processor, with the same
        result to rounding.
    """

    takes_sparse: ClassVar[bool] = False

    @abstractmethod
    def forward(self, x: Tensor, levels: Tensor, continuous: Tensor | None = None) -> Tensor:
        """Encode a minibatch.

        Parameters
        ----------
        x
            What the likelihood makes of the data for an encoder, ``(n, n_features)``.
        levels
            The category of each cell in each batch level, int64, ``(n, n_levels)``.
        continuous
            Continuous covariates, ``(n, n_continuous)``.

        Returns
        -------
        Raw codes, ``(n, n_params)`` of the latent space.
        """

    def encode_apart(self, x: Tensor, levels: Tensor, continuous: Tensor | None = None, n_groups: int = 1) -> Tensor:
        """Encode minibatches that stand below each other, each as it would be by itself.

        Parameters
        ----------
        x, levels, continuous
            As for a minibatch.
        n_groups
            How many minibatches these are, of as many cells each.

        Returns
        -------
        Raw codes, ``(n, n_params)`` for the ``n`` cells of all.

        Raises
        ------
        ValueError
            If the cells are not so many groups of as many each.

        Examples
        --------
        >>> import torch
        >>> from curvi.nn import MLP, MLPEncoder
        >>> x, levels = torch.randn(6, 20), torch.empty(6, 0, dtype=torch.int64)
        >>> MLPEncoder(MLP(20, 3, [16])).encode_apart(x, levels, n_groups=2).shape
        torch.Size([6, 3])
        """
        groups = zip(
            unstacked(x, n_groups),
            levels.chunk(n_groups),
            [None] * n_groups if continuous is None else continuous.chunk(n_groups),
            strict=True,
        )
        return torch.cat([self(*group) for group in groups])


class Decoder(nn.Module, ABC):
    """From a latent point to the raw maps that a likelihood reads."""

    @abstractmethod
    def forward(self, z: Tensor, levels: Tensor, continuous: Tensor | None = None) -> Tensor:
        """Decode latent coordinates.

        Parameters
        ----------
        z
            Latent coordinates, ``(..., n, n_coordinates)``.
        levels
            The category of each cell in each batch level, int64, ``(n, n_levels)``.
        continuous
            Continuous covariates, ``(n, n_continuous)``.

        Returns
        -------
        Raw maps, ``(..., n, n_params, n_features)``.
        """
