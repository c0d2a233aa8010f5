"""The centre of each group of cells, and how far its cells lie from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from curvi.explore._space import column_of, space
from curvi.manifolds._frame import names, seen_from

if TYPE_CHECKING:
    from anndata import AnnData

    from curvi.manifolds import Manifold


@dataclass(frozen=True)
class Prototypes:
    """The Frechet means of groups.

    Attributes
    ----------
    groups
        What the groups are called.
    points
        Their means on the manifold, `(n_groups, ambient_dim)`.
    n
        How many cells each has, `(n_groups,)`.
    spread
        The mean squared geodesic distance of its cells from its mean, `(n_groups,)`; the mean has the least.
    manifold
        Where the points lie.
    """

    groups: tuple[str, ...]
    points: np.ndarray
    n: np.ndarray
    spread: np.ndarray
    manifold: Manifold

    @torch.no_grad()
    def to_frame(self) -> pd.DataFrame:
        """A row a group: tangent coordinates at the origin, ``z0``, ``z1``, ..., then ``n`` and ``spread``."""
        at = self.manifold.origin.to(torch.float64)
        coordinates = seen_from(self.manifold, at, torch.from_numpy(self.points)).numpy()
        table = pd.DataFrame(coordinates, index=list(self.groups), columns=names(self.manifold))
        return table.assign(n=self.n, spread=self.spread)


@torch.no_grad()
def prototypes(adata: AnnData, groupby: str, basis: str = "X_curvi", *, manifold: Manifold | None = None) -> Prototypes:
    r"""The Frechet mean of each group, :math:`\arg\min_m \sum_i d(m, z_i)^2`, and what is left of that sum.

    In flat space this is the mean of the coordinates; on a sphere a direction, in hyperbolic space a point.

    Parameters
    ----------
    adata
        Cells with an embedding.
    groupby
        Column of ``adata.obs``; cells without a value belong to no group.
    basis
        Key of ``adata.obsm``, points `(n_obs, ambient_dim)`.
    manifold
        Where the points lie; by default what the model recorded.

    Raises
    ------
    ValueError
        If there is no such key or column, no cell has a group, or a group has no mean, as two antipodal points.

    Examples
    --------
    >>> import curvi
    >>> globe = curvi.manifolds.Sphere(2)
    >>> adata = curvi.datasets.synthetic(n_obs=60, n_vars=5)
    >>> curvi.explore.prototypes(adata, "cell_type", "latent", manifold=globe).to_frame().columns.tolist()
    ['z0', 'z1', 'n', 'spread']
    """
    cells = space(adata, basis, manifold)
    codes = pd.Categorical(column_of(adata, "groupby", groupby)).remove_unused_categories()
    if len(codes.categories) == 0:
        raise ValueError(f"`adata.obs[{groupby!r}]` (`groupby`) has no value in any cell.")
    centres, sizes, spreads = [], [], []
    for code, group in enumerate(codes.categories):
        rows = torch.from_numpy(cells.points[codes.codes == code])
        try:
            centre = cells.manifold.mean(rows)
        except ValueError as error:
            raise ValueError(f"group {group!r} of {groupby!r} has no prototype: {error}") from None
        centres.append(centre.numpy())
        sizes.append(len(rows))
        spreads.append(float(cells.manifold.dist(centre.expand_as(rows), rows).square().mean()))
    groups = tuple(map(str, codes.categories))
    return Prototypes(groups, np.stack(centres), np.array(sizes), np.array(spreads), cells.manifold)
