"""Closed Kullback-Leibler divergences, registered with torch; all have the batch shape of the two distributions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, register_kl

from curvi.distributions import _bessel
from curvi.distributions._arrays import broadcast
from curvi.distributions._delta import Delta, ImproperUniform
from curvi.distributions._hyperspherical_uniform import HypersphericalUniform
from curvi.distributions._von_mises_fisher import VonMisesFisher


def _batch_shape(p: Distribution, q: Distribution) -> torch.Size:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"a divergence needs two distributions on one space; got event shapes {tuple(p.event_shape)} and "
            f"{tuple(q.event_shape)}."
        )
    return broadcast(p.batch_shape, q.batch_shape)


@register_kl(VonMisesFisher, HypersphericalUniform)
def _vmf_uniform(p: VonMisesFisher, q: HypersphericalUniform) -> Tensor:
    return p.divergence_from_uniform().expand(_batch_shape(p, q))


@register_kl(HypersphericalUniform, VonMisesFisher)
def _uniform_vmf(p: HypersphericalUniform, q: VonMisesFisher) -> Tensor:
    # The mean of the uniform law is 0, so that only the normaliser is left: Phi.
    phi = _bessel.with_derivatives(q.terms.phi, [q.concentration], [q.terms.length])
    return phi.expand(_batch_shape(p, q))


@register_kl(HypersphericalUniform, HypersphericalUniform)
def _uniform_uniform(p: HypersphericalUniform, q: HypersphericalUniform) -> Tensor:
    return torch.zeros_like(p.entropy()).expand(_batch_shape(p, q))


@register_kl(VonMisesFisher, VonMisesFisher)
def _vmf_vmf(p: VonMisesFisher, q: VonMisesFisher) -> Tensor:
    shape, a, b = _batch_shape(p, q), p.terms, q.terms
    # A_p (k_p - k_q <mu_p, mu_q>) - Phi_p + Phi_q, from 1 - <mu_p, mu_q>, which is accurate for close directions.
    depth = (p.loc - q.loc).square().sum(-1) / 2
    with torch.no_grad():
        k_p, k_q, y = (x.to(a.phi.dtype) for x in (p.concentration, q.concentration, depth))
        # Two forms of each difference: exact at k_q = 0, and without terms as large as k_q.
        large = k_q > 1.0
        value = (
            a.divergence + torch.where(large, k_q * a.shortfall - b.gap, b.phi - k_q * a.length) + k_q * y * a.length
        )
        in_p = a.slope * (k_p - k_q + k_q * y)
        in_q = torch.where(large, a.shortfall - b.shortfall, b.length - a.length) + y * a.length
        in_depth = a.length * k_q
    inputs = [x.expand(shape) for x in (p.concentration, q.concentration, depth)]
    return _bessel.with_derivatives(value.expand(shape), inputs, [x.expand(shape) for x in (in_p, in_q, in_depth)])


@register_kl(Delta, ImproperUniform)
def _delta_improper(p: Delta, q: ImproperUniform) -> Tensor:
    # Against a flat measure the entropy of a point is all there is, and it does not depend on where the point is: the
    # objective of a plain autoencoder has no divergence, and 0 stands for that constant.
    return p.loc.new_zeros(_batch_shape(p, q))
