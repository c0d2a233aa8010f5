"""Latent points that were chosen by name, by number, or in a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial import cKDTree

from curvi.explore._path import Path, steps_between, through_cells
from curvi.explore._space import plane, space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from curvi.explore._space import Place, Space
    from curvi.manifolds import Manifold


@torch.no_grad()
def points(
    adata: AnnData,
    places: Sequence[Place | None],
    basis: str = "X_curvi",
    *,
    basis_2d: str | None = None,
    manifold: Manifold | None = None,
) -> Path:
    """The latent points that places name.

    A picture such as UMAP, t-SNE or a plane of principal components has no way back to the latent space. With
    ``basis_2d`` the places are places of that picture, and each is taken through the nearest cell in it.

    Parameters
    ----------
    adata
        Cells with an embedding.
    places
        Each a cell by its number or name, (column, category) for the mean of a category, a point `(ambient_dim,)`, or
        with ``basis_2d`` a position `(2,)` in the picture.
    basis
        Key of ``adata.obsm``, points `(n_obs, ambient_dim)`.
    basis_2d
        Key of ``adata.obsm`` whose first two columns are the picture, such as ``"X_umap"``; None for none.
    manifold
        Where the points lie; by default what the model recorded.

    Returns
    -------
    The points in the order asked for; ``rows`` are the cells, and ``positions`` what was asked for in the picture.

    Raises
    ------
    ValueError
        If there is no place, or one of them does not exist.

    Examples
    --------
    >>> import curvi
    >>> globe = curvi.manifolds.Sphere(2)
    >>> adata = curvi.datasets.synthetic(n_obs=60, n_vars=5)
    >>> curvi.explore.points(adata, [0, 3], "latent", manifold=globe).rows.tolist()
    [0, 3]
    """
    cells = space(adata, basis, manifold)
    if len(places) == 0:
        raise ValueError("`places` is empty; name at least one cell, category or point.")
    if basis_2d is not None:
        picture = plane(adata, basis_2d)
        positions = np.stack([picture.find("places", place)[0] for place in places])
        rows = nearest_rows(picture, positions)
        return through_cells(cells, rows, tuple(map(str, adata.obs_names[rows])), positions)
    found = [cells.find("places", place) for place in places]
    chosen = np.stack([point for point, _, _ in found])
    travelled = np.concatenate([[0.0], np.cumsum(steps_between(cells.manifold, chosen))])
    rows = np.array([row for _, _, row in found])
    called = tuple(name for _, name, _ in found)
    return Path(chosen, travelled, float(travelled[-1]), called, cells.manifold, rows if (rows >= 0).any() else None)


def nearest_rows(picture: Space, positions: np.ndarray) -> np.ndarray:
    """The rows of the cells nearest to ``positions (n, 2)`` in a picture, `(n,)`."""
    return cKDTree(picture.points).query(positions)[1].astype(np.int64)
