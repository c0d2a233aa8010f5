"""Independent distributions as one."""

from __future__ import annotations

import copy
import gc
import warnings

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from curvi.distributions import (
    Delta,
    HypersphericalUniform,
    ImproperUniform,
    Joint,
    VonMisesFisher,
    WrappedNormal,
    _joint,
    split_draws,
)
from curvi.manifolds import Lorentz, Poincare

F64 = torch.float64


def vmf(*batch: int) -> VonMisesFisher:
    return VonMisesFisher(
        torch.nn.functional.normalize(torch.randn(*batch, 3, dtype=F64), dim=-1), 1 + torch.rand(batch, dtype=F64)
    )


def normal(*batch: int) -> Independent:
    return Independent(Normal(torch.randn(*batch, 2, dtype=F64), 0.5 + torch.rand(*batch, 2, dtype=F64)), 1)


def wrapped(*batch: int) -> WrappedNormal:
    space = Lorentz(2).to(F64)
    return WrappedNormal.from_tangent(space, torch.randn(*batch, 2, dtype=F64), 0.3 + torch.rand(*batch, 2, dtype=F64))


def posterior(*batch: int) -> Joint:
    torch.manual_seed(0)
    return Joint([vmf(*batch), normal(*batch), wrapped(*batch)])


def prior(q: Joint) -> Joint:
    return Joint(
        [
            HypersphericalUniform(2, dtype=F64),
            Independent(Normal(torch.zeros(2, dtype=F64), 1.0), 1),
            WrappedNormal.at_origin(q.parts[2].manifold, torch.ones(2, dtype=F64)),
        ]
    )


def test_an_event_is_that_of_all_parts_side_by_side():
    q = posterior(4)
    assert q.batch_shape == (4,)
    assert q.event_shape == (8,)
    assert q.sizes == (3, 2, 3)
    z = q.rsample((5, 2))
    assert z.shape == (5, 2, 4, 8)
    assert q.has_rsample
    assert bool(q.support.check(z).all())
    assert q.support.check(z).shape == (5, 2, 4)


def test_log_probabilities_add():
    q = posterior(4)
    z = q.rsample((3,))
    sphere, plane, hyperbolic = z.split([3, 2, 3], -1)
    expected = q.parts[0].log_prob(sphere) + q.parts[1].log_prob(plane) + q.parts[2].log_prob(hyperbolic)
    torch.testing.assert_close(q.log_prob(z), expected)
    torch.testing.assert_close(q.log_prob(z.detach().clone()), expected)


def test_entropies_means_and_variances_are_those_of_the_parts():
    torch.manual_seed(0)
    q = Joint([vmf(4), normal(4)])
    torch.testing.assert_close(q.entropy(), q.parts[0].entropy() + q.parts[1].entropy())
    torch.testing.assert_close(q.mean, torch.cat([q.parts[0].mean, q.parts[1].mean], -1))
    assert q.mode.shape == (4, 5)
    z = q.sample((20_000,))
    assert bool(((z.mean(0) - q.mean).abs() < 5 * z.std(0) / 20_000**0.5).all())
    surprise = -q.log_prob(z)
    assert bool(((surprise.mean(0) - q.entropy()).abs() < 5 * surprise.std(0) / 20_000**0.5).all())
    gauss = Joint([normal(4), Delta(torch.zeros(4, 3, dtype=F64))])
    torch.testing.assert_close(gauss.variance[:, 2:], torch.zeros(4, 3, dtype=F64))


def test_what_a_part_lacks_the_whole_lacks():
    q = posterior(4)
    for name in ("mean", "variance"):
        with pytest.raises(NotImplementedError):
            getattr(q, name)
    with pytest.raises(NotImplementedError):
        q.entropy()
    flat = Joint([normal(4), ImproperUniform((4,), (3,))])
    assert not flat.has_rsample
    with pytest.raises(NotImplementedError, match="no prior to draw from"):
        flat.sample()


def test_divergences_add():
    q = posterior(4)
    p = prior(q)
    q.rsample()
    expected = sum(kl_divergence(a, b) for a, b in zip(q.parts, p.parts, strict=True))
    torch.testing.assert_close(kl_divergence(q, p), expected)
    assert kl_divergence(q, p).shape == (4,)


def test_the_divergence_is_that_of_draws():
    torch.manual_seed(0)
    q = posterior().expand((20_000,))
    p = prior(q)
    z = q.rsample()
    ratio = q.log_prob(z) - p.log_prob(z)
    kl = kl_divergence(q, p)
    assert abs(float(ratio.mean() - kl.mean())) < 5 * float(ratio.std() + kl.std()) / 20_000**0.5


def test_a_plain_autoencoder_can_be_a_part():
    loc = torch.randn(4, 3, dtype=F64)
    q = Joint([Delta(loc), normal(4)])
    p = Joint([ImproperUniform((), (3,)), normal()])
    z = q.rsample()
    assert torch.equal(z[:, :3], loc)
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(q.parts[1], p.parts[1]))
    torch.testing.assert_close(q.log_prob(z), q.parts[1].log_prob(z[:, 3:]))


def test_gradients_flow_to_all_parts():
    torch.manual_seed(0)
    loc, mean = torch.randn(4, 3, dtype=F64, requires_grad=True), torch.zeros(4, 2, dtype=F64, requires_grad=True)
    space = Lorentz(2).to(F64)
    q = Joint(
        [
            VonMisesFisher(torch.nn.functional.normalize(loc, dim=-1), 3.0),
            WrappedNormal.from_tangent(space, mean, torch.ones(4, 2, dtype=F64)),
        ]
    )
    z = q.rsample((2,))
    for value in (z, q.log_prob(z), q.log_prob(z.detach())):
        for gradient in torch.autograd.grad(value.sum(), (loc, mean), retain_graph=True, allow_unused=True):
            assert gradient is None or bool(torch.isfinite(gradient).all())
    for gradient in torch.autograd.grad(z.square().sum(), (loc, mean)):
        assert float(gradient.abs().max()) > 0


@pytest.mark.parametrize("chart", [Lorentz, Poincare])
def test_wrapped_parts_know_their_draws(chart):
    torch.manual_seed(0)
    space = chart(2)
    q = Joint([WrappedNormal.from_tangent(space, torch.full((4, 2), 20.0), torch.ones(4, 2)), Delta(torch.zeros(4, 1))])
    p = Joint([WrappedNormal.at_origin(space, torch.full((2,), 20.0)), Delta(torch.zeros(1))])
    z = q.rsample((3,))
    with warnings.catch_warnings(action="error"):
        log_q, log_p = q.log_prob(z), p.log_prob(z)
    part = split_draws(z, q.sizes)[0]
    assert torch.equal(log_q, q.parts[0].log_prob(part))
    # The Gaussian part of a far point is that of its distance, which is near 28.
    assert float((log_p + 16).abs().max()) > 10
    assert bool(torch.isfinite(log_p).all())


def test_nothing_is_kept_longer_than_needed():
    gc.collect()
    known = len(_joint._SHARES)
    q = posterior(4)
    z = q.rsample()
    assert len(_joint._SHARES) == known + 1
    del z
    assert len(_joint._SHARES) == known


def test_a_changed_draw_is_split_anew():
    q = posterior(4)
    z = q.sample()
    before = q.log_prob(z)
    z[:, 3:5] += 1.0
    assert not torch.equal(q.log_prob(z), before)
    torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()))
    assert torch.equal(torch.cat(split_draws(z, q.sizes), -1), z)
    assert [share.shape[-1] for share in split_draws(z, (4, 4))] == [4, 4]


def test_batches_broadcast():
    q = Joint([vmf(5, 1), normal(3), wrapped()])
    assert q.batch_shape == (5, 3)
    z = q.rsample((7,))
    assert z.shape == (7, 5, 3, 8)
    assert q.log_prob(z).shape == (7, 5, 3)
    assert q.log_prob(z[0, 0, 0]).shape == (5, 3)
    assert kl_divergence(q, prior(q)).shape == (5, 3)


def test_expand_keeps_the_law():
    q = posterior(4)
    wide = q.expand((2, 4))
    assert isinstance(wide, Joint)
    z = wide.rsample()
    assert z.shape == (2, 4, 8)
    torch.testing.assert_close(wide.log_prob(z), q.log_prob(z.clone()))


def test_parts_may_be_joint_themselves():
    torch.manual_seed(0)
    a, b, c = vmf(4), normal(4), normal(4)
    nested, flat = Joint([Joint([a, b]), c]), Joint([a, b, c])
    z = flat.sample((3,))
    torch.testing.assert_close(nested.log_prob(z), flat.log_prob(z))
    torch.testing.assert_close(nested.entropy(), flat.entropy())


def test_copies_are_the_same_law():
    q = posterior(4)
    z = q.rsample()
    torch.testing.assert_close(copy.deepcopy(q).log_prob(z), q.log_prob(z))


def test_bad_parts_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="`parts` is empty"):
        Joint([])
    with pytest.raises(TypeError, match=r"`parts\[1\]` is of type Tensor"):
        Joint([normal(4), torch.zeros(3)])
    with pytest.raises(ValueError, match=r"`parts\[0\]`, Normal, has event shape \(\).*Independent"):
        Joint([Normal(torch.zeros(4), 1.0)])
    with pytest.raises(ValueError, match=r"\(4,\), \(3,\), do not broadcast"):
        Joint([normal(4), normal(3)])


def test_bad_values_are_refused():
    q = posterior(4)
    with pytest.raises(ValueError, match="event_shape|size"):
        q.log_prob(torch.zeros(4, 7, dtype=F64))
    with pytest.raises(ValueError, match="support"):
        q.log_prob(torch.zeros(4, 8, dtype=F64))
    trusting = Joint(q.parts, validate_args=False)
    with pytest.raises(ValueError, match="expected 8 numbers"):
        trusting.log_prob(torch.zeros(4, 7, dtype=F64))


def test_different_spaces_are_refused():
    with pytest.raises(ValueError, match="one space"):
        kl_divergence(Joint([vmf(4), normal(4)]), Joint([normal(4), vmf(4)]))
    with pytest.raises(ValueError, match="one space"):
        kl_divergence(Joint([normal(4)]), Joint([normal(4), normal(4)]))
