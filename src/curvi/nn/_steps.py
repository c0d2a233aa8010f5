"""What follows the linear map of a hidden layer: normalisation and activation by name, and dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from torch import nn

from curvi.nn._dropout import Dropout
from curvi.nn._row_steps import RowSteps

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Normalization(NamedTuple):
    """A normalisation of rows ``(n, width)`` and of maps ``(n, channels, height, width)``.

    Each is made from the number of units and the share of a minibatch in running figures.
    """

    rows: Callable[[int, float], nn.Module | None]
    maps: Callable[[int, float], nn.Module | None]


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
NORMALIZATIONS: dict[str, Normalization] = {
    # The epsilon of rows is that of scVI, of which the Gaussian model is the counterpart.
    "batch": Normalization(
        lambda width, momentum: nn.BatchNorm1d(width, momentum=momentum, eps=0.001),
        lambda channels, momentum: nn.BatchNorm2d(channels, momentum=momentum),
    ),
    "layer": Normalization(lambda width, _: nn.LayerNorm(width), lambda channels, _: nn.GroupNorm(1, channels)),
    "none": Normalization(lambda _, __: None, lambda _, __: None),
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
    momentum
        The share of a minibatch in the running figures of batch normalisation, in (0, 1]; by default that of scVI.
    """

    activation: str = "relu"
    normalization: str = "batch"
    norm_first: bool = True
    momentum: float = 0.01

    def act(self) -> nn.Module:
        """The activation alone."""
        return choose(ACTIVATIONS, "activation", self.activation)()

    def row_steps(self, width: int, dropout_rate: float = 0.0) -> nn.Sequential:
        """Normalisation, activation and dropout of rows ``(n, width)``."""
        norm = choose(NORMALIZATIONS, "normalization", self.normalization).rows(width, self.momentum)
        return RowSteps(*self._steps(norm, dropout_rate))

    def map_steps(self, channels: int) -> nn.Sequential:
        """Normalisation and activation of maps ``(n, channels, height, width)``."""
        norm = choose(NORMALIZATIONS, "normalization", self.normalization).maps(channels, self.momentum)
        return nn.Sequential(*self._steps(norm, 0.0))

    def _steps(self, norm: nn.Module | None, dropout_rate: float) -> list[nn.Module]:
        steps = [norm, self.act()] if self.norm_first else [self.act(), norm]
        if dropout_rate > 0:
            steps.append(Dropout(dropout_rate))
        return [step for step in steps if step is not None]
