"""The uniform distribution on a sphere."""

from __future__ import annotations

from math import log, pi

import pytest
import torch
from scipy import stats

from curvi.distributions import HypersphericalUniform


@pytest.mark.parametrize(("dim", "area"), [(1, 2 * pi), (2, 4 * pi), (3, 2 * pi**2)])
def test_density_is_one_over_the_area(dim, area):
    uniform = HypersphericalUniform(dim, (4,))
    z = uniform.sample((3,))
    torch.testing.assert_close(uniform.log_prob(z), torch.full((3, 4), -log(area)))
    torch.testing.assert_close(uniform.entropy(), torch.full((4,), log(area)))


@pytest.mark.parametrize("dim", [1, 2, 5, 50])
def test_draws_are_uniform(dim):
    torch.manual_seed(dim)
    z = HypersphericalUniform(dim).sample((20_000,))
    assert z.shape == (20_000, dim + 1)
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(20_000))
    along = z @ torch.nn.functional.normalize(torch.randn(dim + 1), dim=0)
    assert stats.kstest(along.numpy() / 2 + 0.5, stats.beta(dim / 2, dim / 2).cdf).pvalue > 1e-4


def test_dtype_and_device_are_kept():
    uniform = HypersphericalUniform(2, (3,), dtype=torch.float64)
    assert uniform.expand((5, 3)).rsample().dtype == uniform.mean.dtype == torch.float64
    assert HypersphericalUniform(2, device="meta").rsample().device.type == "meta"


def test_arguments_and_values_are_checked():
    with pytest.raises(ValueError, match="at least 1"):
        HypersphericalUniform(0)
    with pytest.raises(ValueError, match="within the support"):
        HypersphericalUniform(2, validate_args=True).log_prob(torch.ones(3))
