"""The log-likelihood of rows of counts whose means are shares of a total, in one pass over the features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from curvi._compressed import compressed_counts, is_compressed, parts_of
from curvi.likelihoods._row_kernel import negative_binomial_rows


def takes_rows(raw: Tensor, theta: Tensor, size_factor: Tensor, x: Tensor) -> bool:
    """Whether :func:`rows_log_likelihood` can serve: float32 on a CPU, shapes that fit, sizes that are not learned."""
    cpu = all(each.is_cpu and each.dtype == torch.float32 for each in (raw, theta, size_factor, x))
    fits = x.ndim == 2 and raw.shape[-2:] == x.shape and size_factor.shape == (len(x), 1)
    return cpu and fits and not (size_factor.requires_grad or x.requires_grad) and theta.ndim <= raw.ndim


class _Rows(torch.autograd.Function):
    """The gradients are made together with the value, so that the backward pass only scales them."""

    @staticmethod
    def forward(ctx: Any, raw: Tensor, theta: Tensor, size_factor: Tensor, x: Tensor) -> Tensor:
        """``raw (..., n, f)``, ``theta`` that broadcasts with it, ``size_factor (n, 1)`` and ``x (n, f)``."""
        (n, f), theta_shape = x.shape, theta.shape
        logits = raw.reshape(-1, f).contiguous()
        m = len(logits)
        if theta.numel() in (1, f) and theta.ndim < 2:
            per_row = theta.expand(1, f)
        elif theta.shape == (n, f):
            per_row = theta
        else:
            per_row = theta.expand(raw.shape).reshape(m, f)
        needed = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        in_raw, in_theta = logits.new_empty(2, m if needed else 0, f)
        value = torch.empty(m, dtype=torch.float64)
        sizes = size_factor.detach().reshape(n).contiguous()
        counts = parts_of(x if is_compressed(x) else compressed_counts(x))
        negative_binomial_rows(
            m, logits.detach(), sizes, per_row.detach().contiguous(), value, in_raw, in_theta, *counts
        )
        ctx.save_for_backward(in_raw, in_theta)
        ctx.shapes = raw.shape, theta_shape
        return value.to(raw.dtype).reshape(raw.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Gradients in the raw map and the inverse dispersion."""
        in_raw, in_theta = ctx.saved_tensors
        shape, theta_shape = ctx.shapes
        weight = grad.reshape(-1)
        grad_raw = (in_raw * weight[:, None]).view(shape) if ctx.needs_input_grad[0] else None
        grad_theta = None
        if ctx.needs_input_grad[1]:
            if theta_shape == shape[-1:]:
                grad_theta = weight @ in_theta
            else:
                grad_theta = (in_theta * weight[:, None]).view(shape).sum_to_size(theta_shape)
        return grad_raw, grad_theta, None, None


def rows_log_likelihood(raw: Tensor, theta: Tensor, size_factor: Tensor, x: Tensor) -> Tensor:
    r"""The log-likelihood ``(..., n)`` of counts under negative binomials of means :math:`s_i\, \mathrm{softmax}(r_i)`.

    Exact to the rounding of float32: what is summed over the features is summed in double precision where terms can
    cancel.

    Parameters
    ----------
    raw
        :math:`r`, ``(..., n, n_features)``.
    theta
        Inverse dispersion, of a shape that broadcasts with ``raw``.
    size_factor
        :math:`s`, ``(n, 1)``; it has no gradient.
    x
        Counts ``(n, n_features)``, whole numbers, dense or compressed rows; they have no gradient.
    """
    return _Rows.apply(raw, theta, size_factor, x)
