"""The von Mises-Fisher distribution; what it shares with others is tested with those."""

from __future__ import annotations

import mpmath
import pytest
import torch
from scipy import stats

from curvi.distributions import VonMisesFisher


def unit(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(shape, dtype=dtype), dim=-1)


@pytest.mark.parametrize("m", [2, 3, 5, 20])
@pytest.mark.parametrize("kappa", [0.5, 10.0, 200.0])
def test_log_prob_agrees_with_scipy(m, kappa):
    torch.manual_seed(0)
    loc, z = unit(m, dtype=torch.float64), unit(30, m, dtype=torch.float64)
    reference = stats.vonmises_fisher(loc.numpy(), kappa).logpdf(z.numpy())
    torch.testing.assert_close(
        VonMisesFisher(loc, kappa).log_prob(z), torch.from_numpy(reference), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("m", [2, 3, 50])
@pytest.mark.parametrize("kappa", [1e4, 1e6])
def test_log_prob_is_accurate_near_the_pole_in_float32(m, kappa, exact):
    # z is what float32 made of it; its density is compared at that very point.
    torch.manual_seed(0)
    loc = unit(m)
    z = VonMisesFisher(loc, kappa).sample((50,))
    depth = (z.double() - loc.double()).square().sum(-1) / 2
    log_area = mpmath.log(2 * mpmath.pi ** (m / 2) / mpmath.gamma(m / 2))
    truth = [float(exact(m, kappa)["gap"] - log_area - kappa * mpmath.mpf(y)) for y in depth.tolist()]
    torch.testing.assert_close(
        VonMisesFisher(loc, kappa).log_prob(z).double(), torch.tensor(truth).double(), rtol=2e-6, atol=2e-5
    )
