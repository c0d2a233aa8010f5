"""Flat space."""

from __future__ import annotations

import torch
from torch import Tensor

from curvi.manifolds._base import Manifold, as_times, checked_dim, checked_weights, contains_finite


class Euclidean(Manifold, name="euclidean"):
    r"""Flat space :math:`\mathbb{R}^d`: straight lines, and :math:`d(x, y) = \lVert x - y \rVert`.

    Parameters
    ----------
    dim
        Dimension :math:`d \ge 1`.

    Examples
    --------
    >>> import torch
    >>> float(Euclidean(2).dist(torch.zeros(2), torch.tensor([3.0, 4.0])))
    5.0
    """

    _origin: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = self.ambient_dim = checked_dim(dim)
        self.register_buffer("_origin", torch.zeros(self.dim), persistent=False)

    @property
    def origin(self) -> Tensor:
        """Zeros ``(dim,)``."""
        return self._origin

    def project(self, x: Tensor) -> Tensor:
        """``x (..., dim)`` itself."""
        return x

    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        """:math:`x + u`, ``(..., dim)``."""
        return x + u

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """:math:`y - x`, ``(..., dim)``."""
        return y - x

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """``u`` itself, broadcast to ``(..., dim)``."""
        return u.expand(torch.broadcast_shapes(x.shape, y.shape, u.shape))

    def exp0(self, v: Tensor) -> Tensor:
        """``v (..., dim)`` itself."""
        return v

    def log0(self, y: Tensor) -> Tensor:
        """``y (..., dim)`` itself."""
        return y

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        r""":math:`\lVert x - y \rVert`, shape ``(...)``."""
        return torch.linalg.vector_norm(x - y, dim=-1)

    def geodesic(self, x: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        """:math:`x + t (y - x)`, ``(..., dim)``; ``t`` is a number or ``(...)``."""
        return x + as_times(t, x) * (y - x)

    def log_det_exp(self, x: Tensor, u: Tensor) -> Tensor:
        """Zeros of shape ``(...)``: translations keep volume."""
        shape = torch.broadcast_shapes(x.shape, u.shape)[:-1]
        return torch.zeros(shape, dtype=u.dtype, device=u.device)

    @torch.no_grad()
    def mean(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """The weighted arithmetic mean ``(dim,)`` of points ``x (n, dim)``.

        Raises
        ------
        ValueError
            If there are no points, or the weights are negative, all 0 or not one a point.
        """
        return checked_weights(x, weights) @ x

    def contains(self, x: Tensor, atol: float = 1e-5) -> tuple[bool, str]:
        """Whether ``x (..., dim)`` is finite; ``atol`` has no effect in flat space."""
        return contains_finite(x, self.dim)

    def config(self) -> dict[str, object]:
        """``name`` and ``dim``."""
        return {"name": self.name, "dim": self.dim}
