"""Approximate nearest neighbours: points are sorted into cells, and each query looks into those that are near it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from curvi.metrics._exact import exact, n_candidates, ranked

if TYPE_CHECKING:
    from torch import Tensor

    from curvi.manifolds import Manifold
    from curvi.metrics._comparison import Comparison

# Queries that are searched for together, at most, and numbers in a table of their distances to cells or of candidates.
_ROWS, _TABLE = 16384, 2**24
# Queries from whose exact neighbours is learned how many cells are enough.
_SAMPLE = 512
# Cells that a query looks into at least: in few dimensions that is cheap, and finds nearly all.
_FEWEST = 8
# What the distance from its pivot to a cell's points adds to the distance of the cell. In a tree, or far out in
# hyperbolic space, the way to a point leads through the pivot; in flat space of many dimensions it adds little.
_WEIGHTS = (1e-6, 0.5)
# What a query costs beside the pairs that it is compared with, and a pair in a cell, in pairs of the exact search.
OVERHEAD, _DEARER = 60_000, 4


@dataclass(frozen=True)
class Plan:
    """How a search goes.

    Attributes
    ----------
    weight
        Of a cell's extent, in the order of the cells.
    n_probes
        Number of cells that each query looks into.
    share
        Of all points that these cells hold.
    sample
        Numbers of the queries from which this was learned.
    neighbor
        Their exact neighbours, `(n_sample, k)`.
    distance
        And the distances.
    """

    weight: float
    n_probes: int
    share: float
    sample: Tensor
    neighbor: Tensor
    distance: Tensor

    def is_faster(self, n_points: int, cost: int) -> bool:
        """Whether it is faster than comparing all pairs, of which each costs as :attr:`Comparison.cost` says."""
        return OVERHEAD + _DEARER * self.share * n_points * cost < n_points * cost

    def recall(self, distance: Tensor) -> float:
        """The share of the exact neighbours in the sample that a search with these distances `(n, k)` has found."""
        farthest = self.distance[:, -1:]
        return float((distance[self.sample] <= farthest * (1 + 1e-9)).double().mean())


class Cells:
    """Points by the nearest of some of them, their pivot, and by the distance to it: each cell is a shell of those.

    Parameters
    ----------
    manifold, comparison, points
        As for :func:`~curvi.metrics._exact.exact`.
    seed
        Of the pivots and of the sample.
    """

    def __init__(self, manifold: Manifold, comparison: Comparison, points: Tensor, seed: int) -> None:
        self._manifold, self._comparison, self._points = manifold, comparison, points
        self._random = torch.Generator().manual_seed(seed)
        m = len(points)
        n_pivots = min(m, int(4 * m**0.5))
        pivots = torch.randperm(m, generator=self._random)[:n_pivots]
        self._pivots = [right[pivots] for right in comparison.rights]
        nearest = [self._scores(points[rows]).min(1) for rows in _blocks(m, _TABLE // n_pivots)]
        pivot = torch.cat([part.indices for part in nearest])
        distance = comparison.distances(torch.cat([part.values for part in nearest]))
        order = distance.argsort()
        order = order[pivot[order].argsort(stable=True)]
        pivot, distance = pivot[order], distance[order]
        # Pivots in the midst of everything have more points than others, of which a query needs the inner ones.
        within = torch.arange(m) - torch.searchsorted(pivot, torch.arange(n_pivots))[pivot]
        first = within % (2 * -(-m // n_pivots)) == 0
        self._starts = torch.cat([torch.nonzero(first)[:, 0], torch.tensor([m])])
        self._sizes = self._starts.diff()
        cell = first.cumsum(0) - 1
        self._extent = torch.zeros(len(self._sizes), dtype=torch.float64).index_add_(0, cell, distance) / self._sizes
        self._pivot = pivot[first]
        self._order = order
        self._cell = torch.empty(m, dtype=torch.int64)
        self._cell[order] = cell
        self._rights = [right[order] for right in comparison.rights]

    def plan(self, queries: Tensor, k: int, own: Tensor | None, recall: float) -> Plan:
        """How many cells must be looked into to find a share ``recall`` of the neighbours."""
        sample = torch.randperm(len(queries), generator=self._random)[:_SAMPLE]
        left_out = None if own is None else own[sample]
        some = queries[sample]
        neighbor, distance = exact(self._manifold, self._comparison, some, self._points, k, left_out)
        plans = []
        for weight in _WEIGHTS:
            order = self._far(some, weight).argsort(1)
            needed = order.argsort(1).gather(1, self._cell[neighbor]).flatten().sort().values
            n_probes = int(needed[min(len(needed) - 1, int(recall * len(needed)))]) + 1
            n_probes = min(max(n_probes, _FEWEST), len(self._sizes))
            held = self._sizes[order[:, :n_probes]].sum(1).double().mean()
            plans.append(Plan(weight, n_probes, float(held) / len(self._points), sample, neighbor, distance))
        return min(plans, key=lambda plan: plan.share)

    def search(self, queries: Tensor, k: int, own: Tensor | None, plan: Plan) -> tuple[Tensor, Tensor]:
        """The ``k`` nearest points of each query in the cells that it looks into, as :func:`exact`."""
        neighbor = torch.empty(len(queries), k, dtype=torch.int64)
        distance = torch.empty(len(queries), k, dtype=torch.float64)
        n_numbers = max(len(self._sizes), n_candidates(k) * queries.shape[1])
        for rows in _blocks(len(queries), min(_ROWS, _TABLE // n_numbers)):
            left_out = None if own is None else own[rows]
            candidates = self._candidates(queries[rows], n_candidates(k) + 1, plan)
            found = ranked(self._manifold, queries[rows], self._points, candidates, k, left_out)
            neighbor[rows], distance[rows] = found
        # Cells can be too small to hold as many points.
        short = torch.nonzero(distance[:, -1].isinf())[:, 0]
        if len(short):
            left_out = None if own is None else own[short]
            found = exact(self._manifold, self._comparison, queries[short], self._points, k, left_out)
            neighbor[short], distance[short] = found
        return neighbor, distance

    def _scores(self, queries: Tensor) -> Tensor:
        """The scores of queries with all pivots, `(n, n_pivots)`."""
        return self._comparison.scores(self._comparison.lefts(queries), self._pivots)

    def _far(self, queries: Tensor, weight: float) -> Tensor:
        """How far each cell seems to be, `(n, n_cells)`."""
        distance = self._comparison.distances(self._scores(queries))
        return distance[:, self._pivot].add_(self._extent, alpha=weight)

    def _candidates(self, queries: Tensor, n_take: int, plan: Plan) -> Tensor:
        """Numbers of the points with the best scores, `(n, n_take)`; -1 where there are not so many."""
        lefts = self._comparison.lefts(queries)
        probes = torch.topk(self._far(queries, plan.weight), plan.n_probes, largest=False).indices
        best = _Best(len(queries), n_take)
        # The first cells give a bound, below which few points of the others remain.
        done = 0
        for until in (1, 4, 16, plan.n_probes):
            until = min(until, plan.n_probes)
            for query, points in self._visits(probes[:, done:until]):
                rights = [right[points] for right in self._rights]
                best.offer(query, points.start, self._comparison.scores([left[query] for left in lefts], rights))
            best.settle()
            done = until
        return torch.where(best.place >= 0, self._order[best.place.clamp_min(0)], -1)

    def _visits(self, probes: Tensor) -> list[tuple[Tensor, slice]]:
        """For each cell in ``probes`` `(n, p)`, the queries that look into it and where its points are."""
        cell, order = probes.flatten().sort(stable=True)
        query = order // max(1, probes.shape[1])
        cells, counts = torch.unique_consecutive(cell, return_counts=True)
        bounds = zip(self._starts[cells].tolist(), self._starts[cells + 1].tolist(), strict=True)
        return [
            (rows, slice(start, stop)) for rows, (start, stop) in zip(query.split(counts.tolist()), bounds, strict=True)
        ]


class _Best:
    """The best scores of each query so far, and the places of the points that have them, both `(n, n_take)`."""

    def __init__(self, n: int, n_take: int) -> None:
        self.score = torch.full((n, n_take), torch.inf, dtype=torch.float64)
        self.place = torch.full((n, n_take), -1, dtype=torch.int64)
        self._offers: list[tuple[Tensor, Tensor, Tensor]] = []

    def offer(self, query: Tensor, start: int, score: Tensor) -> None:
        """Scores `(q, c)` of some queries with the points at places from ``start`` on."""
        n_take = self.score.shape[1]
        bound = self.score[query, -1]
        if bool(bound.isinf().any()) and score.shape[1] > n_take:
            score, column = torch.topk(score, n_take, largest=False)
            row = torch.arange(len(score)).repeat_interleave(n_take)
            self._offers.append((query[row], start + column.flatten(), score.flatten()))
            return
        row, column = torch.nonzero(score < bound[:, None], as_tuple=True)
        self._offers.append((query[row], start + column, score[row, column]))

    def settle(self) -> None:
        """Take what was offered."""
        n, n_take = self.score.shape
        if not self._offers:
            return
        held = torch.arange(n).repeat_interleave(n_take)
        query = torch.cat([held, *(offer[0] for offer in self._offers)])
        place = torch.cat([self.place.flatten(), *(offer[1] for offer in self._offers)])
        score = torch.cat([self.score.flatten(), *(offer[2] for offer in self._offers)])
        self._offers = []
        order = score.argsort(stable=True)
        order = order[query[order].argsort(stable=True)]
        query = query[order]
        rank = torch.arange(len(query)) - torch.searchsorted(query, torch.arange(n))[query]
        order = order[rank < n_take]
        self.score, self.place = score[order].view(n, n_take), place[order].view(n, n_take)


def _blocks(n: int, size: int) -> list[slice]:
    return [slice(start, start + max(1, size)) for start in range(0, n, max(1, size))]
