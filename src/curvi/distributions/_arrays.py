"""Arrays of numpy on the CPU, where its calls cost a third of those of torch, and of torch elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Size, Tensor

_WITHOUT_DOUBLE = frozenset({"mps"})


def library(device: torch.device) -> Any:
    """``numpy`` or ``torch``, whose functions of the same names take the arrays of :func:`enter`."""
    return np if device.type == "cpu" and not torch.compiler.is_compiling() else torch


def double(device: torch.device) -> torch.dtype:
    """float64, or float32 on a device that has no float64."""
    return torch.float32 if device.type in _WITHOUT_DOUBLE else torch.float64


def enter(xp: Any, x: Tensor, dtype: torch.dtype) -> Any:
    """The values of ``x`` without its gradient, as a flat array of ``xp``."""
    flat = x.detach().to(dtype).reshape(-1)
    return flat.numpy() if xp is np else flat


def leave(xp: Any, values: Any, shape: Size) -> Tensor:
    """An array of ``xp`` as a tensor of a given shape."""
    return (torch.from_numpy(values) if xp is np else values).view(shape)
