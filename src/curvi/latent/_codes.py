"""Raw codes as the parameters of posteriors: on the CPU in compiled passes over rows, which cost a few operations."""

from __future__ import annotations

from math import prod
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from curvi._recording import Function
from curvi.manifolds._device import library

Array = np.ndarray[Any, Any]
COMPILED = frozenset({torch.float32, torch.float64})


class ReadsCodes(Protocol):
    """A latent space whose posteriors have two parameters."""

    n_params: int

    def _by_operations(self, raw: Tensor, curvature: Tensor | None) -> tuple[Tensor, Tensor]:
        """The parameters of raw codes ``(..., n_params)``, by operations that torch differentiates."""
        ...

    def _by_rows(self, raw: Array, curvature: float) -> tuple[Array, Array, Any]:
        """The same of rows ``(n, n_params)``, and what the gradient needs."""
        ...

    def _back_by_rows(self, first: Array, kept: Any, in_first: Array, in_second: Array) -> tuple[Array, float]:
        """The gradients in rows and in the curvature; ``first`` is the first parameter."""
        ...


def parameters_of(space: ReadsCodes, raw: Tensor, curvature: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The parameters of raw codes ``(..., n_params)``, which depend on the curvature if that is given."""
    if raw.shape[-1] == space.n_params and is_compiled(raw):
        return _Codes.apply(raw, curvature, space)
    return space._by_operations(raw, curvature)


def is_compiled(x: Tensor) -> bool:
    """Whether there are compiled passes for rows like ``x``."""
    return library(x.device) is np and x.dtype in COMPILED


def rows(x: Tensor) -> Array:
    """Rows ``(..., size)`` as contiguous ``(n, size)``."""
    values = np.ascontiguousarray(x.detach().numpy())
    return values if values.ndim == 2 else values.reshape(prod(values.shape[:-1]), values.shape[-1])


class _Codes(Function):
    @staticmethod
    def forward(ctx: Any, raw: Tensor, curvature: Tensor | None, space: ReadsCodes) -> tuple[Tensor, Tensor]:
        *made, ctx.kept = space._by_rows(rows(raw), 1.0 if curvature is None else curvature.item())
        first, second = (torch.from_numpy(x).view(*raw.shape[:-1], *x.shape[1:]) for x in made)
        ctx.space, ctx.curvature = space, curvature
        ctx.save_for_backward(raw, first)
        return first, second

    @staticmethod
    def backward(ctx: Any, in_first: Tensor, in_second: Tensor) -> tuple[Tensor | None, ...]:
        raw, first = ctx.saved_tensors
        learned = ctx.needs_input_grad[1]
        if torch.is_grad_enabled():
            # Gradients that have gradients.
            inputs = [x for x, needed in zip((raw, ctx.curvature), ctx.needs_input_grad, strict=False) if needed]
            known = ctx.space._by_operations(raw, ctx.curvature)
            gradients = iter(torch.autograd.grad(known, inputs, (in_first, in_second), create_graph=True))
            return *(next(gradients) if needed else None for needed in ctx.needs_input_grad[:2]), None
        second = in_second if in_second.ndim == in_first.ndim else in_second[..., None]
        in_raw, change = ctx.space._back_by_rows(rows(first), ctx.kept, rows(in_first), rows(second))
        in_curvature = torch.full_like(ctx.curvature, change) if learned else None
        return torch.from_numpy(in_raw).view(raw.shape), in_curvature, None
