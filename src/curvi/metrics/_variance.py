"""How much of the spread of points on a manifold lies between categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from curvi.manifolds import Euclidean, Manifold
from curvi.manifolds._centres import centres
from curvi.metrics._inputs import on_a_hyperboloid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@torch.no_grad()
def variance_explained(
    X: np.ndarray,
    labels: Sequence[Any] | np.ndarray | pd.Series,
    manifold: Manifold | None = None,
    within: Sequence[Any] | np.ndarray | pd.Series | None = None,
    *,
    n_shuffles: int = 10,
    seed: int = 0,
) -> float:
    r"""The share of the Frechet variance of points that lies between categories: 0 for chance, 1 for all of it.

    With the squared distances to a Frechet mean summed over the points of each category c,

    .. math:: W = \sum_c \sum_{i \in c} d(x_i, m_c)^2, \qquad 1 - \frac{W}{\bar W},

    where :math:`\bar W` is the mean of W over random shuffles of the categories. Many small categories make W small by
    chance alone, and :math:`\bar W` as well, so that random categories have about 0 (a little below or above) however
    many they are and whatever the manifold. In flat space this is the adjusted :math:`R^2`, but for the noise of the
    shuffles. Without shuffles it is the plain share :math:`1 - W / T`, with T the sum about the mean of all points.

    Parameters
    ----------
    X
        Points, `(n, ambient_dim)`.
    labels
        The category of each point, `(n,)`.
    manifold
        On which the points lie; None for flat space.
    within
        Labels `(n,)` such as cell types: all sums then run about the means of a category within a label, over all
        labels of which there are at least two categories, and the shuffles keep the labels. What differs between labels
        in composition only then counts for nothing.
    n_shuffles
        How many shuffles; 0 for the plain share.
    seed
        Of the shuffles.

    Returns
    -------
    A number of at most 1.

    Raises
    ------
    ValueError
        If shapes do not match, values are missing, the points do not lie on the manifold, there are
        fewer than two categories, or nothing to be explained: all points are the same, or each a category.

    References
    ----------
    Frechet, Les elements aleatoires de nature quelconque dans un espace distancie, Annales de l'Institut Henri Poincare
    10:215, 1948. Dubey & Muller, Frechet analysis of variance for random objects, Biometrika 106:803, 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import curvi
    >>> angle = np.array([0.0, 0.2, 3.0, 3.2])
    >>> points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    >>> share = variance_explained(points, ["a", "a", "b", "b"], curvi.manifolds.Sphere(1), n_shuffles=0)
    >>> round(share, 3)
    0.996
    """
    points, space = _points(X, manifold)
    codes = _codes("labels", labels, len(points))
    strata = np.zeros(len(points), dtype=np.int64) if within is None else _codes("within", within, len(points))
    if codes.max() == 0:
        raise ValueError("`labels` has one category; at least two are needed.")
    if n_shuffles < 0:
        raise ValueError(f"`n_shuffles` is {n_shuffles}; it must be 0 or more.")
    groups = [np.flatnonzero(strata == code) for code in range(strata.max() + 1)]
    groups = [rows for rows in groups if len(np.unique(codes[rows])) > 1]
    if not groups:
        raise ValueError("no label of `within` has points of two categories.")
    rng = np.random.default_rng(seed)
    inside = sum(_within(space, points[rows], codes[rows]) for rows in groups)
    if n_shuffles:
        shuffled = [
            _within(space, points[rows], rng.permutation(codes[rows])) for _ in range(n_shuffles) for rows in groups
        ]
        expected = sum(shuffled) / n_shuffles
    else:
        expected = sum(_within(space, points[rows], np.zeros_like(rows)) for rows in groups)
    if not expected > 0:
        raise ValueError("there is no variance to explain: all points are the same, or each is a category of its own.")
    return 1 - inside / expected


def _within(space: Manifold, points: Tensor, codes: np.ndarray) -> float:
    """The sum of squared distances of points `(n, ambient_dim)` to the means of their categories `(n,)`."""
    dense = np.unique(codes, return_inverse=True)[1]
    return float(centres(space, points, torch.from_numpy(dense))[1].sum())


def _points(X: np.ndarray, manifold: Manifold | None) -> tuple[Tensor, Manifold]:
    """Checked points, float64, and where they lie."""
    points = np.asarray(X, dtype=np.float64)
    if points.ndim != 2 or points.shape[0] < 2 or points.shape[1] == 0:
        raise ValueError(f"`X` has shape {points.shape}; expected (n, ambient_dim) with n at least 2.")
    if not np.isfinite(points).all():
        raise ValueError("`X` has values that are NaN or infinite.")
    if manifold is None:
        if on_a_hyperboloid(points):
            raise ValueError(
                "the points of `X` satisfy the equation of a hyperboloid; pass `manifold=`, which is "
                "`curvi.manifolds.Euclidean(...)` if straight lines are meant."
            )
        manifold = Euclidean(points.shape[1])
    rows = torch.from_numpy(points)
    inside, reason = manifold.contains(rows)
    if not inside:
        raise ValueError(f"`X` does not lie on {manifold}: {reason} Pass the right `manifold=`.")
    return rows, manifold


def _codes(argument: str, labels: Any, n: int) -> np.ndarray:
    """Labels `(n,)` as codes without gaps."""
    given = pd.Series(np.asarray(labels))
    if len(given) != n:
        raise ValueError(f"`{argument}` has {len(given)} values; expected one a point, {n}.")
    if given.isna().any():
        raise ValueError(f"`{argument}` has {int(given.isna().sum())} missing values; drop those points.")
    return np.asarray(pd.factorize(given)[0])
