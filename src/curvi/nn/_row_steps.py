"""What follows the linear map of rows, where it is batch normalisation and an activation: in training, compiled passes.

Torch goes through the rows some ten times for that, and several threads wait for each other each time.
"""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.module import _has_any_global_hook

from curvi._compressed import group_size
from curvi._elementary import ZERO, exp, expm1
from curvi._recording import Function
from curvi._threads import arrays, claim, row_loop

_ACTIVATIONS: dict[type[nn.Module], bool] = {nn.ReLU: False, nn.ELU: True}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
# A thread takes so many columns: fewer are done before another one has begun.
_COLUMNS = 256

_take_forward = arrays(*["float32 2"] * 3, *["float32 1"] * 4, "float64 3", "float64 1", "int64 1")
_take_backward = arrays(*["float32 2"] * 4, "float32 1", "float64 3", *["float32 1"] * 2, "float64 1")


@njit(error_model="numpy")
def _activate(is_elu: bool, row: Any, to: Any) -> None:
    """An activation of the numbers of a row; what is no number stays none."""
    if is_elu:
        for j in range(len(row)):
            x = row[j]
            to[j] = expm1(x) if x <= 0 else x
    else:
        for j in range(len(row)):
            x = row[j]
            to[j] = ZERO if x <= 0 else x


@njit(error_model="numpy")
def _times_slope(is_elu: bool, row: Any, values: Any, to: Any) -> None:
    """Values times the slope of an activation at the numbers of a row."""
    if is_elu:
        for j in range(len(row)):
            x = row[j]
            to[j] = values[j] * exp(x) if x <= 0 else values[j]
    else:
        for j in range(len(row)):
            to[j] = ZERO if row[j] <= 0 else values[j]


@njit(error_model="numpy")
def _subtract(g: Any, row: Any, level: Any, centre: Any, slope: Any, scale: Any, to: Any) -> None:
    """What of a gradient in normalised rows is one in the rows: less what moves their mean and their deviation."""
    for j in range(len(row)):
        to[j] = scale[j] * (g[j] - level[j] - (row[j] - centre[j]) * slope[j])


@row_loop(chunk=_COLUMNS)
def _forward(table: Any) -> None:
    """Batch normalisation and an activation of columns, and what the gradient needs of them.

    The tensors: rows ``(n, width)``; what stands between the two steps, and what they make, ``(n, width)``; weight,
    bias and the running mean and variance ``(width,)``; the mean and the inverse deviation of each group of rows,
    ``(n_groups, 2, width)``; numbers; how many groups there were.
    """
    x, between, made, weight, bias, running_mean, running_variance, figures, numbers, count = _take_forward(table)
    norm_first, is_elu, eps, momentum = numbers[0] > 0, numbers[1] > 0, numbers[2], numbers[3]
    n = len(x) // len(figures)
    first, stop = claim(table)
    while first < stop:
        width, shift = stop - first, bias[first:stop]
        scale, centre = np.empty(width, np.float32), np.empty(width, np.float32)
        for group in range(len(figures)):
            mean, inverse = figures[group, 0, first:stop], figures[group, 1, first:stop]
            mean[:] = 0
            inverse[:] = 0
            for i in range(group * n, (group + 1) * n):
                row = x[i, first:stop]
                if not norm_first:
                    _activate(is_elu, row, between[i, first:stop])
                    row = between[i, first:stop]
                for j in range(width):
                    value = np.float64(row[j])
                    mean[j] += value
                    inverse[j] += value * value
            for j in range(width):
                mean[j] /= n
                variance = max(inverse[j] / n - mean[j] * mean[j], 0.0)
                inverse[j] = 1 / sqrt(variance + eps)
                at = first + j
                running_mean[at] += momentum * (mean[j] - running_mean[at])
                running_variance[at] += momentum * (variance * n / (n - 1) - running_variance[at])
                scale[j], centre[j] = inverse[j] * weight[at], mean[j]
            for i in range(group * n, (group + 1) * n):
                row = x[i, first:stop] if norm_first else between[i, first:stop]
                to = between[i, first:stop] if norm_first else made[i, first:stop]
                for j in range(width):
                    to[j] = (row[j] - centre[j]) * scale[j] + shift[j]
                if norm_first:
                    _activate(is_elu, to, made[i, first:stop])
        if first == 0:
            count[0] += len(figures)
        first, stop = claim(table)


@row_loop(chunk=_COLUMNS)
def _backward(table: Any) -> None:
    """The gradients of :func:`_forward`.

    The tensors: the gradient in what was made, what was normalised and what was activated, ``(n, width)``; takes the
    gradient in the rows, ``(n, width)``; the weight; the means and inverse deviations; take the gradients in weight and
    bias, ``(width,)``; the numbers.
    """
    grad, normed, activated, in_x, weight, figures, in_weight, in_bias, numbers = _take_backward(table)
    norm_first, is_elu = numbers[0] > 0, numbers[1] > 0
    n = len(grad) // len(figures)
    first, stop = claim(table)
    while first < stop:
        width = stop - first
        total, along, spare = np.empty(width), np.empty(width), np.empty(width, np.float32)
        scale, level, slope = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
        in_weight[first:stop] = 0
        in_bias[first:stop] = 0
        for group in range(len(figures)):
            centre = figures[group, 0, first:stop].astype(np.float32)
            inverse = figures[group, 1, first:stop].astype(np.float32)
            total[:] = 0
            along[:] = 0
            for i in range(group * n, (group + 1) * n):
                g, row = grad[i, first:stop], normed[i, first:stop]
                if norm_first:
                    _times_slope(is_elu, activated[i, first:stop], g, spare)
                    g = spare
                # Two loops: what is written to may not be what is read, which has to be made sure of for each pair.
                for j in range(width):
                    total[j] += g[j]
                for j in range(width):
                    along[j] += g[j] * ((row[j] - centre[j]) * inverse[j])
            for j in range(width):
                at = first + j
                in_bias[at] += total[j]
                in_weight[at] += along[j]
                scale[j] = weight[at] * figures[group, 1, at]
                level[j], slope[j] = total[j] / n, along[j] / n * inverse[j]
            for i in range(group * n, (group + 1) * n):
                g, row, to = grad[i, first:stop], normed[i, first:stop], in_x[i, first:stop]
                if norm_first:
                    _times_slope(is_elu, activated[i, first:stop], g, spare)
                    _subtract(spare, row, level, centre, slope, scale, to)
                else:
                    _subtract(g, row, level, centre, slope, scale, spare)
                    _times_slope(is_elu, activated[i, first:stop], spare, to)
        first, stop = claim(table)


class _RowSteps(Function):
    """Batch normalisation and an activation of groups of rows."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running: tuple[Tensor, ...],
        numbers: tuple[float, ...],
        n_groups: int,
    ) -> Tensor:
        """Rows ``(n, width)``; running mean, variance and count; whether the norm is first, and so on."""
        x, told = x.contiguous(), _tensor_of(numbers)
        between, made = torch.empty_like(x), torch.empty_like(x)
        figures = torch.empty(n_groups, 2, x.shape[1], dtype=torch.float64)
        mean, variance, count = running
        _forward(x.shape[1], x, between, made, weight, bias, mean, variance, figures, told, count.view(1))
        ctx.numbers = numbers
        ctx.save_for_backward(x, between, weight, figures)
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the rows, the weight and the bias."""
        x, between, weight, figures = ctx.saved_tensors
        normed, activated = (x, between) if ctx.numbers[0] else (between, x)
        in_x, in_weight, in_bias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
        told = _tensor_of(ctx.numbers)
        _backward(x.shape[1], grad.contiguous(), normed, activated, in_x, weight, figures, in_weight, in_bias, told)
        return in_x, in_weight, in_bias, None, None, None


@cache
def _tensor_of(numbers: tuple[float, ...]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def is_hooked(part: nn.Module) -> bool:
    """Whether something is to be called before or after a module itself is."""
    return any(getattr(part, name) for name in _HOOKS)


class RowSteps(nn.Sequential):
    """Steps of rows ``(n, width)``, one after the other.

    Where the first two are batch normalisation and ReLU or ELU, in either order, training on a CPU in float32 takes
    them in one: the same numbers to rounding.

    Examples
    --------
    >>> import torch
    >>> steps = RowSteps(nn.BatchNorm1d(2), nn.ReLU())
    >>> steps(torch.tensor([[1.0, 3.0], [3.0, 3.0]]))
    tensor([[0.0000, 0.0000],
            [1.0000, 0.0000]], grad_fn=<_RowStepsBackward>)
    """

    def forward(self, input: Tensor, n_groups: int = 1) -> Tensor:
        """Rows ``(n, width)`` of the same width; each of ``n_groups`` groups of them, as many rows each, by itself.

        Raises
        ------
        ValueError
            If they are not groups of as many rows each, or one row a group, which has no deviation.
        """
        n = group_size(len(input), n_groups)
        numbers = self._numbers() if n > 1 and self._is_at_hand(input) else None
        if numbers is None:
            if n_groups == 1:
                return super().forward(input)
            return torch.cat([super(RowSteps, self).forward(group) for group in input.chunk(n_groups)])
        norm: Any = self[0] if numbers[0] else self[1]
        running = (norm.running_mean, norm.running_var, norm.num_batches_tracked)
        made: Tensor = _RowSteps.apply(input, norm.weight, norm.bias, running, numbers, n_groups)
        for step in list(self)[2:]:
            made = step(made)
        return made

    def _is_at_hand(self, input: Tensor) -> bool:
        """Whether the compiled passes take rows like these."""
        plain = type(input) is Tensor and input.is_cpu and input.dtype == torch.float32 and input.ndim == 2
        return plain and self.training and not torch.compiler.is_compiling()

    def _numbers(self) -> tuple[float, ...] | None:
        """What the compiled passes want to know of the first two steps; None where these are others."""
        if len(self) < 2 or _has_any_global_hook() or is_hooked(self[0]) or is_hooked(self[1]):
            return None
        norm_first = isinstance(self[0], nn.BatchNorm1d)
        norm, activation = (self[0], self[1]) if norm_first else (self[1], self[0])
        if type(norm) is not nn.BatchNorm1d or type(activation) not in _ACTIVATIONS:
            return None
        usual = norm.training and norm.affine and norm.track_running_stats and norm.weight.dtype == torch.float32
        if not usual or norm.momentum is None or getattr(activation, "alpha", 1.0) != 1.0:
            return None
        return norm_first, _ACTIVATIONS[type(activation)], norm.eps, norm.momentum
