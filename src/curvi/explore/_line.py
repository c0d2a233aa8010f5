"""The shortest line between two points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from curvi.explore._path import Path, through_cells
from curvi.explore._points import nearest_rows
from curvi.explore._space import at_least, plane, space

if TYPE_CHECKING:
    from anndata import AnnData

    from curvi.explore._space import Place
    from curvi.manifolds import Manifold


@torch.no_grad()
def line(
    adata: AnnData | None = None,
    start: Place | None = None,
    end: Place | None = None,
    n: int = 10,
    *,
    basis: str = "X_curvi",
    basis_2d: str | None = None,
    manifold: Manifold | None = None,
) -> Path:
    """Points at equal distances on the geodesic from ``start`` to ``end``, both included.

    With ``basis_2d`` the line is a straight one in a picture, such as UMAP, and each of its points is taken through the
    nearest cell there: the result goes from cell to cell, sometimes staying, sometimes far.

    Parameters
    ----------
    adata
        Cells with an embedding; None for a bare ``manifold``.
    start, end
        A cell by its number or name, (column, category) for the mean of a category, a point `(ambient_dim,)`, with
        ``basis_2d`` a position `(2,)` in the picture, or None for the origin.
    n
        Points, at least 2.
    basis
        Key of ``adata.obsm``, points `(n_obs, ambient_dim)`.
    basis_2d
        Key of ``adata.obsm`` whose first two columns are the picture, such as ``"X_umap"``; None for the geodesic.
    manifold
        Where the points lie; by default what the model recorded.

    Raises
    ------
    ValueError
        If a place does not exist, or ``n`` is below 2.

    Examples
    --------
    >>> from curvi.explore import line
    >>> from curvi.manifolds import Sphere
    >>> path = line(manifold=Sphere(2), start=[1, 0, 0], end=[0, 1, 0], n=3)
    >>> path.points.round(4), round(path.length, 4)
    (array([[1.    , 0.    , 0.    ],
           [0.7071, 0.7071, 0.    ],
           [0.    , 1.    , 0.    ]]), 1.5708)
    """
    cells = space(adata, basis, manifold)
    t = np.linspace(0.0, 1.0, at_least("n", n, 2))
    if basis_2d is not None:
        if adata is None:
            raise ValueError("`basis_2d` names a picture of cells, but there are none; pass `adata`.")
        picture = plane(adata, basis_2d)
        ends = [picture.find(argument, place)[0] for argument, place in (("start", start), ("end", end))]
        positions = ends[0] + t[:, None] * (ends[1] - ends[0])
        rows = nearest_rows(picture, positions)
        return through_cells(cells, rows, tuple(map(str, adata.obs_names[rows])), positions)
    x, first, first_row = cells.find("start", start)
    y, last, last_row = cells.find("end", end)
    here, there = torch.from_numpy(x), torch.from_numpy(y)
    points = cells.manifold.project(cells.manifold.geodesic(here, there, torch.from_numpy(t))).numpy()
    length = float(cells.manifold.dist(here, there))
    called = (first, *(f"{part:.2f}" for part in t[1:-1]), last)
    rows = np.full(n, -1)
    rows[[0, -1]] = first_row, last_row
    return Path(points, t * length, length, called, cells.manifold, rows if (rows >= 0).any() else None)
