"""The directions in which an embedding varies most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from curvi.explore._space import at_least, space
from curvi.manifolds._frame import names, seen_from

if TYPE_CHECKING:
    from anndata import AnnData

    from curvi.explore._space import Place
    from curvi.manifolds import Manifold


@dataclass(frozen=True)
class Components:
    """Principal components of tangent coordinates.

    Attributes
    ----------
    names
        What the coordinates are called, `dim` names.
    loadings
        The unit direction of each component, a column each, `(dim, n_comps)`; its largest number is positive.
    variance
        The variance of the cells along each, from the largest, `(n_comps,)`.
    variance_ratio
        Its share of the variance in all directions, `(n_comps,)`.
    coordinates
        The cells along the components, `(n_obs, n_comps)`.
    base
        The point that the tangent coordinates are around, `(ambient_dim,)`.
    base_name
        What it is called.
    manifold
        Where the cells lie.
    """

    names: tuple[str, ...]
    loadings: np.ndarray
    variance: np.ndarray
    variance_ratio: np.ndarray
    coordinates: np.ndarray
    base: np.ndarray
    base_name: str
    manifold: Manifold

    def to_frame(self) -> pd.DataFrame:
        """A row a component: the loadings of ``z0``, ``z1``, ..., then ``variance`` and ``variance_ratio``."""
        index = [f"PC{i + 1}" for i in range(len(self.variance))]
        table = pd.DataFrame(self.loadings.T, index=index, columns=list(self.names))
        return table.assign(variance=self.variance, variance_ratio=self.variance_ratio)


@torch.no_grad()
def pca(
    adata: AnnData,
    basis: str = "X_curvi",
    *,
    n_comps: int | None = None,
    base: Place | None = None,
    key_added: str | None = None,
    manifold: Manifold | None = None,
) -> Components:
    """Principal component analysis of an embedding, in flat space or of the tangent coordinates on a curved one.

    In flat space these are the usual components. On a curved manifold they are those of the tangent coordinates around
    the Frechet mean, less their own mean: to first order the geodesics through it along which the cells spread most.

    Parameters
    ----------
    adata
        Cells with an embedding, at least two.
    basis
        Key of ``adata.obsm``, points `(n_obs, ambient_dim)`.
    n_comps
        How many components, at most as many as dimensions and cells less one; by default all of them.
    base
        Where the tangent coordinates are 0: a cell by its number or name, (column, category) for the mean of a
        category, or a point; by default the Frechet mean of all cells.
    key_added
        Key of ``adata.obsm`` under which the cells along the components `(n_obs, n_comps)` are written, so that the
        first two are a picture for :func:`curvi.explore.line` and :func:`curvi.explore.points`; None for none.
    manifold
        Where the points lie; by default what the model recorded.

    Raises
    ------
    ValueError
        If there is no such key, no manifold is recorded, the points do not lie on it or have no mean, all cells lie at
        one point, or ``n_comps`` is out of its range.

    Examples
    --------
    >>> import curvi
    >>> globe = curvi.manifolds.Sphere(2)
    >>> adata = curvi.datasets.synthetic(n_obs=60, n_vars=5)
    >>> found = curvi.explore.pca(adata, "latent", base=0, manifold=globe)
    >>> found.loadings.shape, found.to_frame().index.tolist()
    ((2, 2), ['PC1', 'PC2'])
    """
    cells = space(adata, basis, manifold)
    points = torch.from_numpy(cells.points)
    at, called = _centre(cells.manifold, points) if base is None else cells.find("base", base)[:2]
    coordinates = seen_from(cells.manifold, torch.from_numpy(at), points).numpy()
    most = min(coordinates.shape[1], len(coordinates) - 1)
    count = most if n_comps is None else at_least("n_comps", n_comps, 1)
    if count > most or most < 1:
        raise ValueError(
            f"`n_comps` is {n_comps}; {len(coordinates)} cells on {cells.manifold} have at most {most} components."
        )
    centred = coordinates - coordinates.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    variance = singular**2 / (len(centred) - 1)
    if not variance[0] > 0:
        raise ValueError(f"all cells of `adata.obsm[{basis!r}]` lie at one point, which has no components.")
    largest = directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)]
    loadings = (directions * np.sign(largest)[:, None]).T[:, :count]
    along = centred @ loadings
    if key_added is not None:
        adata.obsm[key_added] = along
    share = variance / variance.sum()
    return Components(
        tuple(names(cells.manifold)), loadings, variance[:count], share[:count], along, at, called, cells.manifold
    )


def _centre(manifold: Manifold, points: torch.Tensor) -> tuple[np.ndarray, str]:
    """The Frechet mean of points `(n, ambient_dim)`, and what to call it."""
    try:
        return manifold.mean(points).numpy(), "the mean"
    except ValueError as error:
        raise ValueError(f"the cells have no Frechet mean to look from; pass `base=`: {error}") from None
