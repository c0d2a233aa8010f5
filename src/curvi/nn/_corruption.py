"""Noise put on the input of an encoder, never on what the decoder has to explain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from math import comb
from typing import Any, ClassVar

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from curvi._compressed import compressed_counts, dense, is_compressed, with_values
from curvi._named import Named
from curvi._recording import recorded_whole
from curvi._threads import arrays, claim, row_loop
from curvi.nn._uniform import new_seeds, uniform

# Up to so many molecules of one kind there is a table of the odds; up to so many times that they are lost in parts.
_MANY, _PARTS = 64, 32
_CHUNK = 2048


@cache
def _odds(rate: float) -> Tensor:
    """The probability that of ``n`` molecules at most ``j`` are lost, at ``[n, j]``."""
    odds = np.ones((_MANY + 1, _MANY + 1))
    for n in range(_MANY + 1):
        each = [comb(n, j) * rate**j * (1 - rate) ** (n - j) for j in range(n)]
        odds[n, :n] = np.cumsum(each)
    return torch.from_numpy(odds)


@njit(error_model="numpy")
def _lost(n: Any, u: Any, odds: Any) -> Any:
    """How many of ``n`` molecules are lost at a uniform number; ``n`` is in the table of the odds."""
    of_n = odds[n]
    # More are seldom lost of a few, and to guess wrong costs more than to compare.
    lost = (u >= of_n[0]) + (u >= of_n[1]) + (u >= of_n[2])
    if lost > 2:
        while u >= of_n[lost]:
            lost += 1
    return lost


_take = arrays("int64 1", "float64 2", "float32 1", "float32 1", "int64 1")


@row_loop(chunk=_CHUNK)
def _thin(table: Any) -> None:
    """What is left of each count, and how many of each chunk are too large, which are left as they are.

    The tensors: a seed for each of two sequences; the table of the odds; the counts; what is left of them; the number
    of large ones by the chunk.
    """
    seeds, odds, counts, left, many = _take(table)
    most = np.float32(_MANY)
    first, stop = claim(table)
    while first < stop:
        own, to, large = counts[first:stop], left[first:stop], 0
        for k in range(len(own)):
            rest, lost, part = own[k], 0, 0
            if rest > most * _PARTS:
                large += 1
                to[k] = rest
                continue
            while rest > most:
                lost += _lost(np.uint32(_MANY), uniform(seeds[1], (first + k) * _PARTS + part), odds)
                rest -= most
                part += 1
            lost += _lost(np.uint32(rest), uniform(seeds[0], first + k), odds)
            to[k] = own[k] - np.float32(lost)
        many[first // _CHUNK] = large
        first, stop = claim(table)


class Corruption(Named, nn.Module, ABC, argument="corruption"):
    """Noise that makes a copy of the data worse, which the decoder has to see through.

    Attributes
    ----------
    needs_counts, keeps_counts
        Whether it takes counts only, and whether counts stay counts.
    """

    needs_counts: ClassVar[bool]
    keeps_counts: ClassVar[bool]

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """A corrupted copy of data ``(n, n_features)``, of the same shape."""


class CountThinning(Corruption, name="thinning"):
    r"""Remove each molecule with the same probability: :math:`x'_{ig} \sim \mathrm{Binomial}(x_{ig}, 1 - r)`.

    A cell and its thinned copy differ only in sequencing depth.

    Parameters
    ----------
    rate
        The expected fraction :math:`r` of the counts that is removed, in (0, 1).

    Raises
    ------
    ValueError
        If ``rate`` is not strictly between 0 and 1.

    Examples
    --------
    >>> import torch
    >>> counts = torch.full((1, 1000), 10.0)
    >>> thinned = CountThinning(0.2)(counts)
    >>> bool((thinned <= counts).all()), 7.5 < thinned.mean().item() < 8.5
    (True, True)
    """

    needs_counts = keeps_counts = True

    def __init__(self, rate: float = 0.2) -> None:
        super().__init__()
        self.rate = _fraction(rate)

    def forward(self, x: Tensor) -> Tensor:
        """Thinned counts of the same shape as ``x``, non-negative integers ``(n, n_features)``, dense or compressed."""
        if is_compressed(x):
            return with_values(x, self._survivors(x.values()))
        if x.is_cpu:
            return dense(self(compressed_counts(x)))
        thinned = x.clone()
        # Zeros stay zero, and most entries are zeros.
        present = x > 0
        thinned[present] = self._survivors(x[present])
        return thinned

    @recorded_whole
    def _survivors(self, counts: Tensor) -> Tensor:
        """How many of each count, of any shape, are left."""
        if not counts.is_cpu:
            return torch.binomial(counts, torch.full_like(counts, 1.0 - self.rate))
        # Most counts are small: their law is a short table, in which one uniform number finds what is left.
        small = counts.detach().to(torch.float32).contiguous().view(-1)
        left, many = torch.empty_like(small), torch.zeros(-(-len(small) // _CHUNK), dtype=torch.int64)
        _thin(len(small), new_seeds(2), _odds(self.rate), small, left, many)
        thinned = left.view(counts.shape).to(counts.dtype)
        if many.any():
            large = counts > _MANY * _PARTS
            thinned[large] = torch.binomial(counts[large], counts.new_tensor(1.0 - self.rate))
        return thinned


class FeatureDropout(Corruption, name="dropout"):
    """Set entries to 0, each with the same probability; the others stay as they are.

    Parameters
    ----------
    rate
        The expected fraction of entries that is lost, in (0, 1).

    Raises
    ------
    ValueError
        If ``rate`` is not strictly between 0 and 1.

    Examples
    --------
    >>> import torch
    >>> FeatureDropout(0.3)(torch.ones(2, 5)).unique().tolist() in ([0.0, 1.0], [0.0], [1.0])
    True
    """

    needs_counts, keeps_counts = False, True

    def __init__(self, rate: float = 0.2) -> None:
        super().__init__()
        self.rate = _fraction(rate)

    def forward(self, x: Tensor) -> Tensor:
        """The data ``(n, n_features)`` with entries set to 0."""
        return x * (torch.rand_like(x) >= self.rate)


class GaussianNoise(Corruption, name="gaussian"):
    r"""Add independent Gaussian noise: :math:`x' = x + \sigma \varepsilon`.

    Parameters
    ----------
    scale
        Its standard deviation :math:`\sigma > 0`, in the units of the data.

    Raises
    ------
    ValueError
        If ``scale`` is not positive and finite.

    Examples
    --------
    >>> import torch
    >>> GaussianNoise(0.5)(torch.zeros(2, 5)).shape
    torch.Size([2, 5])
    """

    needs_counts = keeps_counts = False

    def __init__(self, scale: float = 0.3) -> None:
        super().__init__()
        if not 0.0 < scale < float("inf"):
            raise ValueError(f"`scale` is {scale}; the noise needs a positive, finite standard deviation.")
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """The data ``(n, n_features)`` with noise added."""
        return x + self.scale * torch.randn_like(x)


class SaltAndPepper(Corruption, name="salt_and_pepper"):
    """Replace entries by 0 or 1, as dead and hot pixels do.

    Parameters
    ----------
    rate
        The expected fraction of entries that is replaced, in (0, 1); half of them become 0.

    Raises
    ------
    ValueError
        If ``rate`` is not strictly between 0 and 1.

    Examples
    --------
    >>> import torch
    >>> spoilt = SaltAndPepper(0.5)(torch.full((1, 1000), 0.5))
    >>> spoilt.unique()
    tensor([0.0000, 0.5000, 1.0000])
    """

    needs_counts = keeps_counts = False

    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        self.rate = _fraction(rate)

    def forward(self, x: Tensor) -> Tensor:
        """The data ``(n, n_features)`` with entries replaced."""
        u = torch.rand_like(x)
        return torch.where(u < self.rate, (u < self.rate / 2).to(x), x)


def _fraction(rate: float) -> float:
    """``rate``, or a ``ValueError`` where it does not lie strictly between 0 and 1."""
    if not 0.0 < rate < 1.0:
        raise ValueError(f"`rate` is {rate}; the fraction that is lost must lie strictly between 0 and 1.")
    return rate
