"""What follows the linear map of a hidden layer: normalisation and activation by name, and dropout."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Normalization(NamedTuple):
    """A normalisation of rows ``(n, width)`` and of maps ``(n, channels, height, width)``, from the number of units."""

    rows: Callable[[int], nn.Module | None]
    maps: Callable[[int], nn.Module | None]


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
NORMALIZATIONS: dict[str, Normalization] = {
    # Momentum and epsilon of rows are those of scVI, of which the Gaussian model is the counterpart. A channel of maps
    # averages over pixels too, so that its running figures may follow faster.
    "batch": Normalization(partial(nn.BatchNorm1d, momentum=0.01, eps=0.001), nn.BatchNorm2d),
    "layer": Normalization(nn.LayerNorm, partial(nn.GroupNorm, 1)),
    "none": Normalization(lambda _: None, lambda _: None),
}


def choose(table: dict[str, T], argument: str, name: str) -> T:
    """The entry of a table by its name.

    Raises
    ------
    ValueError
        If there is no such entry; the message lists the names.
    """
    if name not in table:
        raise ValueError(f"unknown {argument} {name!r}; the known names are {', '.join(map(repr, table))}.")
    return table[name]


class Style(NamedTuple):
    """How hidden layers are normalised and activated.

    Attributes
    ----------
    activation, normalization
        A name of :data:`ACTIVATIONS` and of :data:`NORMALIZATIONS`.
    norm_first
        Whether normalisation stands before the activation.
    """

    activation: str = "relu"
    normalization: str = "batch"
    norm_first: bool = True

    def act(self) -> nn.Module:
        """The activation alone."""
        return choose(ACTIVATIONS, "activation", self.activation)()

    def row_steps(self, width: int, dropout_rate: float = 0.0) -> nn.Sequential:
        """Normalisation, activation and dropout of rows ``(n, width)``."""
        return self._steps(choose(NORMALIZATIONS, "normalization", self.normalization).rows(width), dropout_rate)

    def map_steps(self, channels: int) -> nn.Sequential:
        """Normalisation and activation of maps ``(n, channels, height, width)``."""
        return self._steps(choose(NORMALIZATIONS, "normalization", self.normalization).maps(channels), 0.0)

    def _steps(self, norm: nn.Module | None, dropout_rate: float) -> nn.Sequential:
        steps = [norm, self.act()] if self.norm_first else [self.act(), norm]
        if dropout_rate > 0:
            steps.append(nn.Dropout(dropout_rate))
        return nn.Sequential(*(step for step in steps if step is not None))
