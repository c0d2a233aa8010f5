"""Convolutional encoders and decoders of images of any size, with residual blocks and batch-level shifts."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from curvi.nn._base import Decoder, Encoder
from curvi.nn._covariates import Covariates
from curvi.nn._maps import MapLayer, ResidualBlock, down, halvings, initialise, up
from curvi.nn._mlp import MLP
from curvi.nn._steps import Style

if TYPE_CHECKING:
    from collections.abc import Sequence

    Shape = tuple[int, int, int]

# Sets of images are small and their networks learn within some hundred steps, which running figures of scVI's 0.01 lag
# behind: after 180 steps a model of blood cells was 165 nats worse in evaluation than in training, and with 0.1 by 2.
_MOMENTUM = 0.1


def default_channels(shape: Shape, n_stages: int | None = None) -> list[int]:
    """Channels of the stages of an encoder: 16, 32, 64, 128, 128, ..., by default until no side is longer than 8.

    Examples
    --------
    >>> default_channels((28, 28, 1)), default_channels((7, 5, 3)), default_channels((200, 120, 3))
    ([16, 32], [16], [16, 32, 64, 128, 128])
    """
    if n_stages is None:
        sizes = halvings(shape[:2], max(shape[:2]).bit_length())
        n_stages = max(sum(max(size) > 8 for size in sizes), 1)
    return [min(16 << stage, 128) for stage in range(n_stages)]


def _check(shape: Shape, channels: Sequence[int]) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"`shape` is {shape!r}; it must be (height, width, channels), each at least 1.")
    if not len(channels):
        raise ValueError("`channels` is empty; a convolutional network needs at least one stage.")


class ConvEncoder(Encoder):
    r"""Convolutional encoder: stages that halve the image, each with residual blocks, then a dense layer and a head.

    A stage is a strided convolution from a side :math:`s` to :math:`\lceil s / 2 \rceil` and its residual blocks.

    Parameters
    ----------
    shape
        Height, width and channels of an image; its row of features is in this order.
    n_out
        Width of the raw code.
    channels
        Channels of the maps of each stage, from the image to the code.
    n_blocks
        Residual blocks of a stage, 0 or more.
    n_dense
        Width of the dense layer between maps and code; 0 for none.
    n_per_level, n_continuous, deeply_inject_covariates
        As for :class:`MLP`; every channel of a layer is shifted as a whole.
    activation, normalization, norm_first
        As for :class:`MLP`; ``"layer"`` normalises the maps of an image together.
    dropout_rate
        Probability in [0, 1) of zeroing a feature that the dense layer reads, in training.

    Raises
    ------
    ValueError
        If ``shape`` is not three positive numbers or ``channels`` is empty.

    Examples
    --------
    >>> import torch
    >>> encoder = ConvEncoder((33, 17, 2), 5, [8, 16], n_per_level=[3])
    >>> encoder(torch.rand(4, 33 * 17 * 2), torch.zeros(4, 1, dtype=torch.int64)).shape
    torch.Size([4, 5])
    """

    def __init__(
        self,
        shape: Shape,
        n_out: int,
        channels: Sequence[int],
        *,
        n_blocks: int = 1,
        n_dense: int = 256,
        n_per_level: Sequence[int] = (),
        n_continuous: int = 0,
        deeply_inject_covariates: bool = True,
        activation: str = "relu",
        normalization: str = "batch",
        norm_first: bool = True,
        dropout_rate: float = 0.0,
    ) -> None:
        super().__init__()
        _check(shape, channels)
        self.shape = tuple(shape)
        style = Style(activation, normalization, norm_first, _MOMENTUM)
        seen = Covariates(n_per_level, n_continuous)
        later = seen if deeply_inject_covariates else Covariates()
        sizes = halvings(shape[:2], len(channels))
        self.layers = nn.ModuleList()
        for stage, (n_in, width) in enumerate(zip([shape[2], *channels], channels, strict=False)):
            self.layers.append(MapLayer(down(n_in, width, sizes[stage]), later if stage else seen, style))
            self.layers.extend(ResidualBlock(width, sizes[stage + 1], later, style) for _ in range(n_blocks))
        self.dropout = nn.Dropout(dropout_rate)
        self.dense = MLP(
            prod(sizes[-1]) * channels[-1],
            n_out,
            [n_dense] if n_dense else [],
            **later._asdict(),
            **style._asdict(),
        )
        _channels_last(self)

    def forward(self, x: Tensor, levels: Tensor, continuous: Tensor | None = None) -> Tensor:
        """Raw codes ``(n, n_out)`` of rows ``(n, height * width * channels)``."""
        maps = x.unflatten(1, self.shape).permute(0, 3, 1, 2)
        for layer in self.layers:
            maps = layer(maps, levels, continuous)
        return self.dense(self.dropout(maps.permute(0, 2, 3, 1).flatten(1)), levels, continuous)


class ConvDecoder(Decoder):
    r"""Convolutional decoder: a dense layer to the smallest maps, then stages that end at exactly the image's size.

    The sizes of the stages are the image's halvings, from :math:`\lceil s / 2 \rceil` back to :math:`s`; a stage is its
    residual blocks and a transposed convolution, the last of which puts out the raw maps.

    Parameters
    ----------
    shape
        Height, width and channels of an image; features are in this order.
    n_in
        The number of latent coordinates.
    n_params
        Raw maps a feature.
    channels
        Channels of the maps of each stage, from the latent point to the image.
    n_blocks, n_dense, n_per_level, n_continuous, deeply_inject_covariates, activation, normalization, norm_first
        As for :class:`ConvEncoder`. The first layer, which covariates always shift, is the dense one.

    Raises
    ------
    ValueError
        If ``shape`` is not three positive numbers or ``channels`` is empty.

    Examples
    --------
    >>> import torch
    >>> decoder = ConvDecoder((33, 17, 2), 5, n_params=1, channels=[16, 8])
    >>> decoder(torch.randn(6, 4, 5), torch.zeros(4, 0, dtype=torch.int64)).shape == (6, 4, 1, 33 * 17 * 2)
    True
    """

    def __init__(
        self,
        shape: Shape,
        n_in: int,
        n_params: int,
        channels: Sequence[int],
        *,
        n_blocks: int = 1,
        n_dense: int = 256,
        n_per_level: Sequence[int] = (),
        n_continuous: int = 0,
        deeply_inject_covariates: bool = True,
        activation: str = "relu",
        normalization: str = "batch",
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        _check(shape, channels)
        self.n_params = n_params
        style = Style(activation, normalization, norm_first, _MOMENTUM)
        seen = Covariates(n_per_level, n_continuous)
        later = seen if deeply_inject_covariates else Covariates()
        *sizes, smallest = halvings(shape[:2], len(channels))
        self.smallest = (*smallest, channels[0])
        self.dense = MLP(
            n_in,
            prod(self.smallest),
            [n_dense] if n_dense else [],
            **seen._asdict(),
            deeply_inject_covariates=deeply_inject_covariates,
            **style._asdict(),
        )
        self.steps = style.map_steps(channels[0])
        self.layers = nn.ModuleList()
        size = smallest
        for n_before, width, larger in zip(channels, channels[1:], reversed(sizes), strict=False):
            self.layers.extend(ResidualBlock(n_before, size, later, style) for _ in range(n_blocks))
            self.layers.append(MapLayer(up(n_before, width, larger), later, style))
            size = larger
        self.layers.extend(ResidualBlock(channels[-1], size, later, style) for _ in range(n_blocks))
        self.head = up(channels[-1], n_params * shape[2], sizes[0])
        # Small raw maps at the start, as a linear head of default weights puts out.
        initialise(self.head, 0.5)
        _channels_last(self)

    def forward(self, z: Tensor, levels: Tensor, continuous: Tensor | None = None) -> Tensor:
        """Raw maps ``(..., n, n_params, height * width * channels)``."""
        leading = z.shape[:-2]
        h = self.dense(z, levels, continuous).flatten(0, -2)
        if leading:
            levels = _repeated(levels, leading)
            continuous = None if continuous is None else _repeated(continuous, leading)
        maps = self.steps(h.unflatten(1, self.smallest).permute(0, 3, 1, 2))
        for layer in self.layers:
            maps = layer(maps, levels, continuous)
        # Pixels in rows, each with its parameters, each with its channels: (n, height, width, n_params, channels).
        pixels = self.head(maps).permute(0, 2, 3, 1).unflatten(3, (self.n_params, -1))
        return pixels.permute(0, 3, 1, 2, 4).flatten(2).unflatten(0, z.shape[:-1])


def _repeated(rows: Tensor, leading: torch.Size) -> Tensor:
    """Rows of cells ``(n, size)`` once for every draw in front, ``(draws * n, size)``."""
    return rows.expand(*leading, *rows.shape).flatten(0, -2)


def _channels_last(network: nn.Module) -> None:
    """Lay kernels out as rows of pixels are: images are maps without a copy, and most convolutions are faster."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
