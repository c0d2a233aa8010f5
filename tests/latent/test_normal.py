"""The divergence of Gaussian posteriors from the standard normal prior against torch's."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradgradcheck
from torch.distributions import Independent, Laplace, Normal, kl_divergence

from curvi.latent import NormalLatent


@pytest.mark.parametrize("batch", [(), (7,), (2, 7), (1100,)])
@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_divergence_and_gradient_are_those_of_torch(batch, spread):
    torch.manual_seed(0)
    space = NormalLatent(4)
    raw = (spread * torch.randn(*batch, space.n_params, dtype=torch.float64)).requires_grad_()
    posterior = space(raw)
    plain = Independent(Normal(torch.zeros(4), torch.ones(4)), 1)
    ours, theirs = kl_divergence(posterior, space.prior()), kl_divergence(posterior, plain)
    assert ours.shape == batch
    torch.testing.assert_close(ours, theirs)
    for each in (ours, theirs):
        assert each.grad_fn is not None
    found, expected = (torch.autograd.grad(each.sum(), raw, retain_graph=True)[0] for each in (ours, theirs))
    torch.testing.assert_close(found, expected)


def test_second_derivatives():
    torch.manual_seed(0)
    space = NormalLatent(2)
    raw = torch.randn(3, space.n_params, dtype=torch.float64, requires_grad=True)
    assert gradgradcheck(lambda raw: kl_divergence(space(raw), space.prior()), raw)


def test_divergence_of_other_distributions_is_torchs():
    prior = NormalLatent(3).prior()
    other = Independent(Laplace(torch.ones(5, 3), torch.full((5, 3), 0.5)), 1)
    plain = Independent(Normal(torch.zeros(3), torch.ones(3)), 1)
    torch.testing.assert_close(kl_divergence(other, prior), kl_divergence(other, plain))
    torch.testing.assert_close(kl_divergence(prior, prior.expand([5])), torch.zeros(5))


def test_the_prior_of_a_batch():
    prior = NormalLatent(3).prior().expand([5])
    assert prior.batch_shape == (5,)
    assert prior.rsample().shape == (5, 3)
