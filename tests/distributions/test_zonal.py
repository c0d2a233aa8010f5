"""What the von Mises-Fisher and the power spherical distribution have in common."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import kl_divergence

from curvi.distributions import HypersphericalUniform, PowerSpherical, VonMisesFisher, _arrays


def unit(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(shape, dtype=dtype), dim=-1)


@pytest.fixture(params=[VonMisesFisher, PowerSpherical])
def family(request) -> type[VonMisesFisher | PowerSpherical]:
    return request.param


@pytest.mark.parametrize(
    ("loc", "concentration", "batch"),
    [((4, 3), (4,), (4,)), ((3,), (4,), (4,)), ((4, 3), (), (4,)), ((2, 1, 3), (5,), (2, 5))],
)
def test_parameters_broadcast(family, loc, concentration, batch):
    torch.manual_seed(0)
    q = family(unit(*loc), torch.ones(concentration))
    assert q.batch_shape == batch
    assert q.event_shape == (3,)
    assert q.rsample((7, 2)).shape == (7, 2, *batch, 3)
    assert q.log_prob(q.rsample((7,))).shape == (7, *batch)
    assert q.mean.shape == q.mode.shape == (*batch, 3)
    assert q.entropy().shape == q.mean_resultant_length.shape == batch


@settings(max_examples=60, deadline=None)
@given(
    family=st.sampled_from([VonMisesFisher, PowerSpherical]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    m=st.integers(2, 40),
    batch=st.lists(st.integers(0, 3), max_size=3),
    sample=st.lists(st.integers(0, 3), max_size=2),
    exponent=st.floats(-40, 30) | st.just(-float("inf")),
)
def test_any_shape_and_any_concentration_give_finite_numbers(family, dtype, m, batch, sample, exponent):
    loc = unit(*batch, m, dtype=dtype).requires_grad_()
    concentration = torch.full(batch, 10.0**exponent, dtype=dtype, requires_grad=True)
    q = family(loc, concentration)
    z = q.rsample(sample)
    assert z.shape == (*sample, *batch, m)
    assert bool(((z.norm(dim=-1) - 1).abs() < 1e-6).all())
    divergence = kl_divergence(q, HypersphericalUniform(m - 1, dtype=dtype))
    results = [z, divergence, q.log_prob(z.detach()), q.mean, q.entropy()]
    assert divergence.shape == tuple(batch)
    assert bool((divergence >= 0).all())
    gradients = torch.autograd.grad(sum(x.sum() for x in results), (loc, concentration))
    for x in (*results, *gradients):
        assert bool(torch.isfinite(x).all())


def test_a_number_is_a_concentration(family):
    q = family(unit(4, 3, dtype=torch.float64), 3.0)
    assert q.concentration.dtype == torch.float64
    assert q.rsample().dtype == torch.float64


def test_mixed_precision_keeps_the_finer(family):
    q = family(unit(4, 3), torch.ones(4, dtype=torch.float64))
    assert q.loc.dtype == q.rsample().dtype == torch.float64


def test_arguments_are_checked(family):
    with pytest.raises(ValueError, match="at least 2"):
        family(torch.ones(4, 1), 1.0)
    with pytest.raises(ValueError, match="loc"):
        family(torch.ones(4, 3), 1.0, validate_args=True)
    with pytest.raises(ValueError, match="concentration"):
        family(unit(4, 3), -1.0, validate_args=True)
    with pytest.raises(ValueError, match="within the support"):
        family(unit(4, 3), 1.0, validate_args=True).log_prob(torch.ones(4, 3))
    assert bool(torch.isfinite(family(torch.ones(4, 3), 1.0, validate_args=False).entropy()).all())


@pytest.mark.parametrize("kappa", [0.0, 0.2, 1.0, 30.0])
def test_the_density_integrates_to_one(family, kappa):
    x, weight = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(400))
    # The angle from the pole of the circle, on either side; on the globe, heights are uniform under the uniform law.
    angle = (x + 1) * np.pi / 2
    circle = family(torch.tensor([1.0, 0.0], dtype=torch.float64), kappa)
    density = circle.log_prob(torch.stack([angle.cos(), angle.sin()], -1)).exp()
    assert float((weight * density).sum() * np.pi) == pytest.approx(1, abs=1e-4)
    globe = family(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), kappa)
    density = globe.log_prob(torch.stack([(1 - x**2).sqrt(), 0 * x, x], -1)).exp()
    assert float((weight * density).sum() * 2 * np.pi) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("m", [2, 3, 5, 10, 50])
@pytest.mark.parametrize("kappa", [0.0, 1.0, 20.0, 1e3])
def test_draws_have_the_stated_mean_and_entropy(family, m, kappa):
    torch.manual_seed(m)
    q = family(unit(m), kappa)
    z = q.sample((20_000,))
    error = z.std(0) / 20_000**0.5
    assert bool(((z.mean(0) - q.mean).abs() < 5 * error + 1e-6).all())
    surprise = -q.log_prob(z)
    assert abs(float(surprise.mean() - q.entropy())) < 5 * float(surprise.std()) / 20_000**0.5 + 2e-5


@pytest.mark.parametrize("m", [2, 3, 5, 11, 50, 512])
def test_draws_have_length_one(family, m):
    torch.manual_seed(0)
    z = family(unit(2000, m), torch.logspace(-2, 6, 2000)).sample()
    assert float((z.double().norm(dim=-1) - 1).abs().max()) < 1e-6


@pytest.mark.parametrize("m", [2, 3, 5, 50])
def test_the_gradient_in_the_mean_direction_is_unbiased(family, m, depth_law):
    # E<a, z> = E w <a, mu>, and E<a, z>^2 = (1 - E w^2) / (m - 1) + (m E w^2 - 1) / (m - 1) <a, mu>^2 for unit a.
    torch.manual_seed(m)
    kappa, n = 8.0, 200_000
    loc, a = unit(m).requires_grad_(), unit(m)
    q = family(loc, kappa)
    height = q.rsample((n,)) @ a
    law = depth_law(family.tilt, m, kappa)
    length, square = law.mean(np.cos(law.angle)), law.mean(np.cos(law.angle) ** 2)
    assert float(q.mean_resultant_length) == pytest.approx(length, rel=1e-5)
    tangent = a - (a @ loc.detach()) * loc.detach()
    for sample, expected in (
        (height, length * tangent),
        (height**2, 2 * (m * square - 1) / (m - 1) * (a @ loc.detach()) * tangent),
    ):
        (gradient,) = torch.autograd.grad(sample.mean(), loc, retain_graph=True)
        assert float((gradient - expected).norm()) < 5e-3 * float(tangent.norm()) + 2e-3


def test_closed_forms_have_the_gradients_of_their_values(family):
    torch.manual_seed(0)
    loc = unit(3, 4, dtype=torch.float64)
    value = unit(3, 4, dtype=torch.float64).requires_grad_()
    concentration = torch.tensor([0.3, 5.0, 60.0], dtype=torch.float64, requires_grad=True)

    def closed(k: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, ...]:
        q = family(loc, k, validate_args=False)
        return q.entropy(), q.mean, q.mean_resultant_length, q.log_prob(z), q.divergence_from_uniform()

    assert torch.autograd.gradcheck(closed, (concentration, value))


def test_expand_keeps_the_law(family):
    torch.manual_seed(0)
    q = family(unit(3, 4), torch.tensor([1.0, 10.0, 100.0]), validate_args=True)
    wide = q.expand((5, 3))
    assert type(wide) is family
    assert wide.batch_shape == (5, 3)
    assert wide.rsample().shape == (5, 3, 4)
    torch.testing.assert_close(wide.entropy(), q.entropy().expand(5, 3))
    with pytest.raises(ValueError, match="within the support"):
        wide.log_prob(torch.ones(4))


def test_the_seed_of_torch_decides(family):
    q = family(unit(100, 5), 10.0)
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(q.sample())
    assert torch.equal(*draws)
    assert not torch.equal(draws[0], q.sample())


@pytest.mark.parametrize("m", [2, 3, 4, 11, 20])
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 2e-4), (torch.float64, 1e-9)])
def test_few_draws_are_made_of_the_same_random_numbers_as_many(family, m, dtype, bar, monkeypatch):
    torch.manual_seed(m)
    loc = unit(40, m, dtype=dtype).requires_grad_()
    concentration = torch.logspace(-2, 4, 40, dtype=dtype, requires_grad=True)
    weight = torch.randn(3, 40, m, dtype=dtype)
    made = []
    for few in (0, 120):
        monkeypatch.setattr(_arrays, "FEW", few)
        torch.manual_seed(0)
        q = family(loc, concentration)
        z, divergence = q.rsample((3,)), q.divergence_from_uniform()
        gradients = torch.autograd.grad((z * weight).sum() + divergence.sum(), (loc, concentration))
        made.append((z, divergence, *gradients))
    for many, few in zip(*made, strict=True):
        torch.testing.assert_close(few, many, rtol=bar, atol=bar)


def test_few_draws_can_be_differentiated_by_their_direction_alone(family):
    loc = unit(5, 4).requires_grad_()
    family(loc, 7.0).rsample().sum().backward()
    assert float(loc.grad.abs().min()) > 0


def test_sample_carries_no_gradient(family):
    q = family(unit(3).requires_grad_(), torch.tensor(2.0, requires_grad=True))
    assert not q.sample().requires_grad
    assert q.rsample().requires_grad


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_training_step_compiles_into_one_graph(family):
    def step(raw: torch.Tensor, log_kappa: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        q = family(torch.nn.functional.normalize(raw, dim=-1), log_kappa.exp(), validate_args=False)
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
def test_a_device_gives_the_same_law_without_waiting(family, m):
    loc = unit(m).cuda().requires_grad_()
    concentration = torch.tensor([0.0, 1.0, 20.0, 1e4], device="cuda", requires_grad=True)
    # The first call brings its constants to the device.
    first = family(loc, concentration, validate_args=False)
    (first.log_prob(first.rsample()).sum() + kl_divergence(first, first).sum()).backward()
    q = family(loc, concentration, validate_args=False)
    torch.cuda.set_sync_debug_mode("error")
    try:
        z = q.rsample((20_000,))
        (z.sum() + q.log_prob(z).sum() + q.divergence_from_uniform().sum() + kl_divergence(q, q).sum()).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert bool((((z.mean(0) - q.mean).abs()) < 5 * z.std(0) / 20_000**0.5 + 1e-6).all())
    here = family(loc.detach().cpu(), concentration.detach().cpu())
    torch.testing.assert_close(q.entropy().cpu(), here.entropy())
