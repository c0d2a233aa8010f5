"""How evenly spaced points cover a surface or a line: in tangent coordinates, and where they stand in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from math import pi, sqrt
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import norm

from curvi.manifolds import Euclidean, Hyperbolic, Manifold, Product, Sphere, from_config

if TYPE_CHECKING:
    from collections.abc import Callable

# The standard normal prior has 99 % of its mass within this distance from the origin of a plane.
_REACH = 3.0


@dataclass(frozen=True)
class Cover:
    """Points that cover a surface.

    Attributes
    ----------
    coordinates
        Their tangent coordinates, `(n, 2)`.
    positions
        Where they stand in a picture, y upwards, `(n, 2)`.
    shape
        Rows and columns where the picture is a table, from the upper left to the lower right; None where it is not.
    axes
        What the positions are: both axes.
    """

    coordinates: np.ndarray
    positions: np.ndarray
    shape: tuple[int, int] | None
    axes: tuple[str, str]


@singledispatch
def leaves(manifold: Manifold) -> list[Manifold]:
    """The manifolds that one is a product of, in the order of their tangent coordinates."""
    return [manifold]


@leaves.register
def _(manifold: Product) -> list[Manifold]:
    return [leaf for part in manifold.parts for leaf in leaves(part)]


def of_dim(manifold: Manifold, dim: int) -> Manifold:
    """The manifold of the same kind and curvature with another dimension."""
    return from_config(manifold.config() | {"dim": dim}).requires_grad_(False).double()


@singledispatch
def surface(manifold: Manifold, n: int, radius: float | None, axes: tuple[str, str]) -> Cover:
    """Points that cover a surface of the kind of a manifold, itself of dimension 2.

    A geometry of one's own joins by registering how it is covered.
    """
    raise ValueError(f"there is no grid over {manifold}; pass points of your own to the decoder.")


@surface.register
def _(manifold: Euclidean, n: int, radius: float | None, axes: tuple[str, str]) -> Cover:
    return table(_quantiles(n, radius), _quantiles(n, radius), axes)


@surface.register
def _(manifold: Sphere, n: int, radius: float | None, axes: tuple[str, str]) -> Cover:
    """Rows of equal height between two parallels, which have equal area, each cut in equal parts."""
    _refuse_radius(manifold, radius)
    longitude, sine = _middles(2 * n, pi), _middles(n, 1.0)[::-1]
    x, z = (axis.ravel() for axis in np.meshgrid(longitude, sine))
    ring = np.sqrt(1 - z**2)
    globe = torch.from_numpy(np.stack([ring * np.cos(x), ring * np.sin(x), z], axis=1))
    named = ("longitude", "sine of latitude")
    return Cover(manifold.log0(globe).numpy(), np.stack([x, z], axis=1), (n, 2 * n), named)


@surface.register
def _(manifold: Hyperbolic, n: int, radius: float | None, axes: tuple[str, str]) -> Cover:
    r"""Rings of cells of equal area about the middle, drawn in the Poincare disk of radius 1.

    A circle of radius r has the area :math:`4 \pi R^2 \sinh^2(r / 2R)`.
    """
    unit = float(manifold.curvature) ** -0.5
    whole = _REACH if radius is None else radius

    def area(r: float) -> float:
        return 4 * pi * unit**2 * np.sinh(r / (2 * unit)) ** 2

    def reach(a: np.ndarray) -> np.ndarray:
        return 2 * unit * np.arcsinh(np.sqrt(a / pi) / (2 * unit))

    sizes = np.array(_ring_sizes(n * n, area(whole), area, reach))
    cell, inner = area(whole) / n**2, np.cumsum(sizes) - sizes
    # A point halves the area of its cell; the innermost cell is the disk about the middle.
    r = reach((inner + np.where(inner == 0, 0.0, sizes / 2)) * cell)
    ring = np.repeat(np.arange(len(sizes)), sizes)
    turn = 2 * pi * (np.arange(sizes.sum()) - inner[ring] + 0.5 * (ring % 2)) / sizes[ring]
    towards = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    drawn = np.tanh(r / (2 * unit))
    return Cover(r[ring, None] * towards, drawn[ring, None] * towards, None, axes)


@singledispatch
def curve(manifold: Manifold, n: int, radius: float | None) -> np.ndarray:
    """Tangent coordinates `(n,)`, upwards, that cover a line: quantiles of the prior, or evenly within ``radius``."""
    return _quantiles(n, radius)


@curve.register
def _(manifold: Sphere, n: int, radius: float | None) -> np.ndarray:
    _refuse_radius(manifold, radius)
    return _middles(n, pi * float(manifold.curvature) ** -0.5)


def table(x: np.ndarray, y: np.ndarray, axes: tuple[str, str]) -> Cover:
    """All pairs of coordinates ``x`` and ``y``, which grow to the right and upwards."""
    across, up = (axis.ravel() for axis in np.meshgrid(x, y[::-1]))
    coordinates = np.stack([across, up], axis=1)
    return Cover(coordinates, coordinates, (len(y), len(x)), axes)


def _middles(n: int, end: float) -> np.ndarray:
    """The middles of n equal parts of [-end, end]."""
    return end * ((2 * np.arange(n) + 1) / n - 1)


def _quantiles(n: int, radius: float | None) -> np.ndarray:
    """The middles of n parts of equal mass of the standard normal distribution, or of equal length."""
    return norm.ppf((np.arange(n) + 0.5) / n) if radius is None else _middles(n, radius)


def _refuse_radius(manifold: Manifold, radius: float | None) -> None:
    if radius is not None:
        raise ValueError(f"`radius` is {radius}, but the grid covers all of {manifold}; leave it out.")


def _ring_sizes(
    n: int, whole: float, area: Callable[[float], float], reach: Callable[[np.ndarray], np.ndarray]
) -> list[int]:
    """How many cells the rings about a middle cell have, ``n`` in all, so that cells are about square."""
    cell, ends = whole / n, [1]
    while ends[-1] < n:
        inner = float(reach(np.array(ends[-1] * cell)))
        ends.append(ends[-1] + max(1, round(area(inner + sqrt(cell)) / cell - ends[-1])))
    if len(ends) > 2 and n * n < ends[-1] * ends[-2]:
        ends.pop()
    # What the last ring has too much or too little, all rings share.
    share = (n - 1) / max(ends[-1] - 1, 1)
    shared = [1 + round((end - 1) * share) for end in ends]
    return [1, *(b - a for a, b in zip(shared[:-1], shared[1:], strict=True))]
