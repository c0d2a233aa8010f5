from __future__ import annotations

import torch

from curvi.likelihoods import ZeroInflatedNegativeBinomialLikelihood


def test_the_order_of_the_maps():
    likelihood = ZeroInflatedNegativeBinomialLikelihood(3, dispersion="gene-cell")
    assert likelihood.n_params == 3
    raw = torch.stack([torch.zeros(4, 3), torch.full((4, 3), -2.0), torch.ones(4, 3)], 1)
    px = likelihood(raw, torch.full((4, 1), 6.0))
    torch.testing.assert_close(px.negative_binomial.mean, torch.full((4, 3), 2.0))
    torch.testing.assert_close(px.zero_logits, torch.full((4, 3), -2.0))
    torch.testing.assert_close(px.negative_binomial.inverse_dispersion, torch.ones(4, 3).exp())


def test_without_extra_zeros_it_is_a_negative_binomial():
    torch.manual_seed(0)
    likelihood = ZeroInflatedNegativeBinomialLikelihood(3)
    raw = torch.stack([torch.randn(4, 3), torch.full((4, 3), -100.0)], 1)
    px = likelihood(raw, torch.full((4, 1), 6.0))
    x = torch.poisson(torch.ones(4, 3))
    torch.testing.assert_close(px.log_prob(x), px.negative_binomial.log_prob(x))
