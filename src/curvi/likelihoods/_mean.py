"""From a raw map to the mean of counts."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Size, Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

# Far below any mean that matters, far above where x / mean overflows in float32.
_FLOOR = 1e-20


def _share(raw: Tensor) -> Tensor:
    return torch.softmax(raw, -1)


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"softmax": _share, "softplus": functional.softplus}


class Shares:
    r"""Means :math:`s_i\, \mathrm{softmax}(r_i)` that are made when they are first asked for.

    Parameters
    ----------
    raw
        :math:`r`, ``(..., n, n_features)``.
    size_factor
        :math:`s > 0`, ``(n, 1)``.
    """

    def __init__(self, raw: Tensor, size_factor: Tensor) -> None:
        self.raw = raw
        self.size_factor = size_factor

    @property
    def shape(self) -> Size:
        """The shape of the means."""
        return self.raw.shape

    @property
    def dtype(self) -> torch.dtype:
        """The type of the means."""
        return torch.promote_types(self.raw.dtype, self.size_factor.dtype)

    @cached_property
    def means(self) -> Tensor:
        """The means ``(..., n, n_features)``."""
        return _share(self.raw) * self.size_factor + _FLOOR


class CountMean(nn.Module):
    r"""Mean of counts, :math:`\mu_{ij} = s_i\, a(r_i)_j`.

    Parameters
    ----------
    activation
        ``"softmax"`` over the features, so that :math:`\sum_j \mu_{ij} = s_i`; or ``"softplus"``, for size factors
        which are not totals of the cells.

    Raises
    ------
    ValueError
        If the activation is unknown; the message lists those known.

    Examples
    --------
    >>> CountMean()(torch.zeros(1, 4), torch.tensor([[100.0]]))
    tensor([[25., 25., 25., 25.]])
    """

    def __init__(self, activation: str = "softmax") -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            known = ", ".join(map(repr, _ACTIVATIONS))
            raise ValueError(f"unknown `mean_activation` {activation!r}; the known names are {known}.")
        self.activation = activation

    def forward(self, raw: Tensor, size_factor: Tensor) -> Tensor:
        """Means ``(..., n, n_features)``, positive, of raw maps of that shape and size factors ``(n, 1)``."""
        return _ACTIVATIONS[self.activation](raw) * size_factor + _FLOOR

    def deferred(self, raw: Tensor, size_factor: Tensor) -> Tensor | Shares:
        """The same means; those of a softmax are not made before they are asked for."""
        return Shares(raw, size_factor) if self.activation == "softmax" else self(raw, size_factor)
