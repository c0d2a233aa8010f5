"""Elementwise functions whose derivatives are known, as functions that torch differentiates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.autograd.function import once_differentiable

from curvi._recording import Function

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def with_derivatives(value: Tensor, inputs: Sequence[Tensor], derivatives: Sequence[Tensor]) -> Tensor:
    """``value`` as an elementwise function of ``inputs``, with known derivatives; all have one shape."""
    return _WithDerivatives.apply(value, len(inputs), *inputs, *derivatives)


class _WithDerivatives(Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, n: int, *both: Tensor) -> Tensor:
        ctx.n = n
        ctx.save_for_backward(*(derivative.to(both[0].dtype) for derivative in both[n:]))
        return value.to(both[0].dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(grad * derivative for derivative in ctx.saved_tensors), *([None] * ctx.n)
