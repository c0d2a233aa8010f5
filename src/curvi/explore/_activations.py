"""The table of the latent coordinates of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import torch

from curvi.explore._space import space
from curvi.manifolds._frame import names, seen_from

if TYPE_CHECKING:
    from anndata import AnnData

    from curvi.explore._space import Place
    from curvi.manifolds import Manifold


@torch.no_grad()
def activations(
    adata: AnnData,
    basis: str = "X_curvi",
    *,
    base: Place | None = None,
    key_added: str | None = None,
    manifold: Manifold | None = None,
) -> pd.DataFrame:
    """The latent coordinates of each cell, a column for each dimension of the manifold.

    In flat space these are the numbers of the points, less those of ``base``. On a curved one they are tangent
    coordinates: the distance from the base in the direction of the geodesic that leads to the cell, so that the length
    of a row is the geodesic distance. ``.describe()`` of the table has the mean, deviation and quartiles of each.

    Parameters
    ----------
    adata
        Cells with an embedding.
    basis
        Key of ``adata.obsm``, points `(n_obs, ambient_dim)`.
    base
        Where the coordinates are 0: a cell by its number or name, (column, category) for the mean of a category, or a
        point; the origin of the manifold by default.
    key_added
        Key of ``adata.obsm`` under which the coordinates `(n_obs, dim)` are written too, as an array; None for none.
    manifold
        Where the points lie; by default what the model recorded.

    Returns
    -------
    A table with a row a cell and the columns ``z0``, ``z1``, ...

    Raises
    ------
    ValueError
        If there is no such key, no manifold is recorded, or the points do not lie on it.

    Examples
    --------
    >>> import curvi
    >>> globe = curvi.manifolds.Sphere(2)
    >>> adata = curvi.datasets.synthetic(n_obs=50, n_vars=5)
    >>> curvi.explore.activations(adata, "latent", manifold=globe).shape
    (50, 2)
    """
    cells = space(adata, basis, manifold)
    at, _, _ = cells.find("base", base)
    coordinates = seen_from(cells.manifold, torch.from_numpy(at), torch.from_numpy(cells.points)).numpy()
    if key_added is not None:
        adata.obsm[key_added] = coordinates
    return pd.DataFrame(coordinates, index=adata.obs_names, columns=names(cells.manifold))
