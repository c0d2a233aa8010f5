"""The wrapped normal distribution of hyperbolic space."""

from __future__ import annotations

import copy
import gc
import pickle
import warnings
import weakref

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.hermite_e import hermegauss
from scipy import stats
from torch.distributions import Independent, Normal, kl_divergence

from curvi.distributions import WrappedNormal, _carried, _wrapped_normal, tangent_coordinates
from curvi.manifolds import Lorentz, Poincare
from curvi.manifolds._translate import translate

CHARTS = [Lorentz, Poincare]
F64 = torch.float64


@pytest.fixture(params=["compiled", "torch"])
def library(request, monkeypatch) -> str:
    """Both ways to compute: that of the CPU, and that of other devices."""
    if request.param == "torch":
        monkeypatch.setattr(_carried, "library", lambda _device: torch)
    return request.param


@pytest.fixture(autouse=True)
def warn_again(monkeypatch) -> None:
    monkeypatch.setattr(_wrapped_normal, "_warned", False)


def some(chart, dim=2, n=4, curvature=1.0, dtype=F64, seed=0) -> WrappedNormal:
    torch.manual_seed(seed)
    space = chart(dim, curvature).to(dtype)
    return WrappedNormal.from_tangent(space, torch.randn(n, dim, dtype=dtype), 0.2 + torch.rand(n, dim, dtype=dtype))


def exact_log_prob(v: list[float], scale: list[float], curvature: float) -> mpmath.mpf:
    """The log-density at a tangent vector, to 50 digits."""
    with mpmath.workdps(50):
        v, scale = ([mpmath.mpf(x) for x in row] for row in (v, scale))
        r = mpmath.sqrt(curvature) * mpmath.norm(v)
        gauss = sum(
            -((x / s) ** 2) / 2 - mpmath.log(s) - mpmath.log(2 * mpmath.pi) / 2 for x, s in zip(v, scale, strict=True)
        )
        return gauss - (len(v) - 1) * mpmath.log(mpmath.sinh(r) / r)


def exact_translate(m: list[float], v: list[float]) -> list[mpmath.mpf]:
    """A boost of the hyperboloid of curvature -1, to 120 digits."""
    with mpmath.workdps(120):
        a, b = mpmath.norm(m), mpmath.norm(v)
        sinh_a, sinh_b = mpmath.sinh(a) / a, mpmath.sinh(b) / b
        bent = (mpmath.cosh(a) - 1) / a**2
        along = sinh_a * mpmath.cosh(b) + bent * sinh_b * mpmath.fdot(m, v)
        w = [along * mpmath.mpf(x) + sinh_b * mpmath.mpf(y) for x, y in zip(m, v, strict=True)]
        size = mpmath.norm(w)
        return [x * mpmath.asinh(size) / size for x in w]


# Values


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("curvature", [1.0, 0.4])
def test_the_density_integrates_to_one_over_the_hyperbolic_plane(chart, curvature):
    # In polar coordinates around the origin, where the area is sinh(s r) / s dr dphi.
    space = chart(2, curvature).to(F64)
    mean, scale = torch.tensor([0.7, -0.4], dtype=F64), torch.tensor([0.5, 0.8], dtype=F64)
    q = WrappedNormal.from_tangent(space, mean, scale)
    x, weight = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(300))
    r = 4 * (x + 1)
    angle = torch.arange(400, dtype=F64) * (2 * np.pi / 400)
    t = r[:, None, None] * torch.stack([angle.cos(), angle.sin()], -1)
    area = torch.sinh(curvature**0.5 * r) / curvature**0.5 * 4 * weight * (2 * np.pi / 400)
    total = (q.log_prob(space.exp0(t)).exp() * area[:, None]).sum()
    torch.testing.assert_close(total, torch.tensor(1.0, dtype=F64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_log_prob_agrees_with_fifty_digits(library, chart, dim):
    q = some(chart, dim, 5, curvature=0.6)
    z = q.rsample((3,))
    got = q.log_prob(z)
    v = translate(-q.tangent_loc, tangent_coordinates(q.manifold, z), 0.6)
    for i, j in np.ndindex(3, 5):
        truth = exact_log_prob(v[i, j].tolist(), q.scale[j].tolist(), 0.6)
        assert abs(float(got[i, j]) - truth) < 1e-9 * (1 + abs(truth))


@pytest.mark.parametrize("dim", [2, 5])
def test_both_charts_give_the_same_numbers(dim):
    lorentz, poincare = (some(chart, dim, 6, 0.8) for chart in CHARTS)
    draws = []
    for q in (lorentz, poincare):
        torch.manual_seed(5)
        draws.append(q.rsample((7,)))
    coordinates = [q.manifold.log0(z.clone()) for q, z in zip((lorentz, poincare), draws, strict=True)]
    torch.testing.assert_close(*coordinates, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(lorentz.log_prob(draws[0]), poincare.log_prob(draws[1]), rtol=1e-12, atol=1e-12)
    # And as points from elsewhere.
    torch.testing.assert_close(lorentz.log_prob(draws[0].clone()), poincare.log_prob(draws[1].clone()))


@pytest.mark.parametrize("chart", CHARTS)
def test_a_draw_has_the_density_of_its_point(chart):
    q = some(chart, 3, 50)
    z = q.rsample((4,))
    torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()), rtol=1e-8, atol=1e-8)
    # Another distribution on the same manifold uses the coordinates at the origin.
    p = some(chart, 3, 50, seed=1)
    other = WrappedNormal.from_tangent(q.manifold, p.tangent_loc, p.scale)
    torch.testing.assert_close(other.log_prob(z), other.log_prob(z.clone()), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("radius", [1.0, 10.0, 40.0, 79.0])
def test_draws_are_exact_at_every_radius_in_float32(library, chart, radius):
    torch.manual_seed(0)
    space = chart(3)
    mean = torch.nn.functional.normalize(torch.randn(20, 3), dim=-1) * radius
    scale = 0.3 + torch.rand(20, 3)
    q, p = WrappedNormal.from_tangent(space, mean, scale), WrappedNormal.at_origin(space, torch.full((3,), 2.0))
    with warnings.catch_warnings(action="ignore"):
        # Points of the ball itself end at 15.
        z = q.rsample()
    with warnings.catch_warnings(action="error"):
        log_q, log_p, t = q.log_prob(z), p.log_prob(z), tangent_coordinates(space, z)
    noise = q._last.noise
    for i in range(20):
        v = [float(np.float32(s)) * float(e) for s, e in zip(scale[i], noise[i], strict=True)]
        exact = exact_translate(mean[i].tolist(), v)
        assert abs(float(t[i].norm().double()) / mpmath.norm(exact) - 1) < 1e-6
        truth = exact_log_prob(v, scale[i].tolist(), 1.0)
        assert abs(float(log_q[i]) - truth) < 1e-5 * (1 + abs(truth))
        truth = exact_log_prob(exact, [2.0] * 3, 1.0)
        assert abs(float(log_p[i]) - truth) < 1e-5 * (1 + abs(truth))


def test_near_the_mean_nothing_is_lost():
    q = WrappedNormal.at_origin(Lorentz(4).to(F64), torch.full((4,), 1e-6, dtype=F64))
    v = torch.tensor([0.0, 1e-200, 1e-9, 1e-7], dtype=F64)[:, None] * torch.ones(4, dtype=F64)
    v.requires_grad_()
    got = _carried.CarriedLogDensity.apply(v, q.scale, q.manifold.curvature)
    torch.testing.assert_close(got, Independent(Normal(torch.zeros_like(q.scale), q.scale), 1).log_prob(v.detach()))
    (gradient,) = torch.autograd.grad(got.sum(), v)
    torch.testing.assert_close(gradient, -(v / q.scale**2 + v).detach(), rtol=1e-9, atol=0)


# The law


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_the_radial_law_is_chi(chart, dim):
    torch.manual_seed(0)
    space = chart(dim, 0.5).to(F64)
    q = WrappedNormal.from_tangent(space, torch.full((dim,), 0.6, dtype=F64), torch.full((dim,), 0.7, dtype=F64))
    distance = space.dist(q.loc, q.sample((20_000,)))
    assert stats.kstest(distance.numpy() / 0.7, stats.chi(dim).cdf).pvalue > 1e-4


def test_the_axes_are_those_of_the_scale_carried_along():
    torch.manual_seed(0)
    space = Lorentz(2).to(F64)
    scale = torch.tensor([0.1, 1.0], dtype=F64)
    for mean in ([0.0, 0.0], [1.5, 0.0], [0.0, -2.0]):
        q = WrappedNormal.from_tangent(space, torch.tensor(mean, dtype=F64), scale)
        v = space.log(q.loc, z := q.sample((20_000,)))
        at_origin = space.transport(q.loc, space.origin, v)[:, 1:]
        for i in range(2):
            assert stats.kstest(at_origin[:, i].numpy() / float(scale[i]), stats.norm.cdf).pvalue > 1e-4
        assert space.contains(z)[0]


@pytest.mark.parametrize("chart", CHARTS)
def test_samples_agree_with_the_density(chart):
    # The share of draws in a disk, against the integral of the density over it.
    space = chart(2).to(F64)
    q = WrappedNormal.from_tangent(space, torch.tensor([0.8, 0.3], dtype=F64), torch.tensor([0.4, 0.9], dtype=F64))
    torch.manual_seed(0)
    n = 100_000
    inside = float((space.dist(space.exp0(torch.zeros(2, dtype=F64)), q.sample((n,))) < 1.0).double().mean())
    x, weight = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(100))
    r, angle = (x + 1) / 2, torch.arange(200, dtype=F64) * (2 * np.pi / 200)
    t = r[:, None, None] * torch.stack([angle.cos(), angle.sin()], -1)
    area = torch.sinh(r) * weight / 2 * (2 * np.pi / 200)
    share = float((q.log_prob(space.exp0(t)).exp() * area[:, None]).sum())
    assert abs(inside - share) < 5 * (share * (1 - share) / n) ** 0.5


def test_importance_weights_between_two_have_mean_one():
    torch.manual_seed(0)
    space = Poincare(3).to(F64)
    q = WrappedNormal.from_tangent(space, torch.tensor([0.3, 0.0, 0.2], dtype=F64), torch.full((3,), 0.9, dtype=F64))
    p = WrappedNormal.from_tangent(space, torch.tensor([0.0, 0.2, 0.0], dtype=F64), torch.full((3,), 0.7, dtype=F64))
    z = q.rsample((50_000,))
    weight = (p.log_prob(z) - q.log_prob(z)).exp()
    assert abs(float(weight.mean()) - 1) < 5 * float(weight.std()) / 50_000**0.5


def test_the_seed_of_torch_decides():
    q = some(Lorentz)
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(q.sample((10,)))
    assert torch.equal(*draws)
    assert not torch.equal(draws[0], q.sample((10,)))


# Gradients


def fixed_noise(monkeypatch, noise: torch.Tensor) -> None:
    monkeypatch.setattr(WrappedNormal, "_noise", lambda self, shape: noise)


@pytest.mark.parametrize("chart", CHARTS)
def test_draws_densities_and_divergences_have_the_gradients_of_their_values(library, chart, monkeypatch):
    torch.manual_seed(0)
    noise = torch.randn(2, 3, 2, dtype=F64)
    fixed_noise(monkeypatch, noise)
    mean, other = torch.randn(3, 2, dtype=F64, requires_grad=True), torch.randn(3, 2, dtype=F64, requires_grad=True)
    scale, wide = (
        (0.3 + torch.rand(3, 2, dtype=F64)).requires_grad_(),
        torch.tensor([1.0, 1.5], dtype=F64).requires_grad_(),
    )
    space = chart(2, 0.7, learn_curvature=True).to(F64)
    outside = space.exp0(torch.randn(3, 2, dtype=F64)).detach()

    def values(mean, scale, other, wide, *parameters):
        q = WrappedNormal.from_tangent(space, mean, scale, validate_args=False)
        around, origin = WrappedNormal.from_tangent(space, other, wide), WrappedNormal.at_origin(space, wide)
        z = q.rsample((2,))
        return (
            z,
            q.log_prob(z),
            q.log_prob(outside),
            origin.log_prob(z),
            kl_divergence(q, around),
        )

    assert torch.autograd.gradcheck(values, (mean, scale, other, wide, *space.parameters()), atol=1e-6)


def test_the_divergence_has_the_gradient_of_its_value_up_to_what_averages_out(library, monkeypatch):
    # The weight of the control variate counts as a constant; here it is one.
    torch.manual_seed(0)
    fixed_noise(monkeypatch, torch.randn(5, 3, 2, dtype=F64))
    mean = torch.randn(3, 2, dtype=F64, requires_grad=True)
    scale, wide = (
        (0.3 + torch.rand(3, 2, dtype=F64)).requires_grad_(),
        torch.tensor([1.0, 1.5], dtype=F64).requires_grad_(),
    )
    space = Lorentz(2, 0.7, learn_curvature=True).to(F64)
    noise = WrappedNormal._noise(None, None)

    @torch.no_grad()
    def weight(mean, scale):
        return space.curvature / (0.5 + torch.sqrt(6.25 + space.curvature * (mean**2 + scale**2).sum(-1)))

    per_curvature = weight(mean, scale) / space.curvature.detach()

    def divergence(mean, scale, wide, *parameters):
        q = WrappedNormal.from_tangent(space, mean, scale, validate_args=False)
        q.rsample((5,))
        product = (mean * scale * noise).sum(-1).mean(0)
        constant = weight(mean, scale) - per_curvature * space.curvature.detach()
        return kl_divergence(q, WrappedNormal.at_origin(space, wide)) + constant * product

    assert torch.autograd.gradcheck(divergence, (mean, scale, wide, *space.parameters()), atol=1e-6)


def hermite(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes ``(n * n, 2)`` and weights of a rule for standard normal numbers in the plane."""
    x, weight = hermegauss(n)
    weight = weight / weight.sum()
    nodes = np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2)
    return torch.from_numpy(nodes), torch.from_numpy(np.outer(weight, weight).reshape(-1))


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("around_origin", [True, False])
@pytest.mark.parametrize("curvature", [1.0, 0.3])
def test_the_divergence_and_its_gradients_agree_with_quadrature(chart, around_origin, curvature):
    torch.manual_seed(0)
    space = chart(2, curvature, learn_curvature=True).to(F64)
    mean = torch.tensor([1.2, -0.5], dtype=F64, requires_grad=True)
    scale = torch.tensor([0.3, 0.6], dtype=F64, requires_grad=True)
    wide = torch.tensor([1.0, 0.8], dtype=F64, requires_grad=True)
    other = torch.tensor([0.2, 0.3], dtype=F64, requires_grad=True)
    inputs = [mean, scale, wide, *space.parameters(), *([] if around_origin else [other])]

    def prior():
        return WrappedNormal.at_origin(space, wide) if around_origin else WrappedNormal.from_tangent(space, other, wide)

    nodes, weights = hermite(40)
    v = scale * nodes
    t = space.translate0(mean, v)
    seen = t if around_origin else space.translate0(-other, t)

    def density(v, scale):
        r = space.curvature.sqrt() * v.norm(dim=-1)
        return -((v / scale).square() / 2 + scale.log()).sum(-1) - (torch.sinh(r) / r).log()

    exact = weights @ (density(v, scale) - density(seen, wide))
    truth = torch.autograd.grad(exact, inputs)
    n = 40_000
    q = WrappedNormal.from_tangent(space, mean.expand(n, 2), scale.expand(n, 2))
    kl = kl_divergence(q, prior())
    assert abs(float((kl.mean() - exact).detach())) < 5 * float(kl.detach().std()) / n**0.5
    got = torch.autograd.grad(kl.mean(), inputs)
    for gradient, expected in zip(got, truth, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("chart", CHARTS)
def test_gradients_of_expectations_agree_with_quadrature(chart):
    torch.manual_seed(0)
    space = chart(2).to(F64)
    mean = torch.tensor([1.0, 0.5], dtype=F64, requires_grad=True)
    scale = torch.tensor([0.3, 0.7], dtype=F64, requires_grad=True)
    target = space.exp0(torch.tensor([-0.5, 1.0], dtype=F64))
    nodes, weights = hermite(60)
    exact = weights @ space.dist(space.exp0(space.translate0(mean, scale * nodes)), target).square()
    truth = torch.autograd.grad(exact, (mean, scale))
    q = WrappedNormal.from_tangent(space, mean, scale)
    estimate = space.dist(q.rsample((100_000,)), target).square().mean()
    for gradient, expected in zip(torch.autograd.grad(estimate, (mean, scale)), truth, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=0.01, atol=0.02)


def test_one_draw_has_little_noise():
    # Against the plain difference of two log-densities at the draw.
    torch.manual_seed(0)
    n, space = 4000, Lorentz(10).to(F64)
    mean = torch.zeros(n, 10, dtype=F64)
    mean[:, 0] = 2.0
    mean, scale = mean.requires_grad_(), torch.full((n, 10), 0.2, dtype=F64, requires_grad=True)
    q, p = WrappedNormal.from_tangent(space, mean, scale), WrappedNormal.at_origin(space, torch.ones(10, dtype=F64))
    z = q.rsample()
    plain, ours = q.log_prob(z) - p.log_prob(z), kl_divergence(q, p)
    spread = [torch.autograd.grad(kl.sum(), mean, retain_graph=True)[0].std(0).norm() for kl in (plain, ours)]
    assert float(spread[1]) < 0.25 * float(spread[0])
    assert float(ours.detach().std()) < 0.25 * float(plain.detach().std())


# Divergences


@pytest.mark.parametrize("chart", CHARTS)
def test_around_one_origin_the_divergence_is_nearly_that_of_gaussians(chart):
    space = chart(3).to(F64)
    p = WrappedNormal.at_origin(space, torch.tensor([1.0, 2.0, 0.5], dtype=F64))
    assert float(kl_divergence(p, p).abs()) < 1e-12
    q = WrappedNormal.from_tangent(space, torch.zeros(3, dtype=F64), torch.tensor([0.2, 0.4, 0.5], dtype=F64))
    flat = kl_divergence(*(Independent(Normal(torch.zeros(3, dtype=F64), x.scale), 1) for x in (q, p)))
    torch.testing.assert_close(kl_divergence(q, p), flat)


def test_the_divergence_is_that_of_the_last_draw():
    q = some(Lorentz)
    p = WrappedNormal.at_origin(q.manifold, torch.ones(2, dtype=F64))
    q.rsample((3,))
    assert torch.equal(kl_divergence(q, p), kl_divergence(q, p))
    other = WrappedNormal.from_tangent(q.manifold, torch.zeros(2, dtype=F64), p.scale)
    assert torch.equal(kl_divergence(q, other), kl_divergence(q, other))
    before = kl_divergence(q, p)
    q.rsample((3,))
    assert not torch.equal(kl_divergence(q, p), before)
    fresh = some(Lorentz)
    assert not torch.equal(kl_divergence(fresh, p), kl_divergence(fresh, p))


def test_several_draws_give_the_mean_of_their_divergences(monkeypatch):
    q = some(Lorentz)
    p = WrappedNormal.at_origin(q.manifold, torch.ones(2, dtype=F64))
    noise = torch.randn(3, 4, 2, dtype=F64)
    fixed_noise(monkeypatch, noise)
    q.rsample((3,))
    together = kl_divergence(q, p)
    apart = []
    for row in noise:
        fixed_noise(monkeypatch, row)
        q.rsample()
        apart.append(kl_divergence(q, p))
    torch.testing.assert_close(together, torch.stack(apart).mean(0))


def test_shapes_are_those_of_both_batches():
    q = some(Lorentz, n=5)
    space, one = q.manifold, torch.ones(2, dtype=F64)
    for draws in ((), (3,), (3, 2)):
        q.rsample(draws)
        assert kl_divergence(q, WrappedNormal.at_origin(space, one)).shape == (5,)
        for p in (
            WrappedNormal.at_origin(space, one.expand(7, 1, 2)),
            WrappedNormal.from_tangent(space, torch.randn(7, 1, 2, dtype=F64), one),
        ):
            kl = kl_divergence(q, p)
            assert kl.shape == (7, 5)
            torch.testing.assert_close(kl[2, 3], kl_divergence(q, p.expand((7, 5)))[2, 3])
    single = WrappedNormal.from_tangent(space, torch.zeros(2, dtype=F64), one)
    assert kl_divergence(single, q).shape == (5,)


def test_different_spaces_are_refused():
    q = some(Lorentz)
    for space in (Lorentz(3).to(F64), Lorentz(2, 2.0).to(F64), Poincare(2).to(F64)):
        with pytest.raises(ValueError, match="one space"):
            kl_divergence(q, WrappedNormal.at_origin(space, torch.ones(space.dim, dtype=F64)))
    again = WrappedNormal.at_origin(Lorentz(2).to(F64), torch.ones(2, dtype=F64))
    assert kl_divergence(q, again).shape == (4,)


# What is remembered


@pytest.mark.parametrize("chart", CHARTS)
def test_points_from_elsewhere_are_warned_of_once(chart):
    space = chart(2)
    q = WrappedNormal.from_tangent(space, torch.tensor([7.5, 0.0]), torch.ones(2))
    near = WrappedNormal.at_origin(space, torch.full((2,), 0.1))
    with warnings.catch_warnings(action="error"):
        near.log_prob(near.rsample((100,)).clone())
        q.log_prob(q.rsample())
    with pytest.warns(UserWarning, match="float32"):
        q.log_prob(q.loc)
    with warnings.catch_warnings(action="error"):
        q.log_prob(q.loc)


def test_float64_is_not_warned_of():
    q = WrappedNormal.from_tangent(Lorentz(2).to(F64), torch.tensor([9.0, 0.0], dtype=F64), torch.ones(2, dtype=F64))
    torch.testing.assert_close(q.log_prob(q.loc), torch.tensor(-np.log(2 * np.pi), dtype=F64))


def test_a_changed_draw_is_a_point_from_elsewhere():
    q = some(Lorentz)
    z = q.sample()
    before = q.log_prob(z)
    with torch.no_grad():
        z.copy_(q.loc)
    torch.testing.assert_close(q.log_prob(z), q.log_prob(q.loc))
    assert bool((q.log_prob(z) > before).all())
    torch.testing.assert_close(tangent_coordinates(q.manifold, z), q.tangent_loc)


def test_a_draw_can_be_made_a_variable():
    q = some(Lorentz)
    z = q.sample().requires_grad_()
    (gradient,) = torch.autograd.grad(q.log_prob(z).sum(), z)
    assert float(gradient.abs().max()) > 0
    (gradient,) = torch.autograd.grad(tangent_coordinates(q.manifold, z).sum(), z)
    assert float(gradient.abs().max()) > 0


def test_changed_parameters_are_noticed():
    torch.manual_seed(0)
    space = Lorentz(2).to(F64)
    mean = torch.zeros(4, 2, dtype=F64, requires_grad=True)
    q = WrappedNormal.from_tangent(space, mean, torch.ones(4, 2, dtype=F64))
    p = WrappedNormal.at_origin(space, torch.ones(2, dtype=F64))
    z = q.rsample()
    with torch.no_grad():
        mean += 3.0
    torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()))
    assert bool((kl_divergence(q, p) > 5).all())


def test_a_draw_serves_after_its_graph_was_freed():
    torch.manual_seed(0)
    space = Lorentz(2)
    mean, scale = torch.randn(4, 2, requires_grad=True), torch.ones(4, 2, requires_grad=True)
    q, p = WrappedNormal.from_tangent(space, mean, scale), WrappedNormal.at_origin(space, torch.ones(2))
    z = q.rsample()
    z.sum().backward()
    for _ in range(2):
        (kl_divergence(q, p).sum() + q.log_prob(z).sum()).backward()
    assert bool(torch.isfinite(mean.grad).all())


def test_a_draw_without_gradient_does_not_take_it_from_the_divergence():
    mean = torch.randn(4, 2, requires_grad=True)
    space = Lorentz(2)
    q, p = WrappedNormal.from_tangent(space, mean, torch.ones(4, 2)), WrappedNormal.at_origin(space, torch.ones(2))
    assert not q.sample().requires_grad
    (gradient,) = torch.autograd.grad(kl_divergence(q, p).sum(), mean)
    assert float(gradient.abs().max()) > 0


def test_nothing_is_kept_longer_than_needed():
    gc.collect()
    q = some(Lorentz)
    known = len(_wrapped_normal._ORIGINS)
    z = q.rsample()
    assert len(_wrapped_normal._ORIGINS) == known + 1
    watch = weakref.ref(z)
    del z
    assert watch() is None
    assert len(_wrapped_normal._ORIGINS) == known
    watch = weakref.ref(q)
    del q
    assert watch() is None


def test_copies_and_files_hold_no_draw():
    space = Lorentz(2)
    q = WrappedNormal.from_tangent(space, torch.randn(4, 2, requires_grad=True), torch.ones(4, 2))
    z = q.rsample()
    for again in (copy.deepcopy(q), pickle.loads(pickle.dumps(q))):
        assert again._last is None
        torch.testing.assert_close(again.log_prob(z), q.log_prob(z), rtol=1e-4, atol=1e-4)
        assert again.rsample().shape == (4, 3)


@torch.inference_mode()
def test_inference_mode_remembers_too():
    space = Poincare(2)
    q = WrappedNormal.from_tangent(space, torch.full((4, 2), 20.0), torch.ones(4, 2))
    z = q.rsample((3,))
    with warnings.catch_warnings(action="error"):
        log_weight = WrappedNormal.at_origin(space, torch.ones(2)).log_prob(z) - q.log_prob(z)
    assert bool(torch.isfinite(log_weight).all())


# Arguments


def test_parameters_broadcast():
    space = Lorentz(2)
    q = WrappedNormal.from_tangent(space, torch.zeros(5, 1, 2), torch.ones(3, 2))
    assert q.batch_shape == (5, 3)
    assert q.event_shape == (3,)
    assert q.rsample((7, 2)).shape == (7, 2, 5, 3, 3)
    assert q.log_prob(q.rsample((7,))).shape == (7, 5, 3)
    assert q.loc.shape == q.mode.shape == (5, 3, 3)
    assert WrappedNormal(space, q.loc, torch.ones(2)).batch_shape == (5, 3)


@pytest.mark.parametrize("chart", CHARTS)
def test_a_location_is_a_point(chart):
    q = some(chart, curvature=0.5)
    again = WrappedNormal(q.manifold, q.loc, q.scale)
    torch.testing.assert_close(again.tangent_loc, q.tangent_loc)
    z = q.sample((3,))
    torch.testing.assert_close(again.log_prob(z), q.log_prob(z))


def test_arguments_are_checked():
    space = Lorentz(2)
    with pytest.raises(ValueError, match="ambient_dim"):
        WrappedNormal(space, torch.zeros(2), torch.ones(2))
    with pytest.raises(ValueError, match="tangent coordinates"):
        WrappedNormal.from_tangent(space, torch.zeros(3), torch.ones(2))
    with pytest.raises(ValueError, match="`scale`"):
        WrappedNormal.from_tangent(space, torch.zeros(2), torch.tensor(1.0))
    with pytest.raises(ValueError, match="`loc` does not lie"):
        WrappedNormal(space, torch.zeros(3), torch.ones(2), validate_args=True)
    with pytest.raises(ValueError, match="scale"):
        WrappedNormal.from_tangent(space, torch.zeros(2), torch.tensor([1.0, 0.0]), validate_args=True)
    with pytest.raises(ValueError, match="support"):
        WrappedNormal.at_origin(space, torch.ones(2), validate_args=True).log_prob(torch.ones(3))
    assert bool(WrappedNormal(space, torch.ones(3), torch.ones(2), validate_args=False).scale.eq(1).all())


def test_mixed_precision_keeps_the_finer():
    q = WrappedNormal.from_tangent(Lorentz(2), torch.zeros(4, 2), torch.ones(4, 2, dtype=F64))
    assert q.rsample().dtype == q.tangent_loc.dtype == F64


def test_expand_keeps_the_law():
    q = some(Lorentz, n=3)
    wide = q.expand((5, 3))
    assert isinstance(wide, WrappedNormal)
    assert wide.rsample().shape == (5, 3, 3)
    z = wide.sample()
    torch.testing.assert_close(wide.log_prob(z), q.log_prob(z))
    prior = WrappedNormal.at_origin(q.manifold, torch.ones(2, dtype=F64)).expand((3,))
    q.rsample()
    torch.testing.assert_close(kl_divergence(q, prior), kl_divergence(q, prior.expand((3,))))


@settings(max_examples=40, deadline=None)
@given(
    mean=st.lists(st.floats(-40, 40, width=32), min_size=3, max_size=3),
    log_scale=st.lists(st.floats(-12, 3, width=32), min_size=3, max_size=3),
    log_curvature=st.floats(-3, 1),
    shape=st.lists(st.integers(0, 3), max_size=3),
    single=st.booleans(),
)
def test_extreme_parameters_give_finite_numbers(mean, log_scale, log_curvature, shape, single):
    dtype = torch.float32 if single else F64
    space = Lorentz(3, float(np.exp(log_curvature)))
    mean, raw = (torch.tensor(x, dtype=dtype, requires_grad=True) for x in (mean, log_scale))
    q = WrappedNormal.from_tangent(space, mean, raw.exp())
    p = WrappedNormal.at_origin(space, torch.ones(3, dtype=dtype))
    z = q.rsample(shape)
    t = tangent_coordinates(space, z)
    log_q, log_p = q.log_prob(z), p.log_prob(z)
    kl = kl_divergence(q, p)
    assert z.shape == (*shape, 4)
    assert log_q.shape == log_p.shape == tuple(shape)
    for value in (t, log_q, log_p):
        assert bool(torch.isfinite(value).all())
    if z.numel():
        assert bool(torch.isfinite(kl))
        for gradient in torch.autograd.grad(t.sum() + log_p.sum() + kl, (mean, raw)):
            assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("learn", [False, True])
def test_no_device_is_waited_for(chart, learn):
    # Tensors without numbers raise an error where somebody asks for one.
    space = chart(3, 0.7, learn_curvature=learn).to("meta")
    mean, scale = (torch.ones(5, 3, device="meta", requires_grad=True) for _ in range(2))
    q = WrappedNormal.from_tangent(space, mean, scale, validate_args=False)
    one = torch.ones(3, device="meta")
    z = q.rsample((4,))
    total = q.log_prob(z).sum() + q.log_prob(z.clone()).sum() + z.sum() + tangent_coordinates(space, z).sum()
    for p in (
        WrappedNormal.at_origin(space, one, validate_args=False),
        WrappedNormal.from_tangent(space, one, one, validate_args=False),
    ):
        total = total + kl_divergence(q, p).sum()
    total.backward()
    assert mean.grad.shape == scale.grad.shape == (5, 3)


def test_half_precision_is_worked_on_in_more():
    torch.manual_seed(0)
    space = Lorentz(2)
    mean, scale = torch.randn(4, 2), 0.5 + torch.rand(4, 2)
    q = WrappedNormal.from_tangent(space, mean.bfloat16().requires_grad_(), scale.bfloat16())
    z = q.rsample()
    assert z.dtype == q.log_prob(z).dtype == torch.bfloat16
    kl = kl_divergence(q, WrappedNormal.at_origin(space, torch.ones(2, dtype=torch.bfloat16)))
    assert kl.dtype == torch.bfloat16
    kl.sum().backward()
    assert bool(torch.isfinite(q.tangent_loc.grad).all())


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("chart", CHARTS)
def test_a_training_step_compiles_into_one_graph(chart):
    space = chart(2, 0.7, learn_curvature=True)

    def step(mean: torch.Tensor, log_scale: torch.Tensor) -> tuple[torch.Tensor, ...]:
        q = WrappedNormal.from_tangent(space, mean, log_scale.exp(), validate_args=False)
        p = WrappedNormal.at_origin(space, torch.ones_like(mean[0]), validate_args=False)
        z = q.rsample()
        return z, kl_divergence(q, p), q.log_prob(z), tangent_coordinates(space, z)

    torch.manual_seed(0)
    compiled = torch.compile(step, fullgraph=True)
    for n in (16, 13):
        mean, log_scale = torch.randn(n, 2, requires_grad=True), torch.randn(n, 2, requires_grad=True)
        z, kl, log_prob, t = compiled(mean, log_scale)
        assert space.contains(z.detach())[0]
        assert kl.shape == log_prob.shape == (n,)
        torch.testing.assert_close(t, space.log0(z), rtol=1e-3, atol=1e-3)
        total = z.sum() + kl.sum() + log_prob.sum() + t.sum()
        for gradient in torch.autograd.grad(total, (mean, log_scale, *space.parameters())):
            assert bool(torch.isfinite(gradient).all())
            assert float(gradient.abs().max()) > 0


@pytest.mark.gpu
@pytest.mark.parametrize("chart", CHARTS)
def test_a_device_gives_the_same_numbers_without_waiting(chart, monkeypatch):
    torch.manual_seed(0)
    space, there = chart(3), chart(3).cuda()
    mean, scale, noise = 2 * torch.randn(20, 3), 0.1 + torch.rand(20, 3), torch.randn(5, 20, 3)

    def step(space, mean, scale, noise):
        fixed_noise(monkeypatch, noise)
        mean, scale = mean.clone().requires_grad_(), scale.clone().requires_grad_()
        q = WrappedNormal.from_tangent(space, mean, scale, validate_args=False)
        p = WrappedNormal.at_origin(space, torch.ones_like(mean[0]), validate_args=False)
        z = q.rsample((5,))
        kl, log_prob = kl_divergence(q, p), q.log_prob(z)
        return kl, log_prob, *torch.autograd.grad(kl.sum() + log_prob.sum() + z.square().mean(), (mean, scale))

    moved = [x.cuda() for x in (mean, scale, noise)]
    step(there, *moved)
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = step(there, *moved)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for x, y in zip(got, step(space, mean, scale, noise), strict=True):
        torch.testing.assert_close(x.cpu(), y, rtol=1e-4, atol=1e-4)
