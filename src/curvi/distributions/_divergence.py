"""Kullback-Leibler divergences, registered with torch; all have the batch shape of the two distributions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, register_kl

from curvi.distributions import _beta
from curvi.distributions._arrays import broadcast
from curvi.distributions._delta import Delta, ImproperUniform
from curvi.distributions._derivatives import with_derivatives
from curvi.distributions._hyperspherical_uniform import HypersphericalUniform
from curvi.distributions._power_spherical import PowerSpherical
from curvi.distributions._von_mises_fisher import VonMisesFisher


def _batch_shape(p: Distribution, q: Distribution) -> torch.Size:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"a divergence needs two distributions on one space; got event shapes {tuple(p.event_shape)} and "
            f"{tuple(q.event_shape)}."
        )
    return broadcast(p.batch_shape, q.batch_shape)


def _expanded(value: Tensor, inputs: list[Tensor], derivatives: list[Tensor], shape: torch.Size) -> Tensor:
    return with_derivatives(value.expand(shape), *([x.expand(shape) for x in xs] for xs in (inputs, derivatives)))


@register_kl(VonMisesFisher, HypersphericalUniform)
@register_kl(PowerSpherical, HypersphericalUniform)
def _zonal_uniform(p: VonMisesFisher | PowerSpherical, q: HypersphericalUniform) -> Tensor:
    shape, value = _batch_shape(p, q), p.divergence_from_uniform()
    return value if value.shape == shape else value.expand(shape)


@register_kl(HypersphericalUniform, VonMisesFisher)
def _uniform_vmf(p: HypersphericalUniform, q: VonMisesFisher) -> Tensor:
    # The mean of the uniform law is 0, so that only the normaliser is left: Phi.
    phi = with_derivatives(q.terms.phi, [q.concentration], [q.terms.length])
    return phi.expand(_batch_shape(p, q))


@register_kl(HypersphericalUniform, PowerSpherical)
def _uniform_power(p: HypersphericalUniform, q: PowerSpherical) -> Tensor:
    return with_derivatives(q.terms.reverse, [q.concentration], [q.terms.drop]).expand(_batch_shape(p, q))


@register_kl(HypersphericalUniform, HypersphericalUniform)
def _uniform_uniform(p: HypersphericalUniform, q: HypersphericalUniform) -> Tensor:
    return torch.zeros_like(p.entropy()).expand(_batch_shape(p, q))


@register_kl(VonMisesFisher, VonMisesFisher)
@register_kl(PowerSpherical, VonMisesFisher)
def _zonal_vmf(p: VonMisesFisher | PowerSpherical, q: VonMisesFisher) -> Tensor:
    shape, a, b = _batch_shape(p, q), p.terms, q.terms
    # KL(p || U) - k_q A_p <mu_p, mu_q> + Phi_q, from 1 - <mu_p, mu_q>, which is accurate for close directions.
    depth = (p.loc - q.loc).square().sum(-1) / 2
    with torch.no_grad():
        k_q, y = (x.to(a.phi.dtype) for x in (q.concentration, depth))
        # Two forms of each difference: exact at k_q = 0, and without terms as large as k_q.
        large = k_q > 1.0
        value = (
            a.divergence + torch.where(large, k_q * a.shortfall - b.gap, b.phi - k_q * a.length) + k_q * y * a.length
        )
        in_p = a.pull - k_q * (1 - y) * a.slope
        in_q = torch.where(large, a.shortfall - b.shortfall, b.length - a.length) + y * a.length
        in_depth = a.length * k_q
    return _expanded(value, [p.concentration, q.concentration, depth], [in_p, in_q, in_depth], shape)


@register_kl(PowerSpherical, PowerSpherical)
def _power_power(p: PowerSpherical, q: PowerSpherical) -> Tensor:
    # What is closed, the divergence for one and the same direction, and what the angle between the two adds.
    shape, a, b = _batch_shape(p, q), p.terms, q.terms
    depth = (p.loc - q.loc).square().sum(-1) / 2
    with torch.no_grad():
        k_p, k_q, y = (x.to(a.phi.dtype).expand(shape) for x in (p.concentration, q.concentration, depth))
        aside, aside_in_p, aside_in_depth = _beta.potential_aside(p.event_shape[0], k_p, y)
        value = a.divergence - b.divergence + k_q * (a.potential - b.potential + aside)
        in_p = a.pull + k_q * (aside_in_p - a.variance)
        in_q = a.potential - b.potential + aside
    inputs = [p.concentration, q.concentration, depth]
    return _expanded(value, inputs, [in_p, in_q, k_q * aside_in_depth], shape)


@register_kl(Delta, ImproperUniform)
def _delta_improper(p: Delta, q: ImproperUniform) -> Tensor:
    # Against a flat measure the entropy of a point is all there is, and it does not depend on where the point is: the
    # objective of a plain autoencoder has no divergence, and 0 stands for that constant.
    return p.loc.new_zeros(_batch_shape(p, q))
