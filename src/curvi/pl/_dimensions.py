"""The dimensions of an embedding: tangent coordinates of its cells around a point of their manifold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from curvi.manifolds import Euclidean, from_config
from curvi.manifolds._frame import names, seen_from
from curvi.pl._places import Places, embedded_points

if TYPE_CHECKING:
    from anndata import AnnData

    from curvi.manifolds import Manifold
    from curvi.pl._places import Place


# The logarithm of a ratio of volumes that is 0 but for rounding.
FLAT = 1e-12


@dataclass(frozen=True)
class Dimensions:
    """The tangent coordinates of cells.

    Attributes
    ----------
    manifold
        Where the cells lie, in float64 and without gradients.
    base
        The point where all coordinates are 0, `(ambient_dim,)`.
    names
        What the coordinates are called, `dim` names.
    around
        What the base is called; empty for the origin.
    points
        The cells, `(n_obs, ambient_dim)`.
    coordinates
        Their coordinates, `(n_obs, dim)`.
    """

    manifold: Manifold
    base: np.ndarray
    names: tuple[str, ...]
    around: str
    points: np.ndarray
    coordinates: np.ndarray

    @torch.no_grad()
    def of(self, points: np.ndarray) -> np.ndarray:
        """The coordinates `(n, dim)` of ``points (n, ambient_dim)``."""
        return seen_from(self.manifold, torch.from_numpy(self.base), torch.from_numpy(points)).numpy()

    def label(self, dim: int) -> str:
        """What to write along the axis of a coordinate."""
        return f"{self.names[dim]} around {self.around}" if self.around else self.names[dim]


@torch.no_grad()
def stretch(manifold: Manifold) -> float:
    """By how much geodesics from the origin part faster than straight lines: > 0 in hyperbolic space, < 0 on a sphere.

    It is the logarithm of the ratio of volumes half a unit of length away; between plus and minus ``FLAT``, rounding.
    """
    ahead = torch.full((manifold.dim,), 0.5 * manifold.dim**-0.5, dtype=manifold.origin.dtype)
    return float(manifold.log_det_exp(manifold.origin, manifold.log(manifold.origin, manifold.exp0(ahead))))


@torch.no_grad()
def dimensions(adata: AnnData, basis: str, base: Place | None, manifold: Manifold | None) -> Dimensions:
    """The tangent coordinates of the cells ``adata.obsm[basis]`` around a place.

    Parameters
    ----------
    adata
        Cells.
    basis
        Key of ``.obsm``, points `(n_obs, ambient_dim)`.
    base
        The place where the coordinates are 0; None for the origin of flat space, and the Frechet mean of all cells on
        any other manifold.
    manifold
        Where they lie; by default what is recorded, or flat space, whose coordinates are the columns.

    Raises
    ------
    ValueError
        If there is no such key or place, the points are not finite or not on the manifold, or they have no mean.
    """
    points = embedded_points(adata, basis)
    if points.ndim != 2 or points.shape[1] == 0:
        raise ValueError(f"`adata.obsm[{basis!r}]` has shape {points.shape}; expected (n_obs, ambient_dim).")
    n_bad = int((~np.isfinite(points)).any(axis=1).sum())
    if n_bad:
        raise ValueError(f"`adata.obsm[{basis!r}]` is NaN or infinite in {n_bad} cells; drop them or embed them anew.")
    where, called = _recorded(adata, basis, manifold, points.shape[1])
    inside, reason = where.contains(torch.from_numpy(points), atol=1e-3)
    if not inside:
        raise ValueError(f"`adata.obsm[{basis!r}]` does not lie on {where}: {reason} Pass the right `manifold=`.")
    points = where.project(torch.from_numpy(points)).numpy()
    at, around = _base(Places(adata, points, where, ()), base)
    coordinates = seen_from(where, torch.from_numpy(at), torch.from_numpy(points)).numpy()
    return Dimensions(where, at, called, around, points, coordinates)


def _recorded(
    adata: AnnData, basis: str, manifold: Manifold | None, n_columns: int
) -> tuple[Manifold, tuple[str, ...]]:
    """The manifold of ``basis`` and what its dimensions are called."""
    record = adata.uns.get("curvi", {}).get(basis, {}).get("manifold")
    if manifold is None and record is None:
        called = tuple(f"{basis.removeprefix('X_')} {i}" for i in range(n_columns))
        return Euclidean(n_columns).double(), called
    where = from_config(record if manifold is None else manifold.config()).requires_grad_(False).double()
    return where, tuple(names(where))


def _base(places: Places, base: Place | None) -> tuple[np.ndarray, str]:
    """The point `(ambient_dim,)` that ``base`` names, and what it is called."""
    where = places.manifold
    if base is not None:
        return places.find("base", base)
    if abs(stretch(where)) < FLAT:
        return where.origin.numpy(), ""
    try:
        return where.mean(torch.from_numpy(places.points)).numpy(), "the mean"
    except ValueError as error:
        raise ValueError(f"the cells have no Frechet mean to look from; pass `base=`: {error}") from None
