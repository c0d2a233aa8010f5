"""How the spread of a feature depends on the cell: not at all, on one batch level, or on all that the decoder knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import log
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from curvi._elementary import ONE, ZERO, exp
from curvi._named import Named
from curvi._recording import Function
from curvi._threads import arrays, claim, row_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

# Keeps exp(.) within [1e-7, 1e7], where the densities are accurate in float32 and their gradients finite.
_LOG_RANGE = (log(1e-7), log(1e7))


_LIMITS = torch.tensor(_LOG_RANGE)

_take = arrays(*["float32 1"] * 4)


@row_loop(chunk=8192)
def _fill(table: Any) -> None:
    """Exponentials of numbers within limits, and their slopes; the tensors: numbers, limits; take both."""
    numbers, limits, values, slopes = _take(table)
    low, high = limits[0], limits[1]
    first, stop = claim(table)
    while first < stop:
        # Parts that begin at 0 are done many numbers at a time.
        own, value, slope = numbers[first:stop], values[first:stop], slopes[first:stop]
        for i in range(len(own)):
            x = min(max(own[i], low), high)
            e = exp(-abs(x))
            e = e if x <= 0 else ONE / e
            value[i] = e if own[i] == own[i] else own[i]
            slope[i] = e if x == own[i] else ZERO
        first, stop = claim(table)


class _Positive(Function):
    """Exponentials of numbers within limits, in one compiled pass."""

    @staticmethod
    def forward(ctx: Any, log_value: Tensor) -> Tensor:
        """Of a float32 tensor of any shape, in memory."""
        log_value = log_value.contiguous()
        value, slope = torch.empty_like(log_value), torch.empty_like(log_value)
        _fill(log_value.numel(), log_value.view(-1), _LIMITS, value.view(-1), slope.view(-1))
        ctx.save_for_backward(slope)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """The gradient, 0 beyond the limits."""
        (slope,) = ctx.saved_tensors
        return grad * slope


def _positive(log_value: Tensor) -> Tensor:
    at_hand = type(log_value) in (Tensor, nn.Parameter) and log_value.is_cpu and log_value.dtype == torch.float32
    if at_hand and not torch.compiler.is_compiling():
        return _Positive.apply(log_value)
    return log_value.clamp(*_LOG_RANGE).exp()


def _checked_start(start: float) -> float:
    if not 1e-7 <= start <= 1e7:
        raise ValueError(f"`start` is {start}; an inverse dispersion or a scale must lie in [1e-7, 1e7].")
    return log(start)


class Dispersion(Named, nn.Module, ABC, argument="dispersion"):
    r"""A positive number for each feature: an inverse dispersion :math:`\theta` or a scale :math:`\sigma`.

    It is the exponential of a learned number, limited to [1e-7, 1e7].

    Parameters
    ----------
    n_features
        The number of features.
    n_per_level
        The number of categories of each batch level.
    level
        The index of the level that the number depends on, where it depends on one.
    start
        The value before training.
    jitter
        Standard deviation, on the log scale, of a random departure of each feature's first value from ``start``.

    Attributes
    ----------
    n_params
        How many maps the decoder must produce for it, 0 or 1.
    """

    n_params: int

    @abstractmethod
    def forward(self, maps: Sequence[Tensor], levels: Tensor | None = None) -> Tensor:
        """Positive numbers of a shape that broadcasts with ``(..., n, n_features)``.

        Parameters
        ----------
        maps
            As many decoder maps ``(..., n, n_features)`` as ``n_params`` says.
        levels
            The category of each cell in each batch level, int64, ``(n, n_levels)``.
        """


class FeatureDispersion(Dispersion, name="gene"):
    """One learned number a feature, ``(n_features,)``; parameters as for :class:`Dispersion`.

    Examples
    --------
    >>> FeatureDispersion(3, start=2.0)([])
    tensor([2., 2., 2.], grad_fn=<_PositiveBackward>)
    """

    n_params = 0

    def __init__(
        self,
        n_features: int,
        n_per_level: Sequence[int] = (),
        *,
        level: int = 0,
        start: float = 1.0,
        jitter: float = 0.0,
    ) -> None:
        super().__init__()
        self.log_value = nn.Parameter(_checked_start(start) + jitter * torch.randn(n_features))

    def forward(self, maps: Sequence[Tensor], levels: Tensor | None = None) -> Tensor:
        """Positive numbers ``(n_features,)``."""
        return _positive(self.log_value)


class CategoryDispersion(Dispersion, name="gene-batch"):
    """One learned row of numbers for each category of one batch level; parameters as for :class:`Dispersion`.

    Raises
    ------
    ValueError
        If there is no such level.

    Examples
    --------
    >>> dispersion = CategoryDispersion(3, n_per_level=[2, 5], level=1)
    >>> dispersion([], levels=torch.tensor([[0, 4], [1, 0]])).shape
    torch.Size([2, 3])
    """

    n_params = 0

    def __init__(
        self,
        n_features: int,
        n_per_level: Sequence[int] = (),
        *,
        level: int = 0,
        start: float = 1.0,
        jitter: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= level < len(n_per_level):
            raise ValueError(
                f"`dispersion_level` is {level}, but there are {len(n_per_level)} batch levels, counted from 0; "
                "dispersion='gene-batch' needs one. Set up the data with a `batch_key`, or choose dispersion='gene'."
            )
        self.level = level
        self.log_value = nn.Parameter(_checked_start(start) + jitter * torch.randn(n_per_level[level], n_features))

    def forward(self, maps: Sequence[Tensor], levels: Tensor | None = None) -> Tensor:
        """Positive numbers ``(n, n_features)``."""
        if levels is None:
            raise ValueError("`levels` is missing; dispersion='gene-batch' needs the batch levels, (n, n_levels).")
        return functional.embedding(levels[:, self.level], _positive(self.log_value))


class CellDispersion(Dispersion, name="gene-cell"):
    """A number for each feature of each cell, from the decoder; parameters as for :class:`Dispersion`.

    Examples
    --------
    >>> CellDispersion(3)([torch.zeros(2, 3)])
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """

    n_params = 1

    def __init__(
        self,
        n_features: int,
        n_per_level: Sequence[int] = (),
        *,
        level: int = 0,
        start: float = 1.0,
        jitter: float = 0.0,
    ) -> None:
        super().__init__()
        self.offset = _checked_start(start)

    def forward(self, maps: Sequence[Tensor], levels: Tensor | None = None) -> Tensor:
        """Positive numbers ``(..., n, n_features)``."""
        return _positive(maps[0] + self.offset)


class FixedDispersion(Dispersion, name="fixed"):
    """One number for all features that is not learned; parameters as for :class:`Dispersion`.

    Examples
    --------
    >>> FixedDispersion(3, start=0.5)([])
    tensor(0.5000)
    """

    n_params = 0
    value: Tensor

    def __init__(
        self,
        n_features: int,
        n_per_level: Sequence[int] = (),
        *,
        level: int = 0,
        start: float = 1.0,
        jitter: float = 0.0,
    ) -> None:
        super().__init__()
        _checked_start(start)
        self.register_buffer("value", torch.tensor(float(start)))

    def forward(self, maps: Sequence[Tensor], levels: Tensor | None = None) -> Tensor:
        """A positive number ``()``."""
        return self.value
