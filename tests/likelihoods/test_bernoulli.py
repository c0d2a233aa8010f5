"""Bernoulli pixels against 60 digits and torch."""

from __future__ import annotations

import mpmath
import pytest
import torch

from curvi.likelihoods import Bernoulli, BernoulliLikelihood

LOGITS = [0.0, 1e-30, 1e-4, 0.3, 1.0, 5.0, 17.0, 40.0, 90.0, 1e3, 1e4]


def _exact(logit: float, value: float) -> tuple[float, float]:
    """Log-probability and its slope in the logit."""
    with mpmath.workdps(60):
        logit, value = mpmath.mpf(logit), mpmath.mpf(value)
        log_one, log_zero = -mpmath.log1p(mpmath.exp(-logit)), -mpmath.log1p(mpmath.exp(logit))
        slope = value / (1 + mpmath.exp(logit)) - (1 - value) / (1 + mpmath.exp(-logit))
        return float(value * log_one + (1 - value) * log_zero), float(slope)


@pytest.mark.parametrize("value", [0.0, 0.25, 0.7, 1.0])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_value_and_gradient_keep_their_relative_precision(value, dtype, rtol):
    logits = torch.tensor([*LOGITS, *(-logit for logit in LOGITS)], dtype=dtype, requires_grad=True)
    x = torch.tensor(value, dtype=dtype)
    log_prob = Bernoulli(logits).log_prob(x)
    log_prob.sum().backward()
    exact = [_exact(logit, x.item()) for logit in logits.tolist()]
    tiny = torch.finfo(dtype).tiny
    expected = torch.tensor([pair[0] for pair in exact], dtype=dtype)
    torch.testing.assert_close(log_prob.detach(), expected, rtol=rtol, atol=tiny)
    # Where the slope is a difference that cancels, it is as precise as its parts.
    slopes = torch.tensor([pair[1] for pair in exact], dtype=dtype)
    torch.testing.assert_close(logits.grad, slopes, rtol=rtol, atol=max(tiny, rtol if 0 < value < 1 else tiny))


def test_torch_on_binary_values():
    torch.manual_seed(0)
    logits, x = 3 * torch.randn(6, 5), torch.randint(2, (6, 5)).float()
    theirs = torch.distributions.Bernoulli(logits=logits)
    ours = Bernoulli(logits)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x))
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance)


def test_a_grey_value_is_the_mean_over_binary_pixels():
    px = Bernoulli(torch.tensor(1.7))
    expected = 0.3 * px.log_prob(torch.tensor(1.0)) + 0.7 * px.log_prob(torch.tensor(0.0))
    torch.testing.assert_close(px.log_prob(torch.tensor(0.3)), expected)


def test_draws_are_binary():
    torch.manual_seed(0)
    sample = Bernoulli(torch.tensor([-1.0, 0.0, 30.0])).sample((5000,))
    assert set(sample.unique().tolist()) == {0.0, 1.0}
    assert (sample.mean(0) - torch.tensor([-1.0, 0.0, 30.0]).sigmoid()).abs().max() < 0.03


def test_expand():
    px = Bernoulli(torch.zeros(4)).expand(torch.Size([3, 4]))
    assert px.batch_shape == (3, 4)
    assert px.sample((2,)).shape == (2, 3, 4)


def test_validation():
    with pytest.raises(ValueError, match="logits"):
        Bernoulli(torch.tensor([float("nan")]))
    with pytest.raises(ValueError, match="support"):
        Bernoulli(torch.zeros(2)).log_prob(torch.tensor([0.5, 1.1]))


def test_the_likelihood_reads_logits():
    raw = torch.randn(4, 1, 3)
    px = BernoulliLikelihood(3)(raw, torch.ones(4, 1))
    torch.testing.assert_close(px.mean, raw[:, 0].sigmoid())
