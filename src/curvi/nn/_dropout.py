"""Dropout whose mask is made by a compiled loop, where drawing it by torch would cost more than the layer before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from curvi._recording import recorded_whole
from curvi._threads import arrays, claim, row_loop
from curvi.nn._uniform import new_seeds, uniform

_SINGLE = frozenset({torch.float32, torch.bfloat16, torch.float16})


_take = arrays("int64 1", "float64 1", "float32 2")


@row_loop(chunk=16)
def _fill(table: Any) -> None:
    """Fill a mask, float32 ``(n, width)``, from a seed and the share of zeros; the rest keeps the sum as it was."""
    seed, share, mask = _take(table)
    lost = share[0]
    kept = np.float32(1.0 / (1.0 - lost))
    width = mask.shape[1]
    first, stop = claim(table)
    while first < stop:
        for i in range(first, stop):
            row = mask[i]
            for j in range(width):
                row[j] = kept if uniform(seed[0], i * width + j) >= lost else np.float32(0)
        first, stop = claim(table)


class Dropout(nn.Dropout):
    """Set units to 0 in training, each with probability ``p``, and scale the others by ``1 / (1 - p)``.

    The same as :class:`torch.nn.Dropout`. On a CPU, in float32 and less, torch's generator gives the seed of the mask
    only, which depends neither on the number of threads nor on the precision.

    Examples
    --------
    >>> import torch
    >>> Dropout(0.5)(torch.ones(2, 5)).unique().tolist() in ([0.0, 2.0], [0.0], [2.0])
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        """Rows ``(n, width)`` with units set to 0; in evaluation the rows themselves."""
        at_hand = input.is_cpu and input.dtype in _SINGLE and input.ndim == 2
        if not (at_hand and self.training and 0 < self.p < 1):
            return super().forward(input)
        return input * _mask(input, self.p).to(input.dtype)


@recorded_whole
def _mask(like: Tensor, lost: float) -> Tensor:
    """The factors of units ``(n, width)``."""
    mask = torch.empty(like.shape, dtype=torch.float32)
    _fill(mask.shape[0], new_seeds(1), torch.tensor([lost], dtype=torch.float64), mask)
    return mask
