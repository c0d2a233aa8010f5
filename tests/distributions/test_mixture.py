"""Mixtures with equal weights: against torch's own, by quadrature, and in bounded memory."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, Laplace, MixtureSameFamily, Normal
from torch.nn.functional import normalize

from curvi.distributions import (
    Delta,
    HypersphericalUniform,
    Joint,
    Mixture,
    PowerSpherical,
    VonMisesFisher,
    WrappedNormal,
    _mixture,
)
from curvi.distributions._pairwise import pairwise_log_prob
from curvi.manifolds import Lorentz, Poincare

M = 30


def _unit(*shape: int) -> Tensor:
    return normalize(torch.randn(shape, dtype=torch.float64), dim=-1)


def _normal(dim: int) -> Independent:
    return Independent(Normal(3 * torch.randn(M, dim).double(), torch.rand(M, dim).double() + 0.01), 1)


def _wrapped(space: type, dim: int, curvature: float, reach: float) -> WrappedNormal:
    # Curvatures that float32 has exactly.
    mean, scale = reach * torch.randn(M, dim), torch.rand(M, dim) + 0.01
    return WrappedNormal.from_tangent(space(dim, curvature), mean.double(), scale.double())


def _kappa() -> Tensor:
    return torch.logspace(-2, 6, M, dtype=torch.float64)


COMPONENTS = {
    "vmf 1": lambda: VonMisesFisher(_unit(M, 2), _kappa()),
    "vmf 2": lambda: VonMisesFisher(_unit(M, 3), _kappa()),
    "vmf 10": lambda: VonMisesFisher(_unit(M, 11), _kappa()),
    "power spherical 2": lambda: PowerSpherical(_unit(M, 3), _kappa()),
    "power spherical 10": lambda: PowerSpherical(_unit(M, 11), _kappa()),
    "normal 2": lambda: _normal(2),
    "normal 10": lambda: _normal(10),
    "lorentz 1": lambda: _wrapped(Lorentz, 1, 1.0, 1.0),
    "lorentz 2": lambda: _wrapped(Lorentz, 2, 0.75, 2.0),
    "lorentz 10": lambda: _wrapped(Lorentz, 10, 2.0, 1.0),
    "poincare 2": lambda: _wrapped(Poincare, 2, 0.5, 1.0),
    "lorentz 2, far": lambda: _wrapped(Lorentz, 2, 1.0, 20.0),
    "laplace": lambda: Independent(Laplace(torch.randn(M, 2).double(), 1.0), 1),
    "uniform": lambda: HypersphericalUniform(2, (M,), dtype=torch.float64),
    "joint": lambda: Joint([VonMisesFisher(_unit(M, 3), _kappa()), _wrapped(Lorentz, 2, 1.0, 1.0), _normal(3)]),
}


@pytest.fixture(params=COMPONENTS)
def components(request) -> torch.distributions.Distribution:
    torch.manual_seed(0)
    return COMPONENTS[request.param]()


def _points(components: torch.distributions.Distribution) -> Tensor:
    """Draws of each component, among them some of the most concentrated, in an order of no meaning."""
    z = components.sample((4,)).reshape(-1, *components.event_shape)
    return z[torch.randperm(len(z))].clone()


def test_the_table_is_that_of_each_component_at_each_point(components):
    points = _points(components)
    expected = components.log_prob(points[:, None])
    found = pairwise_log_prob(components, points)(slice(None))
    # Where the density is least, logarithms are large and nobody will ever see them.
    seen = expected > expected.amax(-1, keepdim=True) - 1e4
    torch.testing.assert_close(found[seen], expected[seen], atol=1e-6, rtol=1e-7)
    assert bool((found[~seen] < -5e3).all())


def test_it_is_torchs_mixture_with_equal_weights(components):
    points = _points(components)
    torchs = MixtureSameFamily(Categorical(torch.ones(M, dtype=torch.float64)), components, validate_args=False)
    torch.testing.assert_close(Mixture(components).log_prob(points), torchs.log_prob(points), atol=1e-6, rtol=1e-7)


def test_blocks_are_only_a_matter_of_memory(components, monkeypatch):
    points, mixture = _points(components), Mixture(components)
    whole = mixture.log_prob(points)
    sizes = []
    pairwise = pairwise_log_prob(components, points)
    monkeypatch.setattr(_mixture, "_BLOCK", 7 * M * 8 * (points.shape[1] + 2))
    monkeypatch.setattr(
        _mixture, "pairwise_log_prob", lambda *_: lambda some: sizes.append(len(points[some])) or pairwise(some)
    )
    torch.testing.assert_close(mixture.log_prob(points), whole, atol=1e-9, rtol=1e-12)
    assert max(sizes) == 7
    assert sum(sizes) == len(points)


def test_a_component_is_left_out_where_it_is_named(components):
    points, mixture = _points(components), Mixture(components)
    left_out = torch.arange(len(points)) % (M + 1) - 1
    found = mixture.log_prob_without(points, left_out)
    each = pairwise_log_prob(components, points)(slice(None))
    for i in range(0, len(points), 7):
        kept = torch.arange(M) != left_out[i]
        expected = torch.logsumexp(each[i, kept], 0) - kept.sum().log()
        assert float(found[i]) == pytest.approx(float(expected), abs=1e-6, rel=1e-7)


def test_draws_come_from_each_component_alike():
    torch.manual_seed(0)
    # Components so far apart that a draw says which one it came from.
    mixture = Mixture(Independent(Normal(100 * torch.arange(40.0)[:, None], torch.ones(40, 1)), 1))
    z = mixture.sample((20_000,))
    which = (z[:, 0] / 100).round().long()
    counts = torch.bincount(which, minlength=40)
    expected = 20_000 / 40
    # The variance of a count is 0.975 of its mean; chi-squared with 39 degrees of freedom.
    assert float(((counts - expected).square() / expected).sum()) < 80
    noise = z[:, 0] - 100 * which
    assert abs(float(noise.mean())) < 0.03
    assert float(noise.std()) == pytest.approx(1, abs=0.03)
    # No draw is used twice, and their order has nothing to do with where they came from.
    assert len(z.unique()) > 19_000
    assert abs(float(np.corrcoef(which[:-1], which[1:])[0, 1])) < 0.03


def test_fewer_draws_than_components_and_none_at_all():
    mixture = Mixture(VonMisesFisher(_unit(500, 3), 10.0))
    assert mixture.sample().shape == (3,)
    assert mixture.sample((0,)).shape == (0, 3)
    assert mixture.log_prob(mixture.sample((0, 2))).shape == (0, 2)


def test_draws_and_density_agree():
    torch.manual_seed(0)
    mixture = Mixture(VonMisesFisher(_unit(5, 3), torch.tensor([1.0, 3.0, 10.0, 30.0, 100.0]).double()))
    z = mixture.sample((100_000,))
    uniform = HypersphericalUniform(2, dtype=torch.float64).sample((100_000,))
    # The share of the draws in a cap is the mean of the density over it.
    for pole in mixture.components.loc:
        inside = (uniform @ pole > 0.8).double() * mixture.log_prob(uniform).exp() * 4 * pi
        share = (z @ pole > 0.8).double()
        noise = ((inside.var() + share.var()) / 100_000).sqrt()
        assert abs(float(share.mean() - inside.mean())) < 5 * float(noise)


@pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical])
def test_on_the_sphere_the_density_integrates_to_one(family):
    torch.manual_seed(0)
    mixture = Mixture(family(_unit(20, 3), torch.logspace(-1, 3, 20, dtype=torch.float64)))
    # Gauss and Legendre in the height, equal steps along parallels.
    height, weight = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(400))
    angle = torch.arange(800, dtype=torch.float64) * 2 * pi / 800
    across = (1 - height.square()).sqrt()[:, None]
    grid = torch.stack([across * angle.cos(), across * angle.sin(), height[:, None].expand(-1, 800)], -1)
    total = (mixture.log_prob(grid).exp().mean(1) * 2 * pi * weight).sum()
    assert float(total) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("space", [Lorentz, Poincare])
def test_in_the_hyperbolic_plane_the_density_integrates_to_one(space):
    torch.manual_seed(0)
    plane = space(2, 0.5)
    mixture = Mixture(
        WrappedNormal.from_tangent(plane, torch.randn(10, 2).double(), torch.rand(10, 2).double() / 2 + 0.1)
    )
    x, w = np.polynomial.legendre.leggauss(300)
    radius, weight = torch.from_numpy((x + 1) * 6), torch.from_numpy(w * 6)
    angle = torch.arange(800, dtype=torch.float64) * 2 * pi / 800
    tangent = radius[:, None, None] * torch.stack([angle.cos(), angle.sin()], -1)
    root = 0.5**0.5
    area = torch.sinh(root * radius) / root * 2 * pi
    total = (mixture.log_prob(plane.exp0(tangent)).exp().mean(1) * area * weight).sum()
    assert float(total) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["vmf 2", "power spherical 2", "normal 2", "lorentz 2", "joint"])
def test_gradients_are_those_of_torchs_mixture(name):
    torch.manual_seed(0)
    components = COMPONENTS[name]()
    points = _points(components)[:20].requires_grad_()
    torchs = MixtureSameFamily(Categorical(torch.ones(M, dtype=torch.float64)), components, validate_args=False)
    expected, found = (
        torch.autograd.grad(q.log_prob(points).sum(), points)[0]
        for q in (torchs, Mixture(components, validate_args=False))
    )
    if name != "joint" and "lorentz" not in name and "normal" not in name:
        # Along the sphere; what points away from it depends on how the density is continued.
        expected, found = (g - (g * points).sum(-1, keepdim=True) * points for g in (expected, found))
    if name == "joint":
        expected, found = expected[:, 3:], found[:, 3:]
    if "lorentz" in name:
        # On the hyperboloid the time follows from the other coordinates.
        lift = points[:, 1:] / points[:, :1]
        expected, found = (g[:, 1:] + g[:, :1] * lift for g in (expected, found))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


def test_float32_is_computed_in_float64_where_numbers_are_close():
    torch.manual_seed(0)
    loc = _unit(M, 3).float()
    components = VonMisesFisher(loc, torch.full((M,), 1e6))
    found = Mixture(components).log_prob(loc)
    assert found.dtype == torch.float32
    exact = Mixture(VonMisesFisher(loc.double(), torch.full((M,), 1e6).double(), validate_args=False))
    torch.testing.assert_close(found.double(), exact._by_blocks(loc.double(), None), atol=1e-4, rtol=0)


def test_masses_and_densities_are_mixed_alike():
    points = torch.randn(5, 2)
    torch.testing.assert_close(Mixture(Delta(points)).log_prob(points), torch.full((5,), -float(np.log(5))))


def test_several_mixtures_at_once():
    torch.manual_seed(0)
    components = VonMisesFisher(_unit(2, 6, 3), 5.0)
    mixture = Mixture(components)
    assert mixture.batch_shape == (2,)
    z = mixture.sample((7,))
    each = [Mixture(VonMisesFisher(loc, 5.0)).log_prob(z[:, i]) for i, loc in enumerate(components.loc)]
    torch.testing.assert_close(mixture.log_prob(z), torch.stack(each, 1))


def test_what_cannot_be_mixed_is_said():
    with pytest.raises(ValueError, match="have event shape"):
        Mixture(Normal(torch.zeros(3), 1.0))
    with pytest.raises(ValueError, match="at least one component"):
        Mixture(VonMisesFisher(_unit(3), 1.0))
    with pytest.raises(ValueError, match="at least one component"):
        Mixture(VonMisesFisher(_unit(0, 3), 1.0))
    mixture = Mixture(VonMisesFisher(_unit(4, 3), 1.0))
    with pytest.raises(ValueError, match="one number a value"):
        mixture.log_prob_without(_unit(2, 3), torch.tensor([0, 4]))
    with pytest.raises(ValueError, match="one number a value"):
        mixture.log_prob_without(_unit(2, 3), torch.tensor([0]))
    with pytest.raises(ValueError, match="at least two components"):
        Mixture(VonMisesFisher(_unit(1, 3), 1.0)).log_prob_without(_unit(2, 3), torch.tensor([0, 0]))
