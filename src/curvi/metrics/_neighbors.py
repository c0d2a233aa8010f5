"""Nearest neighbours by geodesic distance, exact or approximate."""

from __future__ import annotations

import logging
from copy import deepcopy
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from curvi.metrics._cells import OVERHEAD, Cells
from curvi.metrics._comparison import Comparison
from curvi.metrics._exact import exact

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from curvi.manifolds import Manifold

# With fewer points than this on either side, comparing all pairs takes no time to speak of.
_POINTS = 10_000

_log = logging.getLogger(__name__)


class GeodesicNeighbors(TransformerMixin, BaseEstimator):
    """Graph of the nearest neighbours on a manifold, as a scikit-learn transformer.

    Its output has the layout of :class:`sklearn.neighbors.KNeighborsTransformer`, so that
    :func:`scanpy.pp.neighbors` takes it as ``transformer``. Distances are geodesic, in float64.

    The exact search compares all pairs of points; its time grows with the square of the number of cells, its memory
    does not. The approximate search sorts the points into cells, as many as four times the root of their number, by the
    nearest of some points drawn at random, and each query looks into the cells that are near it. How many must be
    looked into it learns from the exact neighbours of 512 queries, so that it finds the asked share of them on every
    manifold. Points of high-dimensional hyperbolic space, most of which are near the few that are close to its origin,
    need so many cells that the exact search can be as fast; ``method="auto"`` then takes that.

    Parameters
    ----------
    manifold
        The manifold that the points lie on; its ``dist`` is the distance.
    n_neighbors
        Number of neighbours of each point, at least 1, not counting the point itself. :func:`scanpy.pp.neighbors`
        counts the cell itself among its neighbours and drops the last one, here as with scikit-learn's transformer.
    method
        ``"exact"``, ``"approximate"``, or ``"auto"``: approximate where that is faster, from about 60 000 points on, or
        10 000 on products of manifolds.
    recall
        The share of the neighbours that the approximate search is to find, between 0 and 1.
    random_state
        Seed of the approximate search; the same seed gives the same graph.

    Attributes
    ----------
    points_
        The fitted points, float64 of shape `(n_fitted, ambient_dim)`.
    recall_
        The share of the exact neighbours that the latest search has found, measured on 512 queries; 1 if it was exact.
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

    def __init__(
        self,
        manifold: Manifold,
        n_neighbors: int = 15,
        *,
        method: str = "auto",
        recall: float = 0.98,
        random_state: int = 0,
    ) -> None:
        self.manifold = manifold
        self.n_neighbors = n_neighbors
        self.method = method
        self.recall = recall
        self.random_state = random_state

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
        return self._graph(self._checked(X), own_first=False)

    def fit_transform(self, X: ArrayLike, y: None = None) -> sparse.csr_matrix:
        """:meth:`fit`, then :meth:`transform` of the same points, `(n, n)`.

        Each row starts with the explicit zero of the point itself, even where other points coincide with it.
        """
        points = self.fit(X).points_
        return self._graph(points, own_first=True)

    def _checked(self, X: ArrayLike) -> np.ndarray:
        points = np.asarray(X, dtype=np.float64)
        if points.ndim != 2:
            raise ValueError(f"`X` has shape {points.shape}; expected (n, {self.manifold.ambient_dim}).")
        inside, reason = self.manifold.contains(torch.from_numpy(points))
        if not inside:
            raise ValueError(f"`X` does not lie on {self.manifold}: {reason}")
        return points

    def _graph(self, queries: np.ndarray, own_first: bool) -> sparse.csr_matrix:
        found = nearest(
            self.manifold,
            queries,
            self.points_,
            self.n_neighbors + 1,
            own_first=own_first,
            method=self.method,
            recall=self.recall,
            seed=self.random_state,
        )
        self.recall_ = found.recall
        n, k = found.neighbor.shape
        start = np.arange(0, n * k + 1, k)
        return sparse.csr_matrix((found.distance.ravel(), found.neighbor.ravel(), start), shape=(n, len(self.points_)))


@dataclass(frozen=True)
class Nearest:
    """The nearest points of queries, nearest first.

    Attributes
    ----------
    neighbor
        Their numbers, int64 of shape `(n, k)`.
    distance
        Geodesic distances, float64 of shape `(n, k)`.
    recall
        The share of the exact neighbours that was found, as measured on some queries; 1 if all pairs were compared.
    """

    neighbor: np.ndarray
    distance: np.ndarray
    recall: float


@torch.no_grad()
def nearest(
    manifold: Manifold,
    query: np.ndarray,
    reference: np.ndarray,
    k: int,
    *,
    own_first: bool = False,
    method: str = "auto",
    recall: float = 0.98,
    seed: int = 0,
) -> Nearest:
    """The ``k`` nearest reference points of each query.

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
    method, recall, seed
        As of :class:`GeodesicNeighbors`.
    """
    if method not in _METHODS:
        raise ValueError(f"unknown `method` {method!r}; the known methods are {', '.join(map(repr, _METHODS))}.")
    if not 0 < recall < 1:
        raise ValueError(f"`recall` is {recall}; it must lie between 0 and 1. For all neighbours, set method='exact'.")
    # In float64 on the CPU, wherever a model left its manifold.
    manifold = deepcopy(manifold).to("cpu", torch.float64)
    queries, points = torch.from_numpy(query), torch.from_numpy(reference)
    own = torch.arange(len(queries)) if own_first else None
    comparison = Comparison(manifold, points)
    if method == "approximate" and not comparison.forms:
        raise ValueError(
            f"`method` is 'approximate', but only the distance itself compares points on {manifold!r}; set "
            "method='exact'."
        )
    neighbor, distance, achieved = None, None, 1.0
    if comparison.forms and _METHODS[method](len(queries), len(points), comparison.cost):
        cells = Cells(manifold, comparison, points, seed)
        plan = cells.plan(queries, k - own_first, own, recall)
        if method == "approximate" or plan.is_faster(len(points), comparison.cost):
            neighbor, distance = cells.search(queries, k - own_first, own, plan)
            achieved = plan.recall(distance)
            share = f"{plan.share:.1%} of all pairs compared"
            _log.info("nearest neighbours of %d points: approximate, %s, recall %.3f", len(queries), share, achieved)
    if neighbor is None or distance is None:
        neighbor, distance = exact(manifold, comparison, queries, points, k - own_first, own)
    if own is not None:
        neighbor = torch.cat([own[:, None], neighbor], 1)
        distance = torch.cat([torch.zeros_like(distance[:, :1]), distance], 1)
    return Nearest(neighbor.numpy(), distance.numpy(), achieved)


# Whether so many queries may be searched for among so many points, at that cost of a pair, approximately.
_METHODS: dict[str, Callable[[int, int, int], bool]] = {
    "auto": lambda n, m, cost: min(n, m) >= _POINTS and m * cost > OVERHEAD,
    "exact": lambda n, m, cost: False,
    "approximate": lambda n, m, cost: True,
}
