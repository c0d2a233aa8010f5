"""Progressions of single dimensions around a point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from curvi.explore._space import at_least, space
from curvi.manifolds._frame import checked_dims, names, reached, seen_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from curvi.explore._space import Place, Space
    from curvi.manifolds import Manifold


@dataclass(frozen=True)
class Traversal:
    """Points along geodesics through a base point, one geodesic a dimension.

    Attributes
    ----------
    dims
        The dimensions.
    names
        What they are called.
    steps
        The tangent coordinate at each point, `(n_dims, n)`: its distance along the geodesic from the base, negative
        on one side.
    points
        The points, `(n_dims, n, ambient_dim)`.
    base
        The point that all pass through at step 0, `(ambient_dim,)`.
    base_name
        What it is called.
    manifold
        Where the points lie.
    """

    dims: tuple[int, ...]
    names: tuple[str, ...]
    steps: np.ndarray
    points: np.ndarray
    base: np.ndarray
    base_name: str
    manifold: Manifold


@torch.no_grad()
def traversal(
    adata: AnnData | None = None,
    base: Place | None = None,
    dims: int | Sequence[int] | None = None,
    *,
    span: float | tuple[float, float] | None = None,
    n: int = 9,
    basis: str = "X_curvi",
    manifold: Manifold | None = None,
) -> Traversal:
    """What changes along one, several or all dimensions around a base point.

    Each dimension is a geodesic: in flat space a line along an axis, on a sphere the great circle in the direction of
    a tangent coordinate, with steps in units of length (radians, where the radius is 1), in hyperbolic space likewise.
    The directions at the base are those at the origin, carried there in parallel.

    Parameters
    ----------
    adata
        Cells with an embedding; None for a bare ``manifold``.
    base
        A cell by its number or name, (column, category) for the mean of a category, or a point `(ambient_dim,)`; the
        origin by default.
    dims
        A dimension, several, or None for all.
    span
        From where to where, as (low, high) or as one number for both sides; by default as far as the cells go in each
        dimension, seen from the base.
    n
        Points in a dimension, at least 2.
    basis
        Key of ``adata.obsm``, points `(n_obs, ambient_dim)`.
    manifold
        Where the points lie; by default what the model recorded.

    Raises
    ------
    ValueError
        If the base, a dimension or the span does not exist, or ``span`` is None without cells.

    Examples
    --------
    >>> import math
    >>> from curvi.explore import traversal
    >>> from curvi.manifolds import Sphere
    >>> found = traversal(manifold=Sphere(2), dims=[0], span=math.pi / 2, n=3)
    >>> found.points.round(4) + 0.0
    array([[[ 0., -1.,  0.],
            [ 1.,  0.,  0.],
            [ 0.,  1.,  0.]]])
    """
    cells = space(adata, basis, manifold)
    at, base_name, _ = cells.find("base", base)
    chosen = checked_dims(cells.manifold, dims)
    low, high = _ends(cells, at, chosen, span)
    steps = np.linspace(low, high, at_least("n", n, 2), axis=1)
    # One coordinate at a time: rows of a diagonal, (n_dims, n, n_dims).
    coordinates = torch.from_numpy(steps[:, :, None] * np.eye(len(chosen))[:, None, :])
    points = reached(cells.manifold, torch.from_numpy(at), coordinates, chosen).numpy()
    called = names(cells.manifold)
    return Traversal(tuple(chosen), tuple(called[dim] for dim in chosen), steps, points, at, base_name, cells.manifold)


def _ends(
    cells: Space, base: np.ndarray, dims: list[int], span: float | tuple[float, float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Where each dimension begins and ends, `(n_dims,)` each."""
    if span is None:
        if cells.adata is None:
            raise ValueError("`span` is None without cells; pass (low, high) or a number in units of length.")
        seen = seen_from(cells.manifold, torch.from_numpy(base), torch.from_numpy(cells.points)).numpy()[:, dims]
        return seen.min(axis=0), seen.max(axis=0)
    ends = np.asarray(span, dtype=np.float64)
    if ends.ndim == 0:
        ends = np.array([-ends, ends])
    if ends.shape != (2,) or not np.isfinite(ends).all() or not ends[0] < ends[1]:
        raise ValueError(f"`span` is {span!r}; expected (low, high), or one positive number for both sides.")
    return np.full(len(dims), ends[0]), np.full(len(dims), ends[1])
