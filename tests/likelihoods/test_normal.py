from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from curvi.likelihoods import NormalLikelihood


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_a_fixed_scale_is_least_squares(scale):
    torch.manual_seed(0)
    raw, x = torch.randn(4, 1, 3, requires_grad=True), torch.randn(4, 3)
    NormalLikelihood(3, dispersion="fixed", scale=scale)(raw, torch.ones(4, 1)).log_prob(x).sum().backward()
    torch.testing.assert_close(raw.grad[:, 0], (x - raw[:, 0]).detach() / scale**2)


def test_the_gradient_leads_to_the_spread_of_each_feature():
    torch.manual_seed(0)
    true = torch.tensor([0.01, 1.0, 20.0])
    x = true * torch.randn(4000, 3)
    rms = x.square().mean(0).sqrt()
    for factor in (0.8, 1.0, 1.25):
        likelihood = NormalLikelihood(3)
        likelihood.dispersion.log_value.data = (factor * rms).log()
        likelihood(torch.zeros(4000, 1, 3), torch.ones(4000, 1)).log_prob(x).mean(0).sum().backward()
        slope = likelihood.dispersion.log_value.grad
        torch.testing.assert_close(slope, torch.full((3,), factor**-2 - 1.0), rtol=1e-4, atol=1e-4)


def test_a_scale_of_each_cell():
    px = NormalLikelihood(3, dispersion="gene-cell", scale=2.0)(torch.ones(4, 2, 3), torch.ones(4, 1))
    expected = Normal(torch.ones(4, 3), torch.full((4, 3), 2.0 * torch.e))
    torch.testing.assert_close(px.log_prob(torch.zeros(4, 3)), expected.log_prob(torch.zeros(4, 3)))
