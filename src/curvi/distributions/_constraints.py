"""Conditions on parameters and values that torch does not know."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import constraints


class _UnitVector(constraints.Constraint):
    """Rows of length 1, up to 1e-5 or the rounding of their dtype."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        """Whether each row of ``value (..., m)`` has length 1, shape ``(...)``."""
        tolerance = max(1e-5, 4 * torch.finfo(value.dtype).eps)
        return (torch.linalg.vector_norm(value, dim=-1) - 1).abs() < tolerance


unit_vector = _UnitVector()
