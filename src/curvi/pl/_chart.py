"""Numbers that say where a point of a manifold is, one a dimension, each of which can be turned on its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from curvi.manifolds import Manifold, Product, Sphere

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Chart:
    """Coordinates that reach every point of a manifold.

    Attributes
    ----------
    names
        What they are called, as many as the manifold has dimensions.
    ends
        The least and the greatest value of each where it has such by its nature; None where it has not.
    points
        The points `(..., ambient_dim)` with coordinates `(..., dim)`.
    coordinates
        The coordinates `(..., dim)` of points `(..., ambient_dim)`.
    """

    names: tuple[str, ...]
    ends: tuple[tuple[float, float] | None, ...]
    points: Callable[[Tensor], Tensor]
    coordinates: Callable[[Tensor], Tensor]


@singledispatch
def chart(manifold: Manifold) -> Chart:
    """The coordinates of a manifold: by default the tangent coordinates at its origin, of products those of the parts.

    A geometry of one's own joins by registering coordinates that suit it better.
    """
    called = tuple(f"z{i}" for i in range(manifold.dim))
    return Chart(called, (None,) * manifold.dim, manifold.exp0, manifold.log0)


@chart.register
def _(manifold: Sphere) -> Chart:
    called = ("longitude", *(f"latitude {i}" if manifold.dim > 2 else "latitude" for i in range(1, manifold.dim)))
    ends = ((-180.0, 180.0), *((-90.0, 90.0) for _ in called[1:]))
    return Chart(called, ends, _from_angles, _angles)


@chart.register
def _(manifold: Product) -> Chart:
    parts = [chart(part) for part in manifold.parts]
    called: list[str] = []
    for i, part in enumerate(parts):
        # Tangent coordinates are counted through, as everywhere; an angle needs to say whose it is.
        called += [
            f"z{len(called) + j}" if ends is None else f"{name} of part {i}"
            for j, (name, ends) in enumerate(zip(part.names, part.ends, strict=True))
        ]

    def points(v: Tensor) -> Tensor:
        return torch.cat([part.points(share) for part, share in zip(parts, manifold.split0(v), strict=True)], -1)

    def coordinates(x: Tensor) -> Tensor:
        return torch.cat([part.coordinates(share) for part, share in zip(parts, manifold.split(x), strict=True)], -1)

    return Chart(tuple(called), tuple(ends for part in parts for ends in part.ends), points, coordinates)


def _from_angles(degrees: Tensor) -> Tensor:
    r"""The unit rows `(..., d + 1)` with longitude and latitudes `(..., d)`, in degrees.

    The sphere of each dimension is the equator of the next one: :math:`x_1 = (\cos\lambda, \sin\lambda)`,
    :math:`x_k = (\cos\varphi_k\, x_{k-1}, \sin\varphi_k)`.
    """
    angle = torch.deg2rad(degrees)
    rows = torch.stack([torch.cos(angle[..., 0]), torch.sin(angle[..., 0])], -1)
    for k in range(1, angle.shape[-1]):
        latitude = angle[..., k : k + 1]
        rows = torch.cat([torch.cos(latitude) * rows, torch.sin(latitude)], -1)
    return rows


def _angles(x: Tensor) -> Tensor:
    """The longitude and the latitudes `(..., d)`, in degrees, of unit rows `(..., d + 1)`; 0 where any would do."""
    longitude = torch.atan2(x[..., 1], x[..., 0])
    latitudes = [torch.atan2(x[..., k], torch.linalg.vector_norm(x[..., :k], dim=-1)) for k in range(2, x.shape[-1])]
    return torch.rad2deg(torch.stack([longitude, *latitudes], -1))
