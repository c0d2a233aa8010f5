"""Exact nearest neighbours: every pair of points is compared, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from curvi.manifolds import Manifold
    from curvi.metrics._comparison import Comparison

# Numbers in one block of pairwise differences: 8 MiB of float64, about what stays in the cache.
_BLOCK = 2**20
# Queries and points whose scores are one block, at most, and numbers of their candidates that are gathered at a time.
_ROWS, _COLUMNS, _GATHERED = 256, 4096, 2**24
# Points of which only the best score is kept at first.
_GROUP = 32


def n_candidates(k: int) -> int:
    """How many points are compared by their distance where ``k`` are wanted, since scores are rounded."""
    return k + max(8, k // 2)


def exact(
    manifold: Manifold, comparison: Comparison, queries: Tensor, points: Tensor, k: int, own: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The ``k`` nearest points of each query, nearest first, by comparing all pairs.

    Candidates are found by scores; where rounding leaves it open whether they are the nearest, by all distances.

    Parameters
    ----------
    manifold
        Whose ``dist`` is the distance, in float64.
    comparison
        The scores of ``points``.
    queries, points
        Points `(n, ambient_dim)` and `(m, ambient_dim)`, float64.
    k
        From 1 to m, or to m - 1 with ``own``.
    own
        For each query the number of the point that it is, which is left out; None for other queries.

    Returns
    -------
    Numbers of points, int64, and geodesic distances, float64, both `(n, k)`.
    """
    neighbor = torch.empty(len(queries), k, dtype=torch.int64)
    distance = torch.empty(len(queries), k, dtype=torch.float64)
    few = len(points) <= _GROUP * (n_candidates(k) + 1)
    if few or not comparison.forms:
        n_rows = max(1, _BLOCK // points.numel())
        for start in range(0, len(queries), n_rows):
            rows = slice(start, start + n_rows)
            left_out = None if own is None else own[rows]
            neighbor[rows], distance[rows] = _by_distance(manifold, queries[rows], points, k, left_out)
        return neighbor, distance
    rights = [_padded(right) for right in comparison.rights]
    width = sum(right.shape[1] for right in rights)
    n_rows = max(1, min(_ROWS, _GATHERED // (_GROUP * (n_candidates(k) + 1) * width)))
    for start in range(0, len(queries), n_rows):
        rows = slice(start, start + n_rows)
        left_out = None if own is None else own[rows]
        found = _by_score(manifold, comparison, rights, queries[rows], points, k, left_out)
        neighbor[rows], distance[rows], sure = found
        for row in (start + torch.nonzero(~sure)[:, 0]).tolist():
            one = slice(row, row + 1)
            left_out = None if own is None else own[one]
            neighbor[one], distance[one] = _by_distance(manifold, queries[one], points, k, left_out)
    return neighbor, distance


def ranked(
    manifold: Manifold, queries: Tensor, points: Tensor, candidates: Tensor, k: int, own: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The ``k`` nearest of the ``candidates`` `(n, c)` of each query and their distances, `(n, k)`.

    Candidates are numbers of points; those at the same distance come in the order of their numbers, and -1 is none.
    """
    candidates = candidates.sort(dim=1).values
    distance = manifold.dist(queries[:, None], points[candidates.clamp_min(0)])
    if own is not None:
        distance.masked_fill_(candidates == own[:, None], torch.inf)
    distance.masked_fill_(candidates < 0, torch.inf)
    distance, order = distance.sort(dim=1, stable=True)
    return candidates.gather(1, order[:, :k]), distance[:, :k]


def _by_distance(
    manifold: Manifold, queries: Tensor, points: Tensor, k: int, own: Tensor | None
) -> tuple[Tensor, Tensor]:
    block = manifold.dist(queries[:, None], points)
    if own is not None:
        block[torch.arange(len(block)), own] = torch.inf
    distance, neighbor = torch.topk(block, k, largest=False)
    return neighbor, distance


def _by_score(
    manifold: Manifold,
    comparison: Comparison,
    rights: list[Tensor],
    queries: Tensor,
    points: Tensor,
    k: int,
    own: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`exact`, and whether each row is sure, `(n,)`."""
    lefts, n_take = comparison.lefts(queries), n_candidates(k) + (own is not None)
    best = [
        comparison.scores(lefts, [right[start : start + _COLUMNS] for right in rights])
        .view(len(queries), -1, _GROUP)
        .amin(-1)
        for start in range(0, len(rights[0]), _COLUMNS)
    ]
    least, group = torch.topk(torch.cat(best, 1), n_take, largest=False)
    member = (group[..., None] * _GROUP + torch.arange(_GROUP)).flatten(1)
    score = comparison.scores([left[:, None] for left in lefts], [right[member] for right in rights])[:, 0]
    score.masked_fill_(member >= len(points), torch.inf)
    score, place = torch.topk(score, n_take, largest=False)
    candidates = member.gather(1, place)
    neighbor, distance = ranked(manifold, queries, points, candidates, k, own)

    # No other point has a lower score than this.
    bound = torch.minimum(least[:, -1], score[:, -1])
    chosen = (candidates[:, :, None] == neighbor[:, None, :]).any(2)
    last = torch.where(chosen, score, -torch.inf).amax(1)
    rounding = comparison.rounding(lefts)
    sure = (bound - last > 2 * rounding) | (rounding <= 1e-8 * last)
    return neighbor, distance, (sure & (last <= comparison.reach)) | (distance[:, -1] == 0)


def _padded(rows: Tensor) -> Tensor:
    """Rows `(m, e)` with the last one repeated to a whole number of groups."""
    missing = -len(rows) % _GROUP
    return torch.cat([rows, rows[-1:].expand(missing, -1)])
