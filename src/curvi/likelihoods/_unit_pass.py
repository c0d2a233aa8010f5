"""The log-likelihood of rows of values from 0 to 1 given their logits, in one pass over the features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from curvi._compressed import dense, is_compressed, parts_of
from curvi._recording import Function

if TYPE_CHECKING:
    from torch.distributions import Distribution

    from curvi._threads import RowLoop


def _takes(logits: Tensor, x: Tensor) -> bool:
    """Whether the pass can serve: float32 on a CPU, shapes that fit, and values that have no gradient."""
    cpu = all(each.is_cpu and each.dtype == torch.float32 for each in (logits, x))
    return cpu and x.ndim == 2 and logits.shape[-2:] == x.shape and not x.requires_grad


class _Pass(Function):
    """The gradient is made together with the value, so that the backward pass only scales it."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor, loop: RowLoop) -> Tensor:
        """``logits (..., n, f)``, ``x (n, f)``."""
        f = logits.shape[-1]
        rows = logits.reshape(-1, f).contiguous()
        in_rows = rows.new_empty(len(rows) if ctx.needs_input_grad[0] else 0, f)
        value = rows.new_empty(len(rows))
        if is_compressed(x):
            values = (rows.new_empty(0, f), *parts_of(x))
        else:
            none = torch.empty(0, dtype=torch.int32)
            values = (x.contiguous(), none, none, rows.new_empty(0))
        loop(len(rows), rows, value, in_rows, *values)
        ctx.save_for_backward(in_rows)
        ctx.shape = logits.shape
        return value.view(logits.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """The gradient in the logits."""
        (in_rows,) = ctx.saved_tensors
        return (in_rows * grad.reshape(-1, 1)).view(ctx.shape), None, None


def unit_log_likelihood(px: Distribution, logits: Tensor, x: Tensor, loop: RowLoop) -> Tensor:
    """The log-probability of each row of values, summed over its features, ``(..., n)``.

    In float32 on a CPU it is one pass over the features that makes the gradient, too.

    Parameters
    ----------
    px
        The distribution of the values.
    logits
        Its logits, ``(..., n, n_features)``.
    x
        Values ``(n, n_features)``, dense or compressed rows.
    loop
        The pass. Of ``m`` rows, row ``i`` of the logits goes with row ``i % n`` of the values. Its tensors, all float32
        but those that are said to be int32:

        1. the logits, ``(m, n_features)``;
        2. takes the log-likelihoods, ``(m,)``;
        3. takes their gradients in the logits, ``(m, n_features)``, or ``(0, n_features)`` where they are not wanted;
        4. dense values, ``(n, n_features)``, or ``(0, n_features)`` where they are compressed;
        5. to 7. the starts, int32, the columns, int32, and the entries of compressed rows.
    """
    if _takes(logits, x):
        return _Pass.apply(logits, x, loop)
    return px.log_prob(dense(x)).sum(-1)
