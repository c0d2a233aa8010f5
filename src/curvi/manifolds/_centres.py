"""Where groups of points are centred, all groups at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from curvi.manifolds import Manifold

# Steps that gain less than this share of the sum of squares change no figure that is reported.
_SMALL = 1e-6
_STEPS = 100


@torch.no_grad()
def centres(manifold: Manifold, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Frechet means of groups of points, and the sums of squared distances to them.

    A descent from the projected mean of each group, until the sums stand still: they are exact to about five digits.
    Where points lie all around a sphere, the means are less so, and those of a near minimum; :meth:`Manifold.mean`
    finds the lowest to all digits, and takes up to a thousand times as long.

    Parameters
    ----------
    points
        ``(n, ambient_dim)``.
    codes
        The group of each point, int64 ``(n,)``, from 0 without gaps.

    Returns
    -------
    Means ``(n_groups, ambient_dim)`` and sums ``(n_groups,)``.
    """
    n_groups = int(codes.max()) + 1
    count = torch.bincount(codes, minlength=n_groups).to(points)

    def summed(rows: Tensor) -> Tensor:
        return rows.new_zeros(n_groups, *rows.shape[1:]).index_add_(0, codes, rows)

    def seen(means: Tensor) -> tuple[Tensor, Tensor]:
        here = means[codes]
        return summed(manifold.dist(here, points).square()), summed(manifold.log(here, points)) / count[:, None]

    means = manifold.project(summed(points) / count[:, None])
    squares, step = seen(means)
    size = torch.ones_like(count)
    small = _SMALL * squares.sum() / n_groups
    for _ in range(_STEPS):
        proposed = manifold.project(manifold.exp(means, size[:, None] * step))
        at_rest = count * manifold.dist(means, proposed).square() <= 0.01 * small
        if bool(at_rest.all()):
            break
        new_squares, new_step = seen(proposed)
        better = new_squares < squares
        at_rest |= better & (squares - new_squares <= small * size.clamp_max(1.0))
        squares = torch.where(better, new_squares, squares)
        means, step = (torch.where(better[:, None], a, b) for a, b in ((proposed, means), (new_step, step)))
        # Curvature makes a full step too long in hyperbolic space, and too short on a sphere.
        size = torch.where(better, 1.5 * size, 0.5 * size)
        if bool(at_rest.all()):
            break
    return means, squares
