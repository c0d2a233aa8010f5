"""The law of the depth of a draw, and its gradient in the concentration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from curvi.distributions._depth import _reject, depth_slope, sample_depth
from curvi.distributions._tilts import EXPONENTIAL, Tilt

DIMENSIONS = [2, 3, 5, 6, 10, 11, 50, 512]
CONCENTRATIONS = [0.01, 1.0, 10.5, 100.0, 1e3, 1e4, 1e6]


def draw(tilt: Tilt, m: int, kappa: torch.Tensor, sample_shape: tuple[int, ...] = ()) -> torch.Tensor:
    """Depths from the first coordinates of uniform points."""
    points = torch.randn(*sample_shape, *kappa.shape, m, dtype=kappa.dtype)
    return sample_depth(tilt, m, kappa, points[..., 0] / points.norm(dim=-1))


@pytest.mark.parametrize("m", DIMENSIONS)
def test_draws_follow_the_law(library, tilt, m, depth_law):
    torch.manual_seed(m)
    for kappa in CONCENTRATIONS:
        y = draw(tilt, m, torch.full((20_000,), kappa)).double().numpy()
        assert y.min() >= 0
        assert y.max() <= 2
        assert stats.kstest(depth_law(tilt, m, kappa).probability(y), "uniform").pvalue > 1e-4, kappa


@pytest.mark.parametrize("m", [2, 3, 5, 50])
def test_no_concentration_gives_the_uniform_law(library, tilt, m):
    torch.manual_seed(0)
    y = draw(tilt, m, torch.zeros(20_000)).double().numpy()
    assert stats.kstest(y / 2, stats.beta((m - 1) / 2, (m - 1) / 2).cdf).pvalue > 1e-4


@pytest.mark.parametrize("m", [2, 3, 4, 5, 6, 10, 50, 512])
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 3e-3), (torch.float64, 1e-5)])
def test_the_gradient_is_that_of_the_quantile_function(library, tilt, m, dtype, bar, depth_law):
    torch.manual_seed(m)
    for kappa in (0.1, 1.0, 5.0, 30.0, 1e3, 1e5):
        k = torch.full((200,), kappa, dtype=dtype)
        y = draw(tilt, m, k)
        slope = depth_slope(tilt, m, k, y)
        assert slope.dtype == dtype
        truth = depth_law(tilt, m, kappa).slope(y.double().numpy())
        assert np.abs(slope.double().numpy() - truth).max() < bar * np.abs(truth).mean(), kappa


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_both_forms_on_the_globe_are_accurate_where_they_meet(library, depth_law, factor):
    kappa = factor * torch.finfo(torch.float32).eps ** (1 / 3)
    y = torch.linspace(0.05, 1.95, 100)
    truth = depth_law(EXPONENTIAL, 3, kappa).slope(y.double().numpy())
    slope = depth_slope(EXPONENTIAL, 3, torch.tensor(kappa), y).double().numpy()
    assert np.abs(slope - truth).max() < 2e-4 * np.abs(truth).mean()


@pytest.mark.parametrize("m", [2, 3, 5, 10, 50])
def test_gradients_of_expectations_are_unbiased(library, tilt, m, depth_law):
    # A grid of depths stands for the law, so that no noise of sampling is left.
    functions = {
        "w": (lambda w: w, np.ones_like),
        "w^2": (np.square, lambda w: 2 * w),
        "exp 3w": (lambda w: np.exp(3 * w), lambda w: 3 * np.exp(3 * w)),
    }
    for kappa in (0.1, 1.0, 5.0, 10.5, 100.0, 1e4):
        law = depth_law(tilt, m, kappa)
        angle, weight = law.angle[::10], (law.density * np.gradient(law.angle))[::10]
        depth = torch.tensor(2 * np.sin(angle / 2) ** 2, dtype=torch.float32)
        slope = depth_slope(tilt, m, torch.full((len(depth),), kappa), depth).double().numpy()
        w, rest = np.cos(law.angle), law.mean_potential - law.potential(law.angle)
        for name, (function, derivative) in functions.items():
            got = -(weight * derivative(np.cos(angle)) * slope).sum() / weight.sum()
            # d/dkappa E[f] = -Cov(f, U), from numbers that vanish at the pole.
            truth = law.mean((function(w) - function(np.ones(1))) * rest)
            assert abs(got / truth - 1) < 5e-3, (kappa, name)


def test_a_sample_shape_shares_its_concentrations(library, tilt):
    for m in (2, 3, 5):
        torch.manual_seed(0)
        k = torch.tensor([1.0, 50.0])
        y = draw(tilt, m, k, (3, 4))
        assert y.shape == (3, 4, 2)
        torch.testing.assert_close(depth_slope(tilt, m, k, y), depth_slope(tilt, m, k.expand(3, 4, 2).clone(), y))


@pytest.mark.parametrize("m", [2, 3, 5, 50])
def test_extreme_concentrations_stay_finite(library, tilt, m):
    torch.manual_seed(0)
    k = torch.tensor([0.0, 1e-38, 1e-20, 1e10, 1e18, 1e30, 3e38]).repeat_interleave(50)
    y = draw(tilt, m, k)
    assert bool((torch.isfinite(y) & torch.isfinite(depth_slope(tilt, m, k, y))).all())
    assert float(y[150:].max()) < 1e-8


@pytest.mark.parametrize("m", [2, 3, 4, 5, 50])
@pytest.mark.parametrize("kappa", [0.0, 1.0, 100.0, 1e6, 1e18])
def test_the_ends_of_the_sphere_are_regular(library, tilt, m, kappa):
    ends = torch.tensor([-1.0, -0.99999994, 0.99999994, 1.0])
    y = sample_depth(tilt, m, torch.full((4,), kappa), ends)
    assert float(y.min()) >= 0
    assert float(y.max()) <= 2
    assert bool(torch.isfinite(depth_slope(tilt, m, torch.full((4,), kappa), y)).all())
    if kappa <= 1e6:
        extreme = torch.tensor([0.0, 1e-38, 1.9999999, 2.0])
        assert bool(torch.isfinite(depth_slope(tilt, m, torch.full((4,), kappa), extreme)).all())
    else:
        # No draw is an outlier because a uniform number was one.
        assert float(y.max()) < 60 * m / kappa


def test_nothing_to_draw(library, tilt):
    for m in (2, 3, 5):
        assert draw(tilt, m, torch.ones(0)).shape == (0,)
        y = draw(tilt, m, torch.ones(2), (0,))
        assert y.shape == depth_slope(tilt, m, torch.ones(2), y).shape == (0, 2)


@pytest.mark.parametrize("m", [2, 3, 5])
def test_what_is_not_a_number_stays_so_and_ends(library, tilt, m):
    torch.manual_seed(0)
    y = draw(tilt, m, torch.tensor([float("nan"), 1.0, float("inf")]))
    assert torch.isnan(y).tolist() == [True, False, False]
    assert float(y[2]) < 1e-15


def test_a_cosine_decides_where_it_is_accepted(tilt):
    # The first proposals are made from what is given; the seed of torch decides on the rest.
    cosine = torch.linspace(-1, 1, 1000, dtype=torch.float64)
    torch.manual_seed(0)
    first = sample_depth(tilt, 5, torch.full((1000,), 3.0), cosine)
    torch.manual_seed(0)
    again = sample_depth(tilt, 5, torch.full((1000,), 3.0), cosine)
    assert torch.equal(first, again)
    proposals = np.sort(first.numpy())
    kept = _reject(np, tilt, 5, np.full(1000, 3.0), cosine.numpy(), cosine)
    assert 0.5 < np.isin(kept, proposals).mean() < 1
