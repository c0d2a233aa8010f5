"""Exact nearest neighbours by geodesic distance."""

from __future__ import annotations

from copy import deepcopy
from operator import index
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from curvi.manifolds import Manifold

# Numbers in one block of pairwise differences: 8 MiB of float64, about what stays in the cache.
_BLOCK = 2**20


class GeodesicNeighbors(TransformerMixin, BaseEstimator):
    """Graph of the exact nearest neighbours on a manifold, as a scikit-learn transformer.

    Its output has the layout of :class:`sklearn.neighbors.KNeighborsTransformer`, so that
    :func:`scanpy.pp.neighbors` takes it as ``transformer``. Every pair of points is measured, in float64: time grows
    with the square of the number of cells, memory does not.

    Parameters
    ----------
    manifold
        The manifold that the points lie on; its ``dist`` is the distance.
    n_neighbors
        Number of neighbours of each point, at least 1, not counting the point itself. :func:`scanpy.pp.neighbors`
        counts the cell itself among its neighbours and drops the last one, here as with scikit-learn's transformer.

    Attributes
    ----------
    points_
        The fitted points, float64 of shape `(n_fitted, ambient_dim)`.
    n_features_in_
        ``manifold.ambient_dim``.

    Examples
    --------
    >>> import numpy as np
    >>> from curvi.manifolds import Sphere
    >>> from curvi.metrics import GeodesicNeighbors
    >>> angle = np.array([0.0, 0.1, 0.3, 6.2])
    >>> points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    >>> graph = GeodesicNeighbors(Sphere(1), n_neighbors=1).fit_transform(points)
    >>> graph.indices.reshape(4, 2)
    array([[0, 3],
           [1, 0],
           [2, 1],
           [3, 0]], dtype=int32)
    """

    def __init__(self, manifold: Manifold, n_neighbors: int = 15) -> None:
        self.manifold = manifold
        self.n_neighbors = n_neighbors

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Keep the points ``X`` `(n_fitted, ambient_dim)`; ``y`` is ignored.

        Raises
        ------
        ValueError
            If ``X`` has another shape or does not lie on the manifold, or ``n_neighbors`` is below 1 or not below the
            number of points.
        """
        self.points_ = self._checked(X)
        self.n_features_in_ = self.points_.shape[1]
        if not 1 <= index(self.n_neighbors) < len(self.points_):
            raise ValueError(
                f"`n_neighbors` is {self.n_neighbors}; with {len(self.points_)} points it must lie between 1 and "
                f"{len(self.points_) - 1}."
            )
        return self

    def transform(self, X: ArrayLike) -> sparse.csr_matrix:
        """Distances of ``X`` `(n, ambient_dim)` to the ``n_neighbors + 1`` nearest fitted points, `(n, n_fitted)`.

        A fitted point is its own first neighbour, which is why there is one more than ``n_neighbors``. The entries of a
        row are stored in the order of their distance, zeros included.
        """
        check_is_fitted(self)
        return self._graph(*nearest(self.manifold, self._checked(X), self.points_, self.n_neighbors + 1))

    def fit_transform(self, X: ArrayLike, y: None = None) -> sparse.csr_matrix:
        """:meth:`fit`, then :meth:`transform` of the same points, `(n, n)`.

        Each row starts with the explicit zero of the point itself, even where other points coincide with it.
        """
        points = self.fit(X).points_
        return self._graph(*nearest(self.manifold, points, points, self.n_neighbors + 1, own_first=True))

    def _checked(self, X: ArrayLike) -> np.ndarray:
        points = np.asarray(X, dtype=np.float64)
        if points.ndim != 2:
            raise ValueError(f"`X` has shape {points.shape}; expected (n, {self.manifold.ambient_dim}).")
        inside, reason = self.manifold.contains(torch.from_numpy(points))
        if not inside:
            raise ValueError(f"`X` does not lie on {self.manifold}: {reason}")
        return points

    def _graph(self, neighbor: np.ndarray, distance: np.ndarray) -> sparse.csr_matrix:
        n, k = neighbor.shape
        start = np.arange(0, n * k + 1, k)
        return sparse.csr_matrix((distance.ravel(), neighbor.ravel(), start), shape=(n, len(self.points_)))


@torch.no_grad()
def nearest(
    manifold: Manifold, query: np.ndarray, reference: np.ndarray, k: int, *, own_first: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` nearest reference points of each query, nearest first.

    Parameters
    ----------
    manifold
        Whose ``dist`` is the distance.
    query, reference
        Points `(n, ambient_dim)` and `(m, ambient_dim)`, float64.
    k
        Between 1 and m.
    own_first
        Say that ``query`` is ``reference``; every point then comes first among its own neighbours, with distance 0.

    Returns
    -------
    Numbers of the reference points, int64, and geodesic distances, float64, both `(n, k)`.
    """
    # In float64 on the CPU, wherever a model left its manifold.
    manifold = deepcopy(manifold).to("cpu", torch.float64)
    queries, references = torch.from_numpy(query), torch.from_numpy(reference)
    n_rows = max(1, _BLOCK // references.numel())
    neighbor = np.empty((len(query), k), dtype=np.int64)
    distance = np.empty((len(query), k), dtype=np.float64)
    for start in range(0, len(query), n_rows):
        rows = slice(start, start + n_rows)
        block = manifold.dist(queries[rows, None], references)
        if own_first:
            row = torch.arange(len(block))
            block[row, start + row] = -1.0
        values, indices = torch.topk(block, k, largest=False)
        neighbor[rows], distance[rows] = indices.numpy(), values.clamp_min(0).numpy()
    return neighbor, distance
