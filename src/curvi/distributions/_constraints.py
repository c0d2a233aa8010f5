"""Conditions on parameters and values that torch does not know."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import constraints


class UnitVector(constraints.Constraint):
    """Rows of length 1, up to the rounding of half of their digits."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        """Whether each row of ``value (..., m)`` has length 1, shape ``(...)``."""
        tolerance = torch.finfo(value.dtype).eps ** 0.5
        return (torch.linalg.vector_norm(value, dim=-1) - 1).abs() < tolerance


unit_vector = UnitVector()
