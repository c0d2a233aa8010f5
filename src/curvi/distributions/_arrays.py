"""Arrays of numpy on the CPU, where its calls cost a third of those of torch, and of torch elsewhere."""

from __future__ import annotations

from functools import cache, wraps
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Size, Tensor

from curvi.manifolds._device import library

if TYPE_CHECKING:
    from collections.abc import Callable

_Made = TypeVar("_Made")

# Beyond this concentration squares overflow in float32; every point is the pole long before.
LIMIT = 1e18
# Larger blocks of what has several numbers a place leave the cache.
_BLOCK = 1024
# Up to so many numbers, compiled passes over rows are faster than the calls of numpy; beyond, numpy computes several
# numbers at a time.
FEW = 1024
_COMPILED = frozenset({torch.float32, torch.float64})


def kept(make: Callable[..., _Made]) -> Callable[..., _Made]:
    """``make`` with its results kept; a graph that is being compiled keeps them itself."""
    keep = cache(make)

    @wraps(make)
    def get(*args: Any) -> _Made:
        return make(*args) if torch.compiler.is_compiling() else keep(*args)

    return get


def broadcast(a: Size, b: Size) -> Size:
    """The common shape of two; ``torch.broadcast_shapes`` takes longer than a draw where there is nothing to do."""
    if a == b or not b:
        return a
    return torch.broadcast_shapes(a, b) if a else b


def single(dtype: torch.dtype) -> torch.dtype:
    """float64 for float64, and float32 for all that is less."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def few(x: Tensor, n: int) -> bool:
    """Whether ``n`` numbers that are made of ``x`` are made in a compiled pass over rows."""
    return library(x.device) is np and n <= FEW and x.dtype in _COMPILED


def flat(x: Tensor) -> np.ndarray[Any, Any]:
    """The values of a tensor on the CPU in one contiguous row, without its gradient."""
    return x.detach().numpy().ravel()


def row_by_row(x: Tensor, m: int) -> np.ndarray[Any, Any]:
    """The values of rows ``(..., m)`` on the CPU as contiguous ``(n, m)``, without their gradient."""
    values = np.ascontiguousarray(x.detach().numpy())
    return values if values.ndim == 2 else values.reshape(prod(values.shape[:-1]), m)


def shaped(values: np.ndarray[Any, Any], shape: Size) -> Tensor:
    """An array as a tensor of a shape."""
    return torch.from_numpy(values if values.shape == shape else values.reshape(shape))


def repeated(x: Tensor, shape: Size) -> Tensor:
    """``x`` itself where ``shape`` only has more axes in front, so that it counts again and again, or as it expands."""
    return x if x.shape == shape[len(shape) - x.ndim :] else x.expand(shape)


def enter(xp: Any, x: Tensor, dtype: torch.dtype | None = None) -> Any:
    """The values of ``x`` without its gradient, as an array of ``xp``."""
    x = x.detach() if dtype is None or x.dtype == dtype else x.detach().to(dtype)
    return x.numpy() if xp is np else x


def leave(xp: Any, values: Any) -> Tensor:
    """An array of ``xp`` as a tensor."""
    return torch.from_numpy(np.asarray(values)) if xp is np else values


def components(xp: Any, rows: Any) -> Any:
    """Rows ``(..., m)`` as ``(m, ...)`` to read: a view in torch, contiguous in numpy."""
    turned = xp.moveaxis(rows, -1, 0)
    return np.ascontiguousarray(turned) if xp is np else turned


def rows(xp: Any, components: Any) -> Any:
    """The inverse of :func:`components`, contiguous."""
    if xp is torch:
        return torch.moveaxis(components, 0, -1).contiguous()
    turned = np.empty((*components.shape[1:], len(components)), components.dtype)
    for i, component in enumerate(components):
        turned[..., i] = component
    return turned


def dot(xp: Any, a: Any, b: Any) -> Any:
    """The sum of ``a * b`` along the first axis; on the CPU without storing the products."""
    if xp is np:
        return np.einsum("m...,m...->...", a, b)
    if library(a.device) is np:
        return leave(np, np.einsum("m...,m...->...", a.numpy(), b.numpy()))
    return (a * b).sum(0)


def add_product(xp: Any, total: Any, a: Any, b: Any) -> Any:
    """``total + a * b``, written into ``total``."""
    if xp is torch:
        return total.addcmul_(a, b)
    total += a * b
    return total


def powers(xp: Any, p: Any, count: int) -> Any:
    """Rows p, p^2, .. p^count, each block a multiple of the one before."""
    rows = p[None]
    while len(rows) < count:
        rows = xp.concatenate([rows, rows[: count - len(rows)] * rows[-1]])
    return rows


def in_blocks(evaluate: Callable[..., Any], dtype: torch.dtype, *xs: Tensor) -> tuple[Tensor, ...]:
    """The rows ``(k, n)`` that ``evaluate`` makes of rows ``(n,)`` in ``dtype``, each in the common shape of ``xs``."""
    xp = library(xs[0].device)
    flat = [enter(xp, x.detach().clamp_max(LIMIT) if dtype == torch.float32 else x, dtype).reshape(-1) for x in xs]
    n = len(flat[0])
    size = _BLOCK if xp is not torch else max(n, 1)
    blocks = [evaluate(*(x[i : i + size] for x in flat)) for i in range(0, max(n, 1), size)]
    values = blocks[0] if len(blocks) == 1 else xp.concatenate(blocks, 1)
    return leave(xp, values).view(len(values), *xs[0].shape).unbind()
