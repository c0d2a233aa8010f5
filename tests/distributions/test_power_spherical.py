"""The power spherical distribution; what it shares with others is tested with those."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats

from curvi.distributions import HypersphericalUniform, PowerSpherical


def unit(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(shape, dtype=dtype), dim=-1)


@pytest.mark.parametrize("m", [2, 3, 5, 6, 10, 11, 50, 512])
def test_half_the_depth_of_draws_has_a_beta_law(m):
    torch.manual_seed(m)
    loc = unit(m)
    for kappa in (0.01, 1.0, 10.5, 100.0, 1e3, 1e4, 1e6):
        z = PowerSpherical(loc, kappa).sample((10_000,))
        half = ((z.double() - loc.double()).square().sum(-1) / 4).clamp_max(1)
        law = stats.beta((m - 1) / 2, (m - 1) / 2 + kappa)
        assert stats.kstest(half.numpy(), law.cdf).pvalue > 1e-4, kappa


@pytest.mark.parametrize("m", [2, 3, 5, 20])
@pytest.mark.parametrize("kappa", [0.0, 0.5, 10.0, 200.0])
def test_log_prob_agrees_with_scipy(m, kappa):
    # The density over the depth is that over the sphere times the area at that depth, as it is for the uniform law.
    torch.manual_seed(0)
    loc, z = unit(m, dtype=torch.float64), unit(30, m, dtype=torch.float64)
    half, exponent = (1 - (z @ loc).numpy()) / 2, (m - 1) / 2
    ratio = stats.beta(exponent, exponent + kappa).logpdf(half) - stats.beta(exponent, exponent).logpdf(half)
    uniform = HypersphericalUniform(m - 1, dtype=torch.float64).log_prob(z)
    torch.testing.assert_close(
        PowerSpherical(loc, kappa).log_prob(z), uniform + torch.from_numpy(ratio), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("m", [2, 3, 50])
@pytest.mark.parametrize("kappa", [1e4, 1e6])
def test_log_prob_is_accurate_near_the_pole_in_float32(m, kappa, exact_power):
    # z is what float32 made of it; its density is compared at that very point.
    torch.manual_seed(0)
    loc = unit(m)
    z = PowerSpherical(loc, kappa).sample((50,))
    quarter = (z.double() - loc.double()).square().sum(-1) / 4
    log_area = mpmath.log(2 * mpmath.pi ** (m / 2) / mpmath.gamma(m / 2))
    truth = [
        float(kappa * mpmath.log1p(-mpmath.mpf(x)) - exact_power(m, kappa)["phi"] - log_area) for x in quarter.tolist()
    ]
    torch.testing.assert_close(
        PowerSpherical(loc, kappa).log_prob(z).double(), torch.tensor(truth).double(), rtol=2e-6, atol=2e-5
    )


@pytest.mark.parametrize("m", [2, 3, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_density_is_accurate_and_finite_at_the_antipode(m, dtype):
    torch.manual_seed(0)
    loc = unit(m, dtype=dtype)
    beside = torch.eye(m, dtype=dtype)[0] - loc[0] * loc
    z = torch.nn.functional.normalize(1e-3 * beside - loc, dim=0)
    kappa = torch.tensor([0.0, 0.5, 3.0], dtype=dtype, requires_grad=True)
    q = PowerSpherical(loc, kappa)
    half = float((z + loc).double().square().sum() / 4)
    torch.testing.assert_close((q.log_prob(z) - q.log_prob(loc)).detach(), kappa.detach() * np.log(half))
    opposite = (-loc).requires_grad_()
    density = q.log_prob(opposite)
    assert bool(torch.isfinite(density).all())
    assert float(density[0].detach()) == float(HypersphericalUniform(m - 1, dtype=dtype).log_prob(opposite))
    assert all(bool(torch.isfinite(x).all()) for x in torch.autograd.grad(density.sum(), (opposite, kappa)))


@pytest.mark.parametrize("m", [2, 3, 10, 512])
def test_the_mean_has_the_length_of_a_beta_law(m):
    kappa = torch.tensor([0.0, 1e-6, 1.0, 1e3, 1e6, 1e30], dtype=torch.float64, requires_grad=True)
    length = PowerSpherical(unit(m, dtype=torch.float64), kappa).mean_resultant_length
    a, b = (m - 1) / 2 + kappa, (m - 1) / 2
    torch.testing.assert_close(length, (a - b) / (a + b), rtol=1e-13, atol=1e-16)
    (slope,) = torch.autograd.grad(length.sum(), kappa)
    torch.testing.assert_close(slope, ((m - 1) / (kappa + m - 1) / (kappa + m - 1)).detach(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kappa", [1e4, 1e6, 1e8])
def test_far_out_it_is_a_von_mises_fisher_law_of_half_the_concentration(kappa):
    # (1 - y / 2)^kappa = exp(-kappa y / 2) to first order.
    torch.manual_seed(0)
    loc = unit(4, dtype=torch.float64)
    depth = 1 - PowerSpherical(loc, kappa).sample((20_000,)) @ loc
    assert stats.kstest(kappa * depth.clamp_min(0).numpy(), stats.chi2(3).cdf).pvalue > 1e-4
