"""Closed divergences against draws, sixty digits and differences."""

from __future__ import annotations

import mpmath
import pytest
import torch
from torch.distributions import kl_divergence

from curvi.distributions import Delta, HypersphericalUniform, ImproperUniform, PowerSpherical, VonMisesFisher

PAIRS = {
    "vmf-uniform": lambda m, a, b: (VonMisesFisher(a, 6.0), HypersphericalUniform(m - 1)),
    "uniform-vmf": lambda m, a, b: (HypersphericalUniform(m - 1), VonMisesFisher(b, 6.0)),
    "uniform-uniform": lambda m, a, b: (HypersphericalUniform(m - 1), HypersphericalUniform(m - 1)),
    "vmf-vmf": lambda m, a, b: (VonMisesFisher(a, 20.0), VonMisesFisher(b, 5.0)),
    "power-uniform": lambda m, a, b: (PowerSpherical(a, 6.0), HypersphericalUniform(m - 1)),
    "uniform-power": lambda m, a, b: (HypersphericalUniform(m - 1), PowerSpherical(b, 6.0)),
    "power-vmf": lambda m, a, b: (PowerSpherical(a, 20.0), VonMisesFisher(b, 5.0)),
    "power-power": lambda m, a, b: (PowerSpherical(a, 20.0), PowerSpherical(b, 5.0)),
    "power-power, one direction": lambda m, a, b: (PowerSpherical(a, 3.0), PowerSpherical(a, 50.0)),
}


def unit(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(shape, dtype=dtype), dim=-1)


@pytest.mark.parametrize("m", [2, 3, 6, 20])
@pytest.mark.parametrize("pair", PAIRS)
def test_closed_forms_agree_with_draws(pair, m):
    torch.manual_seed(m)
    p, q = PAIRS[pair](m, unit(m), unit(m))
    z = p.sample((50_000,))
    ratio = p.log_prob(z) - q.log_prob(z)
    assert abs(float(ratio.mean() - kl_divergence(p, q))) < 5 * float(ratio.std()) / 50_000**0.5 + 1e-5


@pytest.mark.parametrize("m", [2, 3, 11, 100])
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 1e-6), (torch.float64, 1e-10)])
def test_vmf_against_vmf_to_sixty_digits(m, dtype, bar, exact):
    torch.manual_seed(0)
    a, b = unit(m, dtype=dtype), unit(m, dtype=dtype)
    depth = mpmath.mpf(float((a - b).square().sum() / 2))
    for k_p in (0.0, 1e-3, 2.0, 300.0, 1e5):
        for k_q in (1e-3, 5.0, 1e4):
            p, q = VonMisesFisher(a, k_p), VonMisesFisher(b, k_q)
            k_p_, k_q_ = float(p.concentration), float(q.concentration)
            of_p = exact(m, k_p_) if k_p_ > 0 else {"length": mpmath.mpf(0), "phi": mpmath.mpf(0)}
            with mpmath.workdps(60):
                truth = of_p["length"] * (k_p_ - k_q_ * (1 - depth)) - of_p["phi"] + exact(m, k_q_)["phi"]
            assert abs(float(kl_divergence(p, q)) / truth - 1) < bar, (k_p, k_q)


@pytest.mark.parametrize("m", [2, 3, 11, 100])
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 1e-6), (torch.float64, 1e-10)])
def test_power_against_vmf_to_sixty_digits(m, dtype, bar, exact, exact_power):
    torch.manual_seed(0)
    a, b = unit(m, dtype=dtype), unit(m, dtype=dtype)
    depth = mpmath.mpf(float((a - b).square().sum() / 2))
    for k_p in (1e-3, 2.0, 300.0, 1e5):
        for k_q in (1e-3, 5.0, 1e4):
            p, q = PowerSpherical(a, k_p), VonMisesFisher(b, k_q)
            k_p_, k_q_ = float(p.concentration), float(q.concentration)
            of_p = exact_power(m, k_p_)
            with mpmath.workdps(60):
                truth = of_p["divergence"] - k_q_ * of_p["length"] * (1 - depth) + exact(m, k_q_)["phi"]
            assert abs(float(kl_divergence(p, q)) / truth - 1) < bar, (k_p, k_q)


@pytest.mark.parametrize("m", [2, 3, 11, 100])
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 1e-6), (torch.float64, 1e-9)])
def test_power_against_power_to_thirty_digits(m, dtype, bar, exact_power):
    torch.manual_seed(0)
    a, beside = unit(2, m, dtype=dtype)
    with mpmath.workdps(30):
        for b in (a, -a, beside):
            depth = mpmath.mpf(float((a - b).square().sum() / 2))
            for k_p in (1e-3, 2.0, 300.0, 1e5):
                for k_q in (3e-3, 5.0, 1e4):
                    p, q = PowerSpherical(a, k_p), PowerSpherical(b, k_q)
                    k_p_, k_q_ = (mpmath.mpf(float(x.concentration)) for x in (p, q))
                    potential = _potential(m, k_p_, min(depth / 2, mpmath.mpf(1)), exact_power)
                    of_p, of_q = exact_power(m, float(k_p_)), exact_power(m, float(k_q_))
                    truth = of_p["divergence"] + of_q["phi"] + k_q_ * potential
                    assert abs(float(kl_divergence(p, q)) / truth - 1) < bar, (k_p, k_q)


def _potential(m: int, kappa: mpmath.mpf, s: mpmath.mpf, exact_power) -> mpmath.mpf:
    """The mean of -log((1 + <b, z>) / 2) for a power spherical law around a, with s = (1 - <a, b>) / 2."""
    if s == 0:
        return exact_power(m, float(kappa))["potential"]
    # By Euler's integral, over u = 1 - (1 - x)^2 so that its end is regular.
    c = mpmath.mpf(m - 1) / 2

    def integrand(x: mpmath.mpf) -> mpmath.mpf:
        u = x * (2 - x)
        return -2 * (1 - x) ** (m - 2) * mpmath.expm1(kappa * mpmath.log1p((s - 1) * u)) / u

    inner = mpmath.quad(integrand, [0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1])
    return mpmath.psi(0, 2 * c + kappa) - mpmath.psi(0, c) - inner


@pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical])
def test_a_distribution_does_not_diverge_from_itself(family):
    torch.manual_seed(0)
    for dtype, bar in ((torch.float32, 1e-6), (torch.float64, 1e-9)):
        q = family(unit(7, 4, dtype=dtype), torch.tensor([0.0, 1e-3, 0.5, 1.0, 3.0, 100.0, 1e5], dtype=dtype))
        assert float(kl_divergence(q, q).abs().max()) < bar


@pytest.mark.parametrize(
    ("of_p", "of_q"),
    [(VonMisesFisher, VonMisesFisher), (PowerSpherical, VonMisesFisher), (PowerSpherical, PowerSpherical)],
)
def test_gradients_agree_with_differences(of_p, of_q):
    torch.manual_seed(0)
    inputs = (
        unit(3, 4, dtype=torch.float64).requires_grad_(),
        unit(3, 4, dtype=torch.float64).requires_grad_(),
        torch.tensor([0.4, 3.0, 50.0], dtype=torch.float64, requires_grad=True),
        torch.tensor([2.0, 0.7, 20.0], dtype=torch.float64, requires_grad=True),
    )

    def divergence(*x: torch.Tensor) -> torch.Tensor:
        return kl_divergence(of_p(x[0], x[2], validate_args=False), of_q(x[1], x[3], validate_args=False))

    assert torch.autograd.gradcheck(divergence, inputs)


@pytest.mark.parametrize("m", [2, 3, 10, 512])
@pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical])
def test_the_training_divergence_has_the_gradient_kappa_slope(family, m, exact, exact_power):
    concentration = torch.tensor([0.0, 1e-6, 1e-3, 1.0, 100.0, 1e4, 1e6], requires_grad=True)
    loc = torch.zeros(m)
    loc[0] = 1
    divergence = kl_divergence(family(loc, concentration), HypersphericalUniform(m - 1))
    (gradient,) = torch.autograd.grad(divergence.sum(), concentration)
    divergence = divergence.detach()
    assert float(gradient[0]) == float(divergence[0]) == 0
    for k, value, got in zip(concentration.tolist()[1:], divergence.tolist()[1:], gradient.tolist()[1:], strict=True):
        truth = (exact if family is VonMisesFisher else exact_power)(m, k)
        assert abs(value / truth["divergence"] - 1) < 1e-6
        assert abs(got / truth["pull"] - 1) < 1e-6


@pytest.mark.parametrize("m", [2, 3, 10, 512])
def test_the_divergence_of_the_uniform_law_has_its_gradient_too(m, exact_power):
    concentration = torch.tensor([0.0, 1e-6, 1e-3, 1.0, 100.0, 1e6], requires_grad=True)
    divergence = kl_divergence(HypersphericalUniform(m - 1), PowerSpherical(torch.eye(m)[0], concentration))
    (gradient,) = torch.autograd.grad(divergence.sum(), concentration)
    divergence = divergence.detach()
    assert float(gradient[0]) == float(divergence[0]) == 0
    for k, value, got in zip(concentration.tolist()[1:], divergence.tolist()[1:], gradient.tolist()[1:], strict=True):
        assert abs(value / exact_power(m, k)["reverse"] - 1) < 1e-6
        assert abs(got / exact_power(m, k)["drop"] - 1) < 1e-6


def test_shapes_are_those_of_both_batches():
    torch.manual_seed(0)
    q = VonMisesFisher(unit(5, 3), torch.ones(5))
    uniform = HypersphericalUniform(2)
    assert kl_divergence(q, uniform).shape == (5,)
    assert kl_divergence(q, uniform.expand((2, 5))).shape == (2, 5)
    assert kl_divergence(uniform, q).shape == (5,)
    assert kl_divergence(q, VonMisesFisher(unit(2, 1, 3), 1.0)).shape == (2, 5)
    power = PowerSpherical(unit(2, 1, 3), torch.ones(5))
    assert kl_divergence(power, q).shape == kl_divergence(power, PowerSpherical(unit(5, 3), 2.0)).shape == (2, 5)
    assert kl_divergence(uniform.expand((4,)), uniform).shape == (4,)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair != "uniform-uniform"])
def test_different_spheres_are_refused(pair):
    p, q = PAIRS[pair](3, unit(3), unit(3))
    _, other = PAIRS[pair](4, unit(4), unit(4))
    with pytest.raises(ValueError, match="one space"):
        kl_divergence(p, other)
    assert kl_divergence(p, q).shape == ()


def test_a_plain_autoencoder_pays_no_divergence():
    loc = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    divergence = kl_divergence(Delta(loc), ImproperUniform((), (3,)))
    assert torch.equal(divergence, torch.zeros(4, dtype=torch.float64))
