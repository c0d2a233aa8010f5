"""Layers of maps: convolutions shifted by the batch levels that keep, halve or restore a size, and residual blocks."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from curvi.nn._covariates import Covariates
    from curvi.nn._steps import Style

Size = tuple[int, int]


def halvings(size: Size, n: int) -> list[Size]:
    """A height and width and their ``n`` halvings, each rounded up: ``n + 1`` sizes.

    Examples
    --------
    >>> halvings((28, 9), 3)
    [(28, 9), (14, 5), (7, 3), (4, 2)]
    """
    sizes = [size]
    for _ in range(n):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes


def same(n_in: int, n_out: int, size: Size) -> nn.Conv2d:
    """A convolution from maps of a size to maps of that size: 3 x 3, but 1 along a side of 1."""
    height, width = (3 if side > 1 else 1 for side in size)
    return nn.Conv2d(n_in, n_out, (height, width), padding=(height // 2, width // 2))


def down(n_in: int, n_out: int, size: Size) -> nn.Conv2d:
    """A convolution from maps of a size to maps of its half, each side rounded up."""
    (kernel, stride, padding) = zip(_halving(size[0]), _halving(size[1]), strict=True)
    return nn.Conv2d(n_in, n_out, kernel, stride, padding)


def up(n_in: int, n_out: int, size: Size) -> nn.ConvTranspose2d:
    """A transposed convolution from maps of the half of a size to maps of that size, none cropped and none filled."""
    (kernel, stride, padding) = zip(_halving(size[0]), _halving(size[1]), strict=True)
    return nn.ConvTranspose2d(n_in, n_out, kernel, stride, padding)


def _halving(side: int) -> tuple[int, int, int]:
    """Kernel, stride and padding from a side to its half, rounded up; transposed, from that half to the side.

    Even sides meet kernels of 4 and odd sides kernels of 3, so that every pixel is read and their grid lies
    symmetrically over the image. A side of 1 is kept.
    """
    if side == 1:
        return 1, 1, 0
    return (4, 2, 1) if side % 2 == 0 else (3, 2, 1)


def fan_in(conv: nn.Conv2d | nn.ConvTranspose2d) -> int:
    """How many numbers a pixel of the output is a sum of, on average."""
    reads = conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1]
    # The kernels of a transposed convolution stand `stride` apart in its output.
    return reads // (conv.stride[0] * conv.stride[1]) if isinstance(conv, nn.ConvTranspose2d) else reads


def initialise(conv: nn.Conv2d | nn.ConvTranspose2d, gain: float) -> None:
    r"""Normal weights of standard deviation :math:`\text{gain} / \sqrt{\text{fan\_in}}`, and no bias."""
    nn.init.normal_(conv.weight, std=gain / sqrt(fan_in(conv)))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


class MapLayer(nn.Module):
    """A hidden layer of maps: a convolution, a covariate shift of each channel, normalisation and activation."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, seen: Covariates, style: Style) -> None:
        super().__init__()
        self.conv = conv
        self.shift = seen.shift(conv.out_channels, fan_in(conv))
        self.steps = style.map_steps(conv.out_channels)
        # Half of what an activation is given does not pass: a gain of sqrt(2) keeps the size of maps through layers.
        initialise(conv, sqrt(2.0))

    def forward(self, maps: Tensor, levels: Tensor, continuous: Tensor | None) -> Tensor:
        """From ``(n, n_in, height, width)`` to ``(n, n_out, ...)``, the size changed as the convolution does."""
        h = self.conv(maps)
        if self.shift is not None:
            h = h + self.shift(levels, continuous)[:, :, None, None]
        return self.steps(h)


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to their input, nothing before training :cite:p:`He2016`."""

    def __init__(self, channels: int, size: Size, seen: Covariates, style: Style) -> None:
        super().__init__()
        self.layer = MapLayer(same(channels, channels, size), seen, style)
        self.conv = same(channels, channels, size)
        self.act = style.act()
        # However many blocks there are, the first step sees a shallow network.
        initialise(self.conv, 0.0)

    def forward(self, maps: Tensor, levels: Tensor, continuous: Tensor | None) -> Tensor:
        """Maps ``(n, channels, height, width)`` to maps of the same shape."""
        return self.act(maps + self.conv(self.layer(maps, levels, continuous)))
