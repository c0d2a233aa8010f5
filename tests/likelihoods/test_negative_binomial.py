from __future__ import annotations

import pytest
import torch
from scvi import distributions as scvi_distributions

from curvi.likelihoods import NegativeBinomialLikelihood


def test_is_the_host_library_s_model():
    torch.manual_seed(0)
    likelihood = NegativeBinomialLikelihood(7)
    raw, size = torch.randn(4, 1, 7), torch.full((4, 1), 50.0)
    x = torch.poisson(torch.full((4, 7), 3.0))
    theirs = scvi_distributions.NegativeBinomial(
        mu=torch.softmax(raw[:, 0], -1) * size, theta=likelihood.dispersion.log_value.exp()
    )
    torch.testing.assert_close(likelihood(raw, size).log_prob(x), theirs.log_prob(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("dispersion", "n_params"), [("gene", 1), ("gene-batch", 1), ("gene-cell", 2), ("fixed", 1)])
def test_maps(dispersion, n_params):
    assert NegativeBinomialLikelihood(7, [2], dispersion=dispersion).n_params == n_params


def test_the_second_map_is_the_dispersion():
    likelihood = NegativeBinomialLikelihood(3, dispersion="gene-cell", inverse_dispersion=2.0)
    px = likelihood(torch.stack([torch.zeros(4, 3), torch.ones(4, 3)], 1), torch.full((4, 1), 6.0))
    torch.testing.assert_close(px.mean, torch.full((4, 3), 2.0))
    torch.testing.assert_close(px.inverse_dispersion, torch.full((4, 3), 2.0).mul(torch.e))


def test_fixed_inverse_dispersion():
    px = NegativeBinomialLikelihood(3, dispersion="fixed", inverse_dispersion=0.5)(
        torch.zeros(4, 1, 3), torch.ones(4, 1)
    )
    assert px.inverse_dispersion.item() == 0.5
