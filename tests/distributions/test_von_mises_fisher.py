"""The von Mises-Fisher distribution."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import kl_divergence

from curvi.distributions import HypersphericalUniform, VonMisesFisher


def unit(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(shape, dtype=dtype), dim=-1)


@pytest.mark.parametrize(
    ("loc", "concentration", "batch"),
    [((4, 3), (4,), (4,)), ((3,), (4,), (4,)), ((4, 3), (), (4,)), ((2, 1, 3), (5,), (2, 5))],
)
def test_parameters_broadcast(loc, concentration, batch):
    torch.manual_seed(0)
    q = VonMisesFisher(unit(*loc), torch.ones(concentration))
    assert q.batch_shape == batch
    assert q.event_shape == (3,)
    assert q.rsample((7, 2)).shape == (7, 2, *batch, 3)
    assert q.log_prob(q.rsample((7,))).shape == (7, *batch)
    assert q.mean.shape == q.mode.shape == (*batch, 3)
    assert q.entropy().shape == q.mean_resultant_length.shape == batch


def test_a_number_is_a_concentration():
    q = VonMisesFisher(unit(4, 3, dtype=torch.float64), 3.0)
    assert q.concentration.dtype == torch.float64
    assert q.rsample().dtype == torch.float64


def test_mixed_precision_keeps_the_finer():
    q = VonMisesFisher(unit(4, 3), torch.ones(4, dtype=torch.float64))
    assert q.loc.dtype == q.rsample().dtype == torch.float64


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="at least 2"):
        VonMisesFisher(torch.ones(4, 1), 1.0)
    with pytest.raises(ValueError, match="loc"):
        VonMisesFisher(torch.ones(4, 3), 1.0, validate_args=True)
    with pytest.raises(ValueError, match="concentration"):
        VonMisesFisher(unit(4, 3), -1.0, validate_args=True)
    with pytest.raises(ValueError, match="within the support"):
        VonMisesFisher(unit(4, 3), 1.0, validate_args=True).log_prob(torch.ones(4, 3))
    assert bool(torch.isfinite(VonMisesFisher(torch.ones(4, 3), 1.0, validate_args=False).entropy()).all())


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


@pytest.mark.parametrize("kappa", [0.0, 1.0, 30.0])
def test_the_density_integrates_to_one(kappa):
    angle = torch.linspace(-np.pi, np.pi, 4001, dtype=torch.float64)[:-1]
    circle = VonMisesFisher(torch.tensor([0.6, 0.8], dtype=torch.float64), kappa)
    density = circle.log_prob(torch.stack([angle.cos(), angle.sin()], -1)).exp()
    torch.testing.assert_close(density.mean() * 2 * np.pi, torch.tensor(1.0).double())
    # On the globe, heights are uniform under the uniform law.
    height, weight = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(200))
    radius = (1 - height**2).sqrt()
    globe = VonMisesFisher(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), kappa)
    density = globe.log_prob(torch.stack([radius, 0 * radius, height], -1)).exp()
    torch.testing.assert_close((weight * density).sum() * 2 * np.pi, torch.tensor(1.0).double())


@pytest.mark.parametrize("m", [2, 3, 5, 10, 50])
@pytest.mark.parametrize("kappa", [0.0, 1.0, 20.0, 1e3])
def test_draws_have_the_stated_mean_and_entropy(m, kappa):
    torch.manual_seed(m)
    q = VonMisesFisher(unit(m), kappa)
    z = q.sample((20_000,))
    error = z.std(0) / 20_000**0.5
    assert bool(((z.mean(0) - q.mean).abs() < 5 * error + 1e-6).all())
    surprise = -q.log_prob(z)
    assert abs(float(surprise.mean() - q.entropy())) < 5 * float(surprise.std()) / 20_000**0.5 + 2e-5


@pytest.mark.parametrize("m", [2, 3, 5, 11, 50, 512])
def test_draws_have_length_one(m):
    torch.manual_seed(0)
    z = VonMisesFisher(unit(2000, m), torch.logspace(-2, 6, 2000)).sample()
    assert float((z.double().norm(dim=-1) - 1).abs().max()) < 1e-6


@pytest.mark.parametrize("m", [2, 3, 5, 50])
def test_the_gradient_in_the_mean_direction_is_unbiased(m):
    # E<a, z> = A <a, mu>, and E<a, z>^2 = (A / kappa) + (1 - m A / kappa) <a, mu>^2 for unit a.
    torch.manual_seed(m)
    kappa, n = 8.0, 200_000
    loc, a = unit(m).requires_grad_(), unit(m)
    q = VonMisesFisher(loc, kappa)
    height = q.rsample((n,)) @ a
    length = float(q.mean_resultant_length.detach())
    tangent = a - (a @ loc.detach()) * loc.detach()
    for sample, expected in (
        (height, length * tangent),
        (height**2, 2 * (1 - m * length / kappa) * (a @ loc.detach()) * tangent),
    ):
        (gradient,) = torch.autograd.grad(sample.mean(), loc, retain_graph=True)
        assert float((gradient - expected).norm()) < 5e-3 * float(tangent.norm()) + 2e-3


def test_closed_forms_have_the_gradients_of_their_values():
    loc = unit(3, 4, dtype=torch.float64)
    value = unit(3, 4, dtype=torch.float64).requires_grad_()
    concentration = torch.tensor([0.3, 5.0, 60.0], dtype=torch.float64, requires_grad=True)

    def closed(k: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, ...]:
        q = VonMisesFisher(loc, k, validate_args=False)
        return q.entropy(), q.mean, q.mean_resultant_length, q.log_prob(z), q.divergence_from_uniform()

    assert torch.autograd.gradcheck(closed, (concentration, value))


def test_expand_keeps_the_law():
    torch.manual_seed(0)
    q = VonMisesFisher(unit(3, 4), torch.tensor([1.0, 10.0, 100.0]), validate_args=True)
    wide = q.expand((5, 3))
    assert isinstance(wide, VonMisesFisher)
    assert wide.batch_shape == (5, 3)
    assert wide.rsample().shape == (5, 3, 4)
    torch.testing.assert_close(wide.entropy(), q.entropy().expand(5, 3))
    with pytest.raises(ValueError, match="within the support"):
        wide.log_prob(torch.ones(4))


def test_the_seed_of_torch_decides():
    q = VonMisesFisher(unit(100, 5), 10.0)
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(q.sample())
    assert torch.equal(*draws)
    assert not torch.equal(draws[0], q.sample())


def test_sample_carries_no_gradient():
    q = VonMisesFisher(unit(3).requires_grad_(), torch.tensor(2.0, requires_grad=True))
    assert not q.sample().requires_grad
    assert q.rsample().requires_grad


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_training_step_compiles_into_one_graph():
    def step(raw: torch.Tensor, log_kappa: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        q = VonMisesFisher(torch.nn.functional.normalize(raw, dim=-1), log_kappa.exp(), validate_args=False)
        return q.rsample(), kl_divergence(q, HypersphericalUniform(raw.shape[-1] - 1, validate_args=False))

    torch.manual_seed(0)
    compiled = torch.compile(step, fullgraph=True)
    for n, m in ((16, 5), (13, 5), (16, 3)):
        raw, log_kappa = torch.randn(n, m, requires_grad=True), torch.randn(n, requires_grad=True)
        z, divergence = compiled(raw, log_kappa)
        torch.testing.assert_close(z.norm(dim=-1), torch.ones(n))
        torch.testing.assert_close(divergence, step(raw, log_kappa)[1])
        for gradient in torch.autograd.grad(z.sum() + divergence.sum(), (raw, log_kappa)):
            assert bool(torch.isfinite(gradient).all())
            assert float(gradient.abs().max()) > 0


@pytest.mark.gpu
@pytest.mark.parametrize("m", [2, 3, 5, 50])
def test_a_device_gives_the_same_law_without_waiting(m):
    loc = unit(m).cuda().requires_grad_()
    concentration = torch.tensor([0.0, 1.0, 20.0, 1e4], device="cuda", requires_grad=True)
    # The first call brings its constants to the device.
    first = VonMisesFisher(loc, concentration, validate_args=False)
    first.log_prob(first.rsample()).sum().backward()
    q = VonMisesFisher(loc, concentration, validate_args=False)
    torch.cuda.set_sync_debug_mode("error")
    try:
        z = q.rsample((20_000,))
        (z.sum() + q.log_prob(z).sum() + q.divergence_from_uniform().sum()).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert bool((((z.mean(0) - q.mean).abs()) < 5 * z.std(0) / 20_000**0.5 + 1e-6).all())
    here = VonMisesFisher(loc.detach().cpu(), concentration.detach().cpu())
    torch.testing.assert_close(q.entropy().cpu(), here.entropy())
