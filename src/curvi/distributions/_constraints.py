"""Conditions on parameters and values that torch does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import constraints

if TYPE_CHECKING:
    from curvi.manifolds import Manifold


class _UnitVector(constraints.Constraint):
    """Rows of length 1, up to 1e-5 or the rounding of their dtype."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        """Whether each row of ``value (..., m)`` has length 1, shape ``(...)``."""
        tolerance = max(1e-5, 4 * torch.finfo(value.dtype).eps)
        return (torch.linalg.vector_norm(value, dim=-1) - 1).abs() < tolerance


class OnManifold(constraints.Constraint):
    """Points of a manifold, as its :meth:`~curvi.manifolds.Manifold.contains` decides for all of them together."""

    event_dim = 1

    def __init__(self, manifold: Manifold) -> None:
        self.manifold = manifold
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        """Whether the points ``value (..., ambient_dim)`` lie on the manifold, all or none, shape ``(...)``."""
        inside, _ = self.manifold.contains(value.detach())
        return torch.full(value.shape[:-1], inside, device=value.device)


unit_vector = _UnitVector()
