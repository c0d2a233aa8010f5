"""Kinds of networks by name: how the encoder and the decoder of a model are made from plain values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from curvi._named import Named
from curvi.nn._conv import ConvDecoder, ConvEncoder, default_channels
from curvi.nn._mlp import MLP, MLPDecoder, MLPEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curvi.nn._base import Decoder, Encoder


class Layers(NamedTuple):
    """What the hidden layers of every kind of network have in common; the names are those of :class:`MLP`."""

    n_per_level: Sequence[int] = ()
    n_continuous: int = 0
    deeply_inject_covariates: bool = True
    activation: str = "relu"
    normalization: str = "batch"
    norm_first: bool = True


class Networks(Named, ABC, argument="network"):
    """A kind of network: it makes an encoder and a decoder that fit each other and the data.

    The constructor of every kind begins with the two parameters below; its further ones are plain values.

    Parameters
    ----------
    n_features
        The number of features.
    image_shape
        Height, width and channels where the features are the pixels of an image.
    """

    @abstractmethod
    def default_widths(self, n_layers: int | None) -> list[int]:
        """Widths of the encoder's hidden layers, from input to latent; ``n_layers`` of them, or as many as fit."""

    @abstractmethod
    def encoder(self, n_out: int, widths: Sequence[int], layers: Layers, dropout_rate: float) -> Encoder:
        """An encoder to raw codes ``(n, n_out)`` with hidden layers of these widths, from input to latent."""

    @abstractmethod
    def decoder(self, n_in: int, n_params: int, widths: Sequence[int], layers: Layers) -> Decoder:
        """A decoder of ``n_in`` coordinates to ``n_params`` maps, with these widths from latent to output."""


class MLPNetworks(Networks, name="mlp"):
    """Fully connected networks, by default with two hidden layers of 128; parameters as for :class:`Networks`."""

    def __init__(self, n_features: int, image_shape: tuple[int, int, int] | None = None) -> None:
        self.n_features = n_features

    def default_widths(self, n_layers: int | None) -> list[int]:
        """128 for each layer."""
        return [128] * (2 if n_layers is None else n_layers)

    def encoder(self, n_out: int, widths: Sequence[int], layers: Layers, dropout_rate: float) -> MLPEncoder:
        """An :class:`MLPEncoder`."""
        return MLPEncoder(MLP(self.n_features, n_out, widths, **layers._asdict(), dropout_rate=dropout_rate))

    def decoder(self, n_in: int, n_params: int, widths: Sequence[int], layers: Layers) -> MLPDecoder:
        """An :class:`MLPDecoder`."""
        return MLPDecoder(MLP(n_in, n_params * self.n_features, widths, **layers._asdict()), n_params)


class ConvNetworks(Networks, name="conv"):
    """Convolutional networks; widths are the channels of the stages, each of which halves the image.

    By default as many stages as leave no side longer than 8 pixels, with 16, 32, 64, 128, 128, ... channels.

    Parameters
    ----------
    n_features, image_shape
        As for :class:`Networks`.
    n_blocks
        Residual blocks of a stage, 0 or more.
    n_dense
        Width of the dense layer between maps and latent space; 0 for none.

    Raises
    ------
    ValueError
        If there is no shape, or it does not fit the number of features, or an option is negative.
    """

    def __init__(
        self,
        n_features: int,
        image_shape: tuple[int, int, int] | None = None,
        *,
        n_blocks: int = 1,
        n_dense: int = 256,
    ) -> None:
        if image_shape is None:
            raise ValueError(
                "network='conv' needs images, but the data have no record of their shape in "
                "`adata.uns['curvi_images']`; make them with `curvi.data.from_images`, then set them up."
            )
        if prod(image_shape) != n_features:
            raise ValueError(
                f"the data have {n_features} features, but images of shape {image_shape} have {prod(image_shape)} "
                "values; network='conv' needs all columns of images, in their order."
            )
        for argument, value in {"n_blocks": n_blocks, "n_dense": n_dense}.items():
            if value < 0:
                raise ValueError(f"`{argument}` is {value}; it must be 0 (none) or more.")
        self.shape = image_shape
        self.n_blocks = n_blocks
        self.n_dense = n_dense

    def default_widths(self, n_layers: int | None) -> list[int]:
        """16, 32, 64, 128, 128, ... channels."""
        return default_channels(self.shape, n_layers)

    def encoder(self, n_out: int, widths: Sequence[int], layers: Layers, dropout_rate: float) -> ConvEncoder:
        """A :class:`ConvEncoder`."""
        return ConvEncoder(
            self.shape,
            n_out,
            widths,
            n_blocks=self.n_blocks,
            n_dense=self.n_dense,
            **layers._asdict(),
            dropout_rate=dropout_rate,
        )

    def decoder(self, n_in: int, n_params: int, widths: Sequence[int], layers: Layers) -> ConvDecoder:
        """A :class:`ConvDecoder`."""
        return ConvDecoder(
            self.shape, n_in, n_params, widths, n_blocks=self.n_blocks, n_dense=self.n_dense, **layers._asdict()
        )
