"""Continuous Bernoulli values against 60 digits, quadrature and the law of its draws."""

from __future__ import annotations

from typing import NamedTuple

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad

from curvi.likelihoods import ContinuousBernoulli, ContinuousBernoulliLikelihood

SIZES = [0.0, *np.logspace(-38, 4, 43), *np.linspace(0.05, 12.0, 240), 2.0, np.nextafter(np.float32(2), np.float32(0))]
PRECISION = [(torch.float32, 1e-6), (torch.float64, 3e-15)]


class Exact(NamedTuple):
    log_prob: float
    slope: float
    mean: float
    variance: float


def _exact(logit: float, value: float) -> Exact:
    with mpmath.workdps(60):
        logit, value = mpmath.mpf(logit), mpmath.mpf(value)
        if abs(logit) < 1e-12:
            mean, variance = mpmath.mpf(1) / 2 + logit / 12, mpmath.mpf(1) / 12 - logit**2 / 240
            log_prob = logit * (value - mpmath.mpf(1) / 2) - logit**2 / 24
        else:
            mean = 1 / (1 - mpmath.exp(-logit)) - 1 / logit
            variance = 1 / logit**2 - 1 / (4 * mpmath.sinh(logit / 2) ** 2)
            log_prob = logit * value - mpmath.log((mpmath.exp(logit) - 1) / logit)
        return Exact(*map(float, (log_prob, value - mean, mean, variance)))


def _logits(dtype: torch.dtype) -> torch.Tensor:
    sizes = torch.tensor(SIZES, dtype=torch.float64).to(dtype)
    return torch.cat([sizes, -sizes])


@pytest.mark.parametrize("value", [0.0, 1e-3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(("dtype", "rtol"), PRECISION)
def test_value_and_gradient(value, dtype, rtol):
    logits = _logits(dtype).requires_grad_()
    x = torch.tensor(value, dtype=dtype)
    log_prob = ContinuousBernoulli(logits).log_prob(x)
    log_prob.sum().backward()
    exact = [_exact(logit, x.item()) for logit in logits.tolist()]
    expected = torch.tensor([e.log_prob for e in exact], dtype=dtype)
    torch.testing.assert_close(log_prob.detach(), expected, rtol=rtol, atol=rtol)
    # The slope is a difference; at a bound, of which one side is 0, every digit of it counts.
    slopes = torch.tensor([e.slope for e in exact], dtype=dtype)
    inner = 0 < value < 1
    torch.testing.assert_close(logits.grad, slopes, rtol=rtol, atol=rtol if inner else 0.0)


@pytest.mark.parametrize(("dtype", "rtol"), PRECISION)
def test_moments(dtype, rtol):
    logits = _logits(dtype)
    px = ContinuousBernoulli(logits)
    exact = [_exact(logit, 0.0) for logit in logits.tolist()]
    torch.testing.assert_close(px.mean, torch.tensor([e.mean for e in exact], dtype=dtype), rtol=rtol, atol=0.0)
    variance = torch.tensor([e.variance for e in exact], dtype=dtype)
    torch.testing.assert_close(px.variance, variance, rtol=10 * rtol, atol=0.0)


def test_the_second_gradient_is_minus_the_variance():
    logits = _logits(torch.float64).requires_grad_()
    px = ContinuousBernoulli(logits)
    (slope,) = torch.autograd.grad(px.log_prob(torch.tensor(0.3)).sum(), logits, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), logits)
    torch.testing.assert_close(-curvature, px.variance.detach(), rtol=1e-12, atol=0.0)


def test_gradient_in_the_value():
    logits = torch.tensor([-7.0, 0.0, 0.5, 30.0])
    x = torch.tensor([0.1, 0.4, 0.7, 0.9], requires_grad=True)
    ContinuousBernoulli(logits).log_prob(x).sum().backward()
    torch.testing.assert_close(x.grad, logits)


@pytest.mark.parametrize("logit", [-30.0, -1.0, -1e-5, 0.0, 1e-3, 4.0])
def test_it_integrates_to_one(logit):
    px = ContinuousBernoulli(torch.tensor(logit, dtype=torch.float64))
    total, _ = quad(lambda x: px.log_prob(torch.tensor(x, dtype=torch.float64)).exp().item(), 0, 1)
    assert total == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("logit", [-400.0, -3.0, -1e-6, 0.0, 1e-30, 2.5, 1e4])
def test_draws_follow_the_law(logit):
    torch.manual_seed(0)
    sample = ContinuousBernoulli(torch.tensor([logit])).sample((20_000,))[:, 0].double()
    assert ((sample >= 0) & (sample <= 1)).all()
    away = 1 - sample if logit >= 0 else sample
    size = abs(logit)
    # The distribution function of the distance from the bound is uniform on the draws.
    uniform = torch.expm1(-size * away) / np.expm1(-size) if size > 1e-20 else away
    gap = uniform.sort().values - torch.linspace(0, 1, 20_000, dtype=torch.float64)
    # In float32 next to 1, draws stand at multiples of 6e-8.
    assert gap.abs().max() < 1.63 / 20_000**0.5 + size * 1e-7


def test_broadcast_and_expand():
    px = ContinuousBernoulli(torch.zeros(4)).expand(torch.Size([3, 4]))
    assert px.sample((2,)).shape == (2, 3, 4)
    assert ContinuousBernoulli(torch.zeros(3, 1)).log_prob(torch.rand(2, 1, 5)).shape == (2, 3, 5)


def test_validation():
    with pytest.raises(ValueError, match="logits"):
        ContinuousBernoulli(torch.tensor([float("nan")]))
    with pytest.raises(ValueError, match="support"):
        ContinuousBernoulli(torch.zeros(2)).log_prob(torch.tensor([0.5, -0.1]))


def test_the_likelihood_reads_logits():
    raw = torch.randn(4, 1, 3)
    px = ContinuousBernoulliLikelihood(3)(raw, torch.ones(4, 1))
    torch.testing.assert_close(px.logits, raw[:, 0])
