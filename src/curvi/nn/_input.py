"""The linear map that reads the features, which need not look at those that are 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from curvi._compiled import compiled
from curvi._compressed import is_compressed, parts_of
from curvi._recording import Function
from curvi._threads import arrays, claim, row_loop
from curvi.nn._sums import weighted_sums

_take = arrays("int32 1", "int32 1", "float32 1", "float32 2", "float32 1", "float32 2")


@row_loop(chunk=16)
def _weighted_sums(table: Any) -> None:
    """Each row of the last tensor is the one before it plus the rows of a matrix that compressed rows name, weighted.

    The tensors: starts, places and values of compressed rows; the matrix; a row to begin with; the result.
    """
    first, stop = claim(table)
    while first < stop:
        weighted_sums(first, stop, *_take(table))
        first, stop = claim(table)


@compiled(nogil=True)
def _turn(starts: Any, columns: Any, values: Any, by: Any, rows: Any, turned: Any) -> None:
    """Compressed rows as compressed columns: the starts of the columns, the rows and the values of their entries."""
    n_columns = len(by) - 1
    by[:] = 0
    # What has no sign needs no look at whether it counts from the end, which would double the time.
    for k in range(len(columns)):
        by[np.uint32(columns[k]) + np.uint32(1)] += 1
    for j in range(n_columns):
        by[j + 1] += by[j]
    for i in range(len(starts) - 1):
        for k in range(np.uint32(starts[i]), np.uint32(starts[i + 1])):
            column = np.uint32(columns[k])
            place = np.uint32(by[column])
            rows[place], turned[place] = i, values[k]
            by[column] = place + 1
    # Each start has moved to the next one.
    for j in range(n_columns, 0, -1):
        by[j] = by[j - 1]
    by[0] = 0


class _Compressed(Function):
    """A linear map of compressed rows, whose weights are given by the feature."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, by_feature: Tensor, bias: Tensor) -> Tensor:
        """``x (n, n_in)``, ``by_feature (n_in, n_out)``, ``bias (n_out,)``."""
        out = by_feature.new_empty(len(x), len(bias))
        _weighted_sums(len(x), *parts_of(x), by_feature, bias, out)
        ctx.x = x
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        """Gradients of the weights and the bias."""
        grad = grad.contiguous()
        in_weight = None
        if ctx.needs_input_grad[1]:
            n_in, (starts, columns, values) = ctx.x.shape[1], parts_of(ctx.x)
            by, rows, turned = (torch.empty(n, dtype=torch.int32) for n in (n_in + 1, len(columns), 0))
            turned = torch.empty_like(values)
            _turn(*(each.numpy() for each in (starts, columns, values, by, rows, turned)))
            in_weight = grad.new_empty(n_in, grad.shape[1])
            _weighted_sums(n_in, by, rows, turned, grad, grad.new_zeros(grad.shape[1]), in_weight)
        return None, in_weight, grad.sum(0) if ctx.needs_input_grad[2] else None


class InputLinear(nn.Module):
    """A linear map of features, most of which may be 0: compressed rows cost what is in them, with the same result.

    It is that of :class:`torch.nn.Linear`, and starts as that does, but keeps the weights by the feature, so that an
    entry finds those of its own in one piece.

    Attributes
    ----------
    by_feature
        The weights, ``(n_in, n_out)``.
    bias
        ``(n_out,)``.

    Examples
    --------
    >>> import torch
    >>> layer = InputLinear(6, 2)
    >>> layer(torch.ones(3, 6)).shape, layer.weight.shape
    (torch.Size([3, 2]), torch.Size([2, 6]))
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        usual = nn.Linear(n_in, n_out)
        self.by_feature = nn.Parameter(usual.weight.detach().t().contiguous())
        self.bias = usual.bias

    @property
    def weight(self) -> Tensor:
        """The weights as :class:`torch.nn.Linear` has them, ``(n_out, n_in)``."""
        return self.by_feature.t()

    @property
    def out_features(self) -> int:
        """The width of the result."""
        return len(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """From ``(..., n, n_in)``, dense or compressed rows, to ``(..., n, n_out)``."""
        if is_compressed(x):
            return _Compressed.apply(x, self.by_feature, self.bias)
        return functional.linear(x, self.weight, self.bias)
