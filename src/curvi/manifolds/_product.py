"""Products of manifolds: a point of each, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from curvi.manifolds._base import Manifold, contains_finite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Product(Manifold, name="product"):
    r"""The product of manifolds: points of all of them, concatenated, with :math:`d(x, y)^2 = \sum_i d_i(x_i, y_i)^2`.

    Geodesics, logarithms, transports and Frechet means are those of the parts. The curvatures that parts learn are
    parameters of the product.

    Parameters
    ----------
    parts
        The manifolds, at least one, in the order in which their points are concatenated.

    Raises
    ------
    ValueError
        If there are no parts.
    TypeError
        If one of them is not a manifold.

    Examples
    --------
    >>> import torch
    >>> from curvi.manifolds import Euclidean, Sphere
    >>> cylinder = Product([Sphere(1), Euclidean(1)])
    >>> x, y = cylinder.exp0(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    >>> cylinder.dist(x, y)
    tensor(5.)
    >>> cylinder
    Product(parts=[Sphere(dim=1), Euclidean(dim=1)])
    """

    def __init__(self, parts: Sequence[Manifold]) -> None:
        super().__init__()
        parts = list(parts)
        if not parts:
            raise ValueError("`parts` is empty; a product needs at least one manifold.")
        for part in parts:
            if not isinstance(part, Manifold):
                raise TypeError(f"`parts` has {part!r}; expected manifolds, such as those of curvi.manifolds.")
        self._parts = nn.ModuleList(parts)
        self.dim = sum(part.dim for part in parts)
        self.ambient_dim = sum(part.ambient_dim for part in parts)

    @property
    def parts(self) -> tuple[Manifold, ...]:
        """The manifolds, in the order of their points."""
        return tuple(cast("Manifold", part) for part in self._parts)

    @property
    def origin(self) -> Tensor:
        """The origins of the parts, ``(ambient_dim,)``."""
        return torch.cat([part.origin for part in self.parts])

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Points or velocities ``(..., ambient_dim)`` as those of each part, views ``(..., part.ambient_dim)``."""
        return torch.split(x, [part.ambient_dim for part in self.parts], -1)

    def split0(self, v: Tensor) -> tuple[Tensor, ...]:
        """Tangent coordinates ``(..., dim)`` at the origin as those of each part, views ``(..., part.dim)``."""
        return torch.split(v, [part.dim for part in self.parts], -1)

    def project(self, x: Tensor) -> Tensor:
        """The projection of each part, ``(..., ambient_dim)``."""
        return self._joined(lambda part, *xs: part.project(*xs), x)

    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        """Where the geodesic of each part leads, ``(..., ambient_dim)``."""
        return self._joined(lambda part, *xs: part.exp(*xs), x, u)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """The logarithm of each part, ``(..., ambient_dim)``."""
        return self._joined(lambda part, *xs: part.log(*xs), x, y)

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """The vector that each part carries, ``(..., ambient_dim)``."""
        return self._joined(lambda part, *xs: part.transport(*xs), x, y, u)

    def exp0(self, v: Tensor) -> Tensor:
        """The point of each part with its share of the tangent coordinates ``v (..., dim)``, ``(..., ambient_dim)``."""
        return torch.cat([part.exp0(share) for part, share in zip(self.parts, self.split0(v), strict=True)], -1)

    def log0(self, y: Tensor) -> Tensor:
        """The tangent coordinates of each part, ``(..., dim)``."""
        return self._joined(lambda part, *xs: part.log0(*xs), y)

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """The root of the sum of the parts' squared distances, shape ``(...)``."""
        pairs = zip(self.parts, self.split(x), self.split(y), strict=True)
        return torch.linalg.vector_norm(torch.stack([part.dist(a, b) for part, a, b in pairs], -1), dim=-1)

    def geodesic(self, x: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        """The point of each part at time ``t``, a number or ``(...)``, on its shortest path, ``(..., ambient_dim)``."""
        return self._joined(lambda part, *xs: part.geodesic(*xs, t), x, y)

    def log_det_exp(self, x: Tensor, u: Tensor) -> Tensor:
        """The sum of the parts, shape ``(...)``."""
        pairs = zip(self.parts, self.split(x), self.split(u), strict=True)
        return torch.stack([part.log_det_exp(a, b) for part, a, b in pairs], -1).sum(-1)

    @torch.no_grad()
    def mean(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """The Frechet mean of each part ``(ambient_dim,)`` of points ``x (n, ambient_dim)``.

        Raises
        ------
        ValueError
            If the mean of a part is not unique, there are no points, or the weights are negative, all 0 or not one a
            point.
        """
        return self._joined(lambda part, *xs: part.mean(*xs, weights), x)

    def contains(self, x: Tensor, atol: float = 1e-5) -> tuple[bool, str]:
        """Whether points ``x (..., ambient_dim)`` lie on each part up to ``atol``, and if not, on which and why."""
        finite = contains_finite(x, self.ambient_dim)
        if not finite[0]:
            return finite
        for i, (part, rows) in enumerate(zip(self.parts, self.split(x), strict=True)):
            inside, reason = part.contains(rows, atol)
            if not inside:
                return False, f"part {i}, {part}: {reason}"
        return True, ""

    def config(self) -> dict[str, object]:
        """``name``, and ``parts`` as a mapping from ``"0"``, ``"1"``, ... to their configurations."""
        return {"name": self.name, "parts": {str(i): part.config() for i, part in enumerate(self.parts)}}

    def _joined(self, of: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        shares = zip(*(self.split(x) for x in rows), strict=True)
        results = [of(part, *share) for part, share in zip(self.parts, shares, strict=True)]
        return torch.cat(results, -1)
