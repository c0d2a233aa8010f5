"""How well the categories of a batch level mix among neighbouring cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import numpy as np
import pandas as pd

from curvi.metrics._inputs import categories, embedding, geometry
from curvi.metrics._neighbors import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from curvi.manifolds import Manifold


@overload
def batch_mixing(
    adata: AnnData,
    use_rep: str,
    batch_key: str,
    label_key: str | None = ...,
    k: int = ...,
    *,
    metric: str = ...,
    manifold: Manifold | None = ...,
) -> float: ...
@overload
def batch_mixing(
    adata: AnnData,
    use_rep: str,
    batch_key: Sequence[str],
    label_key: str | None = ...,
    k: int = ...,
    *,
    metric: str = ...,
    manifold: Manifold | None = ...,
) -> pd.Series: ...
def batch_mixing(
    adata: AnnData,
    use_rep: str,
    batch_key: str | Sequence[str],
    label_key: str | None = None,
    k: int = 30,
    *,
    metric: str = "geodesic",
    manifold: Manifold | None = None,
) -> float | pd.Series:
    r"""Neighbours of another category, relative to what chance would give: 0 for separate batches, 1 for mixed ones.

    .. math::
        \min\Big(1, \frac{\sum_i o_i}{\sum_i e_i}\Big), \qquad e_i = \frac{n - n_{b(i)}}{n - 1},

    where :math:`o_i` is the share of cell i's k nearest neighbours that belong to another category than its own,
    and :math:`e_i` the expected share if categories were dealt out to the cells at random, :math:`n_b` cells to
    category b. The ratio is one minus Newman's assortativity coefficient of the categories in the neighbour graph,
    with the exact expectation under permutation. It is therefore 1 on average for well-mixed cells whatever the sizes
    and the number of the categories and whatever k, and it is below 1 as soon as the composition differs between
    regions.

    With ``label_key`` neighbours and composition are those among the cells of the same label, and the sums run over all
    labels; a difference in the labels' frequencies between batches then costs nothing, nor does a label that only one
    category has.

    Parameters
    ----------
    adata
        Cells with an embedding.
    use_rep
        Key of ``adata.obsm``, points `(n_obs, ambient_dim)`.
    batch_key
        Column of ``adata.obs`` with the categories, or a list of such columns, the levels.
    label_key
        Column of ``adata.obs`` with labels within which the batches should mix; ``None`` for all cells together.
    k
        Number of neighbours, at least 1. Within a label, at most a quarter of its other cells are looked at, so that
        the neighbourhood remains a part of it.
    metric
        ``"geodesic"``, or ``"euclidean"``: straight lines through the ambient space.
    manifold
        On which the points lie; ``None`` for the one recorded with the embedding (straight lines if there is none).

    Returns
    -------
    A number from 0 to 1; for a list of levels, a series of them, named by level.

    Raises
    ------
    ValueError
        If a key is unknown, cells lack a category or a label, a level has fewer than two categories, or none within any
        label, the points do not lie on the manifold, or ``k`` is not below the number of cells.

    References
    ----------
    Newman, Mixing patterns in networks, Physical Review E 67:026126, 2003.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=300, n_vars=20)
    >>> curvi.metrics.batch_mixing(adata, "latent", ["patient", "location"]).round(1).to_dict()
    {'patient': 1.0, 'location': 1.0}
    """
    points = embedding(adata, use_rep)
    space = geometry(adata, use_rep, points, manifold, metric)
    levels = [batch_key] if isinstance(batch_key, str) else list(batch_key)
    if not levels:
        raise ValueError("`batch_key` is an empty list; expected the name of a column of `adata.obs`, or several.")
    codes = np.stack([categories(adata, "batch_key", level).codes for level in levels], axis=1).astype(np.int64)
    if not 1 <= k < len(points):
        raise ValueError(f"`k` is {k}; it must lie between 1 and {len(points) - 1} with {len(points)} cells.")

    observed, expected = np.zeros(len(levels)), np.zeros(len(levels))
    for cells, n_neighbors in _groups(adata, label_key, k):
        neighbor = nearest(space, points[cells], points[cells], n_neighbors + 1, own_first=True).neighbor
        own = codes[cells]
        observed += (own[neighbor[:, 1:]] != own[:, None]).sum(axis=(0, 1)) / n_neighbors
        expected += [_expected_others(level) for level in own.T]
    for level, total in zip(levels, expected, strict=True):
        if total == 0:
            raise ValueError(f"no label of `adata.obs[{label_key!r}]` has cells of two categories of {level!r}.")
    scores = np.minimum(1, observed / expected)
    return float(scores[0]) if isinstance(batch_key, str) else pd.Series(scores, index=levels, name="batch_mixing")


def _groups(adata: AnnData, label_key: str | None, k: int) -> list[tuple[np.ndarray, int]]:
    """Numbers of the cells that are compared with one another, and how many neighbours each of them gets."""
    if label_key is None:
        return [(np.arange(adata.n_obs), k)]
    labels = categories(adata, "label_key", label_key)
    groups = [np.flatnonzero(labels.codes == code) for code in range(len(labels.categories))]
    return [(cells, min(k, max(1, (len(cells) - 1) // 4))) for cells in groups if len(cells) > 1]


def _expected_others(codes: np.ndarray) -> float:
    """Sum over cells `(n,)` of the share of the other cells that belong to another category."""
    size = np.bincount(codes)
    return float((size * (len(codes) - size)).sum() / (len(codes) - 1))
