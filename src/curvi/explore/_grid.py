"""Points that cover two dimensions of a latent space evenly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from curvi.explore._cover import Cover, curve, leaves, of_dim, surface, table
from curvi.explore._space import at_least, space
from curvi.manifolds._frame import checked_dims, names, reached

if TYPE_CHECKING:
    from anndata import AnnData

    from curvi.explore._space import Place
    from curvi.manifolds import Manifold


@dataclass(frozen=True)
class Grid:
    """Points that cover a surface, and where each stands in a picture.

    Attributes
    ----------
    points
        The points, `(n_points, ambient_dim)`.
    positions
        Where they stand, x to the right and y upwards, `(n_points, 2)`.
    shape
        Rows and columns where the picture is a table; the points then go row by row from the upper left to the lower
        right, so that decoded images of h x w pixels are ``images.reshape(*shape, h, w)``. None for rings in the disk.
    axes
        What the positions are: both axes.
    manifold
        Where the points lie.
    """

    points: np.ndarray
    positions: np.ndarray
    shape: tuple[int, int] | None
    axes: tuple[str, str]
    manifold: Manifold


@torch.no_grad()
def grid(
    manifold: Manifold | None = None,
    n: int = 20,
    *,
    dims: tuple[int, int] = (0, 1),
    base: Place | None = None,
    radius: float | None = None,
    adata: AnnData | None = None,
    basis: str = "X_curvi",
) -> Grid:
    """Points that cover the surface of two dimensions through a base point.

    - **Flat**: n x n points at the quantiles of the prior, the standard normal distribution, so that each stands for
      the same share of it; with ``radius`` a lattice in a square of that half width instead.
    - **Sphere**: n rows of 2 n points each. Their cells lie between parallels of equal distance in height and
      meridians, and so have equal area; the base is in the middle of the map, whose axes are longitude and the sine of
      latitude.
    - **Hyperbolic**: n x n points in rings, each with the same area, within ``radius`` of the base; positions are
      those in the Poincare disk of radius 1 with the base in its middle.
    - **Product**, its dimensions from two parts: n x n points, a circle covered evenly, a line at quantiles.

    Parameters
    ----------
    manifold
        The manifold, of dimension 2 or more; by default what the model recorded in ``adata``.
    n
        How fine the grid is, at least 1.
    dims
        The two dimensions, as numbers of tangent coordinates.
    base
        The point at which both are 0: a cell by its number or name, (column, category) for the mean of a category, or a
        point `(ambient_dim,)`; the origin by default.
    radius
        How far the grid goes, in units of length; 3 on a hyperbolic plane by default.
    adata, basis
        Cells whose embedding ``adata.obsm[basis]`` the base is found in; not needed for the origin or a point.

    Raises
    ------
    ValueError
        If there is no such base or dimension, the manifold is a line, or a radius is given on a sphere.

    Examples
    --------
    >>> from curvi.explore import grid
    >>> from curvi.manifolds import Sphere
    >>> found = grid(Sphere(2), n=10)
    >>> found.points.shape, found.shape, found.axes
    ((200, 3), (10, 20), ('longitude', 'sine of latitude'))
    """
    cells = space(adata, basis, manifold)
    where = cells.manifold
    if where.dim < 2:
        raise ValueError(f"`manifold` is {where}, a line; a grid needs two dimensions. Use `explore.traversal`.")
    chosen = checked_dims(where, dims)
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise ValueError(f"`dims` is {dims!r}; expected two different dimensions, such as (0, 1).")
    if radius is not None and not 0 < radius < np.inf:
        raise ValueError(f"`radius` is {radius}; it must be positive and finite.")
    at, _, _ = cells.find("base", base)
    cover = _cover(where, at_least("n", n, 1), chosen, radius)
    points = reached(where, torch.from_numpy(at), torch.from_numpy(cover.coordinates), chosen).numpy()
    return Grid(points, cover.positions, cover.shape, cover.axes, where)


def _cover(manifold: Manifold, n: int, dims: list[int], radius: float | None) -> Cover:
    """The cover of two dimensions: of one part of a product, or of a line in each of two."""
    parts = leaves(manifold)
    owners = np.repeat(np.arange(len(parts)), [part.dim for part in parts])
    i, j = (int(owners[dim]) for dim in dims)
    called = names(manifold)
    axes = (called[dims[0]], called[dims[1]])
    if i == j:
        return surface(of_dim(parts[i], 2), n, radius, axes)
    return table(curve(of_dim(parts[i], 1), n, radius), curve(of_dim(parts[j], 1), n, radius), axes)
