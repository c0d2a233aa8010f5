"""What each of several levels explains of the variance of numbers, and what it alone explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from collections.abc import Sequence


class LevelShares:
    r"""Shares of the variance of features that lie between the categories of levels, from sums over cells.

    The least-squares fit of all features on the categories of some levels has a rank r and leaves the squares R. With
    :math:`R_0` and :math:`r_0` of the fit without a level, and T the squares about the mean, the share of the level is

    .. math:: \Big(R_0 \frac{n - r}{n - r_0} - R\Big) \Big/ \Big(T \frac{n - r}{n - r_0}\Big),

    where the fraction is what random categories would leave of :math:`R_0`, so that these have a share of about 0. The
    plain share is that of the level alone (:math:`R_0 = T`, :math:`r_0 = 1`), which is the adjusted :math:`R^2`. The
    *unique* share compares the fit of all levels with that of all others: what the level explains and the others do
    not. Of a level that contains another it is 0. What two levels explain in common is in neither unique share.

    With groups of cells, such as cell types, each has fits of its own. Both sides of the fraction are summed over the
    groups that have at least two categories of the level.

    Parameters
    ----------
    n_per_level
        The number of categories of each level.
    n_groups
        The number of groups.

    Examples
    --------
    >>> import numpy as np
    >>> shares = LevelShares([2, 2])
    >>> codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 5)
    >>> shares.add(codes[:, :1] + 0.0, codes)
    >>> round(shares.share(0), 6), round(shares.unique(0), 6), shares.unique(1) < 0.01
    (1.0, 1.0, True)
    """

    def __init__(self, n_per_level: Sequence[int], n_groups: int = 1) -> None:
        # The first column is the constant.
        self._starts = np.concatenate([[1], 1 + np.cumsum(n_per_level)]).astype(np.int64)
        size = int(self._starts[-1])
        self._gram = np.zeros((n_groups, size, size))
        self._moments: np.ndarray | None = None
        self._squares = np.zeros(n_groups)

    def add(self, values: np.ndarray, codes: np.ndarray, groups: np.ndarray | None = None) -> None:
        """Add cells: ``values (n, n_features)``, the code of each level ``(n, n_levels)``, the group ``(n,)``."""
        values = np.asarray(values, dtype=np.float64)
        groups = np.zeros(len(values), dtype=np.int64) if groups is None else groups
        n_groups, size, _ = self._gram.shape
        if self._moments is None:
            self._moments = np.zeros((n_groups, size, values.shape[1]))
        columns = np.concatenate([np.zeros((len(codes), 1), dtype=np.int64), codes + self._starts[:-1]], axis=1)
        starts = np.arange(0, columns.size + 1, columns.shape[1])
        design = csr_array((np.ones(columns.size), columns.ravel(), starts), shape=(len(codes), size))
        for group in np.unique(groups):
            rows = np.flatnonzero(groups == group)
            part = design[rows]
            self._gram[group] += (part.T @ part).toarray()
            self._moments[group] += part.T @ values[rows]
            self._squares[group] += np.square(values[rows]).sum()

    def share(self, level: int) -> float:
        """The share of the variance between the categories of a level; nan where there is none to compare."""
        return self._gained([], level)

    def unique(self, level: int) -> float:
        """What only this level explains: the fit of all levels against that of all others; nan as above."""
        return self._gained([other for other in range(len(self._starts) - 1) if other != level], level)

    def _gained(self, others: list[int], level: int) -> float:
        """What a level adds to the fit of others."""
        gained = total = 0.0
        for group in self._with_several(level):
            n, squares = self._gram[group, 0, 0], self._squares[group]
            mean, _ = self._explained(group, [])
            before, rank_before = self._explained(group, others)
            after, rank = self._explained(group, [*others, level])
            # Fits on as many categories as there are cells leave nothing, and say nothing.
            chance = (n - rank) / (n - rank_before) if n > rank_before else 0.0
            gained += (squares - before) * chance - (squares - after) * (chance > 0)
            total += (squares - mean) * chance
        return float(gained / total) if total > 0 else float("nan")

    def _with_several(self, level: int) -> list[int]:
        """The groups that have cells of at least two categories of a level."""
        own = slice(self._starts[level], self._starts[level + 1])
        present = np.diagonal(self._gram, axis1=1, axis2=2)[:, own] > 0
        return np.flatnonzero(present.sum(axis=1) > 1).tolist()

    def _explained(self, group: int, levels: list[int]) -> tuple[float, int]:
        """The squares that the fit of a group on some levels explains, and its rank."""
        if self._moments is None:
            return 0.0, 0
        columns = np.concatenate([[0], *(np.arange(self._starts[i], self._starts[i + 1]) for i in levels)])
        columns = columns.astype(np.int64)
        values, vectors = np.linalg.eigh(self._gram[group][np.ix_(columns, columns)])
        kept = values > 1e-10 * values[-1]
        along = vectors[:, kept].T @ self._moments[group][columns]
        return float((np.square(along).sum(axis=1) / values[kept]).sum()), int(kept.sum())
