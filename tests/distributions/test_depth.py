"""The law of the depth of a von Mises-Fisher draw, and its gradient in the concentration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from curvi.distributions import _depth
from curvi.distributions._depth import vmf_depth

DIMENSIONS = [2, 3, 5, 6, 10, 11, 50, 512]
CONCENTRATIONS = [0.01, 1.0, 10.5, 100.0, 1e3, 1e4, 1e6]


@pytest.mark.parametrize("m", DIMENSIONS)
def test_draws_follow_the_law(library, m, depth_law):
    torch.manual_seed(m)
    for kappa in CONCENTRATIONS:
        y = vmf_depth(m, torch.full((20_000,), kappa)).double().numpy()
        assert y.min() >= 0
        assert y.max() <= 2
        assert stats.kstest(depth_law(m, kappa).probability(y), "uniform").pvalue > 1e-4, kappa


@pytest.mark.parametrize("m", [2, 3, 5, 50])
def test_no_concentration_gives_the_uniform_law(library, m):
    torch.manual_seed(0)
    y = vmf_depth(m, torch.zeros(20_000)).double().numpy()
    assert stats.kstest(y / 2, stats.beta((m - 1) / 2, (m - 1) / 2).cdf).pvalue > 1e-4


@pytest.mark.parametrize("m", [2, 3, 4, 5, 6, 10, 50, 512])
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 3e-3), (torch.float64, 1e-4)])
def test_the_gradient_is_that_of_the_quantile_function(library, m, dtype, bar, depth_law, exact):
    torch.manual_seed(m)
    for kappa in (0.1, 1.0, 5.0, 30.0, 1e3, 1e5):
        k = torch.full((200,), kappa, dtype=dtype, requires_grad=True)
        y = vmf_depth(m, k)
        (slope,) = torch.autograd.grad(y.sum(), k)
        truth = depth_law(m, kappa).slope(y.detach().double().numpy(), float(exact(m, kappa)["shortfall"]))
        assert np.abs(slope.double().numpy() - truth).max() < bar * np.abs(truth).mean(), kappa


@pytest.mark.parametrize("m", [2, 3, 5, 10, 50])
def test_gradients_of_expectations_are_unbiased(library, m, depth_law, exact):
    # A grid of depths stands for the law, so that no noise of sampling is left.
    functions = {
        "w": (lambda w: w, np.ones_like),
        "w^2": (np.square, lambda w: 2 * w),
        "exp 3w": (lambda w: np.exp(3 * w), lambda w: 3 * np.exp(3 * w)),
    }
    for kappa in (0.1, 1.0, 5.0, 10.5, 100.0, 1e4):
        law = depth_law(m, kappa)
        shortfall = float(exact(m, kappa)["shortfall"])
        depth, weight = _grid(law)
        slope = _slope(m, kappa, depth)
        for name, (function, derivative) in functions.items():
            got = -(weight * derivative(1 - depth) * slope).sum()
            # d/dkappa E[f] = Cov(f, w), from numbers that vanish at the pole.
            truth = law.mean(lambda w, f=function, q=shortfall: (f(w) - f(np.ones(1))) * (q - (1 - w)))
            assert abs(got / truth - 1) < 5e-3, (kappa, name)


def _grid(law) -> tuple[np.ndarray, np.ndarray]:
    """Depths and their weights: at even probabilities on the globe, whose gradient needs them, else at even angles."""
    if law.m == 3:
        u = (np.arange(4000) + 0.5) / 4000
        return -np.log1p(u * np.expm1(-2 * law.kappa)) / law.kappa, np.full(4000, 1 / 4000)
    weight = law.density[::10]
    return 2 * np.sin(law.angle[::10] / 2) ** 2, weight / weight.sum()


def _slope(m: int, kappa: float, depth: np.ndarray) -> np.ndarray:
    """dy/dkappa at given depths, in float32."""
    y, k = torch.tensor(depth, dtype=torch.float32), torch.full((len(depth),), kappa)
    if m == 3:
        u = torch.expm1(-k * y) / torch.expm1(-2 * k)
        return _depth._invert_slope(k, y, u).double().numpy()
    return _depth._quadrature(m, k, y).double().numpy()


def test_a_sample_shape_shares_its_concentrations(library):
    for m in (2, 3, 5):
        torch.manual_seed(0)
        k = torch.tensor([1.0, 50.0], requires_grad=True)
        y = vmf_depth(m, k, torch.Size([3, 4]))
        assert y.shape == (3, 4, 2)
        (gradient,) = torch.autograd.grad(y.sum(), k)
        full = k.detach().expand(3, 4, 2).clone().requires_grad_()
        torch.manual_seed(0)
        (apart,) = torch.autograd.grad(vmf_depth(m, full).sum(), full)
        torch.testing.assert_close(gradient, apart.sum((0, 1)))


@pytest.mark.parametrize("m", [2, 3, 5, 50])
def test_extreme_concentrations_stay_finite(library, m):
    torch.manual_seed(0)
    k = torch.tensor([0.0, 1e-38, 1e-20, 1e10, 1e18, 1e30, 3e38]).repeat_interleave(50).requires_grad_()
    y = vmf_depth(m, k)
    (gradient,) = torch.autograd.grad(y.sum(), k)
    assert bool((torch.isfinite(y) & torch.isfinite(gradient)).all())
    assert float(y.detach()[150:].max()) < 1e-8


def test_nothing_to_draw(library):
    for m in (2, 3, 5):
        assert vmf_depth(m, torch.ones(0)).shape == (0,)
        assert vmf_depth(m, torch.ones(2), torch.Size([0])).shape == (0, 2)


def test_rejected_draws_are_drawn_again(monkeypatch, depth_law):
    # One proposal a round leaves a third to be redone; the law must not notice.
    monkeypatch.setattr(_depth, "_some", lambda _n: 1)
    torch.manual_seed(0)
    y = vmf_depth(5, torch.full((20_000,), 10.5)).double().numpy()
    assert stats.kstest(depth_law(5, 10.5).probability(y), "uniform").pvalue > 1e-4
