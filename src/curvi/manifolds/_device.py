"""What a device can do: which library computes there, and how precisely."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

_WITHOUT_DOUBLE = frozenset({"mps"})


def library(device: torch.device) -> Any:
    """``numpy`` on the CPU, where its calls cost a third of those of torch, and ``torch`` elsewhere."""
    return np if device.type == "cpu" and not torch.compiler.is_compiling() and not is_transforming() else torch


def double(device: torch.device) -> torch.dtype:
    """float64, or float32 on a device that has no float64."""
    return torch.float32 if device.type in _WITHOUT_DOUBLE else torch.float64


def working(x: Tensor) -> torch.dtype:
    """The dtype in which formulas on points ``x`` are computed: that of :func:`double` on their device."""
    return double(x.device)


def is_transforming() -> bool:
    """Whether a transformation of :mod:`torch.func` is at work, which sees into operations of torch only."""
    return torch._C._functorch.peek_interpreter_stack() is not None
