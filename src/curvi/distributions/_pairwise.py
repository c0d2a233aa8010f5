"""Log-densities of many points under many distributions, a block of points at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from math import log, pi

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from curvi.distributions._carried import CarriedLogDensity
from curvi.distributions._joint import Joint, split_draws
from curvi.distributions._von_mises_fisher import VonMisesFisher
from curvi.distributions._wrapped_normal import WrappedNormal, known_coordinates
from curvi.distributions._zonal import Zonal
from curvi.manifolds._device import double

Rows = Callable[[slice], Tensor]
"""From some of the points to their log-densities under each distribution, ``(points, m)``."""

# Up to here, the sum of the distances of two points from the origin in units of the radius of curvature, the matrix
# product for hyperbolic space keeps tangent vectors to 1e-7.
_REACH = 20.0


@singledispatch
def pairwise_log_prob(q: Distribution, points: Tensor) -> Rows:
    """The log-densities of ``points (n, D)`` under each of the distributions ``q``, of batch shape ``(m,)``.

    Of those that are known here the table is made by a matrix product, in float64 where the device has it. What belongs
    to one side only is computed once, when this is called.

    Parameters
    ----------
    q
        Distributions of batch shape ``(m,)`` and event shape ``(D,)``.
    points
        ``(n, D)``.

    Returns
    -------
    From a slice of the points to their log-densities, ``(n_rows, m)``.
    """
    return lambda rows: q.log_prob(points[rows, None])


@pairwise_log_prob.register
def _zonal(q: Zonal, points: Tensor) -> Rows:
    dtype = double(points.device)
    z, mu, kappa = (x.to(dtype) for x in (points, q.loc, q.concentration))
    peak = q.log_prob(q.loc).to(dtype)
    lengths = (z.square().sum(-1, keepdim=True) + mu.square().sum(-1)) / 2

    def rows(some: slice) -> Tensor:
        depth = (lengths[some] - z[some] @ mu.T).clamp_min(0.0)
        return peak - kappa * q.tilt.rise(torch, 0.0, depth)

    return rows


@pairwise_log_prob.register
def _von_mises_fisher(q: VonMisesFisher, points: Tensor) -> Rows:
    dtype = double(points.device)
    z, mu, kappa = (x.to(dtype) for x in (points, q.loc, q.concentration))
    # The depth (|z|^2 + |mu|^2) / 2 - <mu, z>, as a product of what belongs to the point and what to the distribution.
    peak = q.log_prob(q.loc).to(dtype) - kappa * mu.square().sum(-1) / 2
    features = torch.cat([z, z.square().sum(-1, keepdim=True) / 2, torch.ones_like(z[:, :1])], -1)
    weights = torch.cat([kappa[:, None] * mu, -kappa[:, None], peak[:, None]], -1).T
    return lambda rows: features[rows] @ weights


@pairwise_log_prob.register
def _independent(q: Independent, points: Tensor) -> Rows:
    base = q.base_dist
    if not isinstance(base, Normal) or q.reinterpreted_batch_ndims != 1:
        return lambda rows: q.log_prob(points[rows, None])
    dtype = double(points.device)
    # About the middle of the distributions, where the squares are least.
    middle = base.loc.to(dtype).mean(0)
    z, mu, scale = points.to(dtype) - middle, base.loc.to(dtype) - middle, base.scale.to(dtype)
    precision = scale.reciprocal().square()
    peak = -(scale.log() + log(2 * pi) / 2 + mu.square() * precision / 2).sum(-1, keepdim=True)
    features = torch.cat([z.square(), z, torch.ones_like(z[:, :1])], -1)
    weights = torch.cat([-precision / 2, mu * precision, peak], -1).T
    return lambda rows: features[rows] @ weights


@pairwise_log_prob.register
def _joint(q: Joint, points: Tensor) -> Rows:
    tables = [pairwise_log_prob(part, share) for part, share in zip(q.parts, split_draws(points, q.sizes), strict=True)]

    def rows(some: slice) -> Tensor:
        total = tables[0](some)
        for table in tables[1:]:
            total = total + table(some)
        return total

    return rows


@pairwise_log_prob.register
def _wrapped_normal(q: WrappedNormal, points: Tensor) -> Rows:
    space, dtype = q.manifold, double(points.device)
    known = known_coordinates(space, points)
    t, scale = (space.log0(points.to(dtype)) if known is None else known.to(dtype)), q.scale.to(dtype)
    mean = q.tangent_loc.to(dtype)
    root = space.curvature.to(dtype).sqrt()
    if bool(root * (_farthest(t) + _farthest(mean)) > _REACH):
        return lambda rows: CarriedLogDensity.apply(space.translate0(-mean, t[rows, None]), scale, space.curvature)
    n, m = mean.shape[1], len(mean)
    z, mu = _on_the_hyperboloid(root * t), _on_the_hyperboloid(root * mean)
    # The translation that takes the mean to the origin is linear on the hyperboloid; its rows in units of the scale.
    turn = torch.eye(n, dtype=dtype, device=mu.device) + mu[:, 1:, None] * mu[:, None, 1:] / (1 + mu[:, :1, None])
    spatial = torch.cat([-mu[:, None, 1:], turn], 1) / (root * scale)[:, None]
    height = torch.cat([mu[:, :1], -mu[:, 1:]], -1)[..., None]
    weights = torch.cat([height, spatial], -1).permute(1, 2, 0).reshape(n + 1, (n + 1) * m)
    peak = -(scale.log() + log(2 * pi) / 2).sum(-1)
    nearest = 1 + 8 * torch.finfo(dtype).eps

    def rows(some: slice) -> Tensor:
        at = (z[some] @ weights).view(-1, n + 1, m)
        # cosh r, and the squared length of v / sigma times (sinh r / r)^2.
        cosh, square = at[:, 0].clamp_min(nearest), at[:, 1:].square().sum(1)
        sinh_square = (cosh - 1) * (cosh + 1)
        shrink_square = torch.acosh(cosh).square() / sinh_square
        return peak - shrink_square * square / 2 + (n - 1) / 2 * shrink_square.log()

    return rows


def _farthest(t: Tensor) -> Tensor:
    """The greatest length of vectors ``(..., n)``; 0 of none."""
    return torch.linalg.vector_norm(t.detach(), dim=-1).max() if len(t) > 0 else t.new_zeros(())


def _on_the_hyperboloid(t: Tensor) -> Tensor:
    """The points ``(..., n + 1)`` of curvature -1 with tangent coordinates ``t (..., n)`` at the origin."""
    r = torch.linalg.vector_norm(t, dim=-1, keepdim=True).clamp_min(1e-30)
    return torch.cat([torch.cosh(r), torch.sinh(r) / r * t], -1)
