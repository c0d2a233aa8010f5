"""Tangent coordinates around any point of a manifold: directions, names, and there and back."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curvi.manifolds import Manifold


def names(manifold: Manifold) -> list[str]:
    """What the tangent coordinates of a manifold are called: z0, z1, ..."""
    return [f"z{i}" for i in range(manifold.dim)]


def frame(manifold: Manifold, base: Tensor) -> Tensor:
    """The velocities `(dim, ambient_dim)` at ``base (ambient_dim,)`` along which one tangent coordinate grows.

    They are those at the origin, carried to the base in parallel along the geodesic: orthonormal there too.
    """
    zero = torch.zeros(manifold.dim, dtype=base.dtype)
    with torch.enable_grad():
        # exp0 is the exponential map of the tangent coordinates, so that its derivative at 0 takes them to velocities.
        at_origin = torch.autograd.functional.jacobian(manifold.exp0, zero).T.contiguous()
    origin = manifold.origin.to(base)
    return manifold.transport(origin.expand_as(at_origin), base.expand_as(at_origin), at_origin)


def reached(manifold: Manifold, base: Tensor, coordinates: Tensor, dims: Sequence[int]) -> Tensor:
    """The points `(..., ambient_dim)` with tangent coordinates `(..., len(dims))` of ``dims`` at ``base``, else 0."""
    velocity = coordinates @ frame(manifold, base)[list(dims)]
    return manifold.project(manifold.exp(base.expand_as(velocity), velocity))


def seen_from(manifold: Manifold, base: Tensor, points: Tensor) -> Tensor:
    """The tangent coordinates `(n, dim)` at ``base`` of ``points (n, ambient_dim)``, as long as the distance."""
    if torch.equal(manifold.origin.to(base), base):
        return manifold.log0(points)
    origin, here = manifold.origin.to(points).expand_as(points), base.expand_as(points)
    return manifold.log0(manifold.exp(origin, manifold.transport(here, origin, manifold.log(here, points))))


def checked_dims(manifold: Manifold, dims: int | Sequence[int] | None) -> list[int]:
    """Numbers of tangent coordinates, of which None means all.

    Raises
    ------
    ValueError
        If there is none, or one is out of range.
    """
    if dims is None:
        return list(range(manifold.dim))
    # An array's integers are numbers.Integral, and no int.
    chosen = list(np.atleast_1d(np.asarray(dims, dtype=object)))
    if not chosen or any(not isinstance(dim, Integral) or not 0 <= int(dim) < manifold.dim for dim in chosen):
        raise ValueError(f"`dims` is {dims!r}; the dimensions of {manifold} are numbered from 0 to {manifold.dim - 1}.")
    return [int(dim) for dim in chosen]
