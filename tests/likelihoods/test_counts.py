from __future__ import annotations

from copy import deepcopy

import pytest
import scipy.stats
import torch
from scvi import distributions as scvi_distributions
from torch import tensor

from curvi.likelihoods import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial

# Means and inverse dispersions whose mass lies below 20 000 but for less than 1e-6.
MEAN = tensor([1e-8, 0.02, 1.0, 30.0, 400.0], dtype=torch.float64)
THETA = tensor([1e-4, 0.3, 2.0, 1e3, 1e6], dtype=torch.float64)
LOGITS = tensor([-30.0, -2.0, 0.0, 2.0, 8.0], dtype=torch.float64)

DISTRIBUTIONS = {
    "poisson": Poisson(MEAN),
    "nb": NegativeBinomial(MEAN, THETA),
    "zinb": ZeroInflatedNegativeBinomial(MEAN, THETA, LOGITS),
}


@pytest.fixture(params=DISTRIBUTIONS)
def distribution(request):
    return DISTRIBUTIONS[request.param]


def test_sums_to_one_with_the_stated_moments(distribution):
    x = torch.arange(20_000, dtype=torch.float64)[:, None]
    p = distribution.log_prob(x).exp()
    torch.testing.assert_close(p.sum(0), torch.ones_like(MEAN), rtol=0, atol=1e-9)
    mean = (p * x).sum(0)
    torch.testing.assert_close(mean, distribution.mean, rtol=1e-7, atol=0)
    torch.testing.assert_close((p * (x - mean).square()).sum(0), distribution.variance, rtol=1e-7, atol=0)


def test_samples_agree_with_mean_and_variance(distribution):
    torch.manual_seed(0)
    n = 40_000
    sample = distribution.sample((n,))
    assert sample.shape == (n, 5)
    assert (sample == sample.round()).all()
    assert (sample >= 0).all()
    assert not sample.requires_grad
    # Of the elements that vary enough for the central limit to hold.
    sample, mean, variance = (t[..., 2:] for t in (sample, distribution.mean, distribution.variance))
    assert ((sample.mean(0) - mean).abs() < 5 * (variance / n).sqrt()).all()
    deviations = (sample - mean).square()
    assert ((deviations.mean(0) - variance).abs() < 6 * deviations.std(0) / n**0.5).all()


def test_samples_follow_log_prob():
    torch.manual_seed(1)
    distribution = ZeroInflatedNegativeBinomial(tensor(2.0), tensor(0.7), tensor(-1.0))
    sample = distribution.sample((50_000,))
    cells = torch.arange(12.0)
    expected = distribution.log_prob(cells).exp() * len(sample)
    observed = (sample[:, None] == cells).sum(0)
    chi_square = ((observed - expected).square() / expected).sum()
    assert chi_square < scipy.stats.chi2.ppf(0.9999, len(cells))


def test_expand_keeps_the_law(distribution):
    expanded = distribution.expand(torch.Size([7, 5]))
    assert expanded.batch_shape == (7, 5)
    assert expanded.sample((2,)).shape == (2, 7, 5)
    x = tensor(3.0)
    torch.testing.assert_close(expanded.log_prob(x), distribution.log_prob(x).expand(7, 5))
    torch.testing.assert_close(expanded.mean, distribution.mean.expand(7, 5))


def test_validation(distribution):
    assert distribution.log_prob(torch.ones(5)).dtype == torch.float64
    for bad in (-1.0, 0.5, float("nan")):
        with pytest.raises(ValueError, match="support"):
            deepcopy(distribution).log_prob(torch.full((5,), bad))


def test_parameters_are_validated():
    with pytest.raises(ValueError, match="mean"):
        Poisson(tensor([-1.0]))
    with pytest.raises(ValueError, match="inverse_dispersion"):
        NegativeBinomial(tensor([1.0]), tensor([0.0]))
    with pytest.raises(ValueError, match="zero_logits"):
        ZeroInflatedNegativeBinomial(tensor([1.0]), tensor([1.0]), tensor([float("nan")]))


def test_the_inverse_dispersion_keeps_its_shape():
    px = NegativeBinomial(torch.ones(6, 3), torch.ones(3))
    assert px.inverse_dispersion.shape == (3,)
    assert px.expand(torch.Size([2, 6, 3])).inverse_dispersion.shape == (3,)
    assert NegativeBinomial(torch.ones(3), torch.ones(6, 3)).mean.shape == (6, 3)


def test_scipy():
    x = torch.arange(60, dtype=torch.float64)[:, None]
    theta, mean = THETA[1:], MEAN[1:]
    expected = scipy.stats.nbinom.logpmf(x.numpy(), theta.numpy(), (theta / (theta + mean)).numpy())
    # scipy's own rounding at the largest inverse dispersion sets the tolerance.
    torch.testing.assert_close(
        NegativeBinomial(mean, theta).log_prob(x), torch.from_numpy(expected), rtol=1e-7, atol=1e-7
    )
    expected = torch.from_numpy(scipy.stats.poisson.logpmf(x.numpy(), MEAN.numpy()))
    torch.testing.assert_close(Poisson(MEAN).log_prob(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("theta_shape", [(40,), (30, 40)])
def test_scvi(theta_shape):
    torch.manual_seed(2)
    x = torch.poisson(torch.full((30, 40), 0.5))
    mean, theta = torch.rand(30, 40) * 3 + 0.05, torch.randn(theta_shape).exp()
    logits = 2 * torch.randn(30, 40)
    theirs = scvi_distributions.ZeroInflatedNegativeBinomial(mu=mean, theta=theta, zi_logits=logits)
    ours = ZeroInflatedNegativeBinomial(mean, theta, logits)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance)
    ours = NegativeBinomial(mean, theta)
    theirs = scvi_distributions.NegativeBinomial(mu=mean, theta=theta)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.variance, theirs.variance)


def test_zero_inflation_gradients():
    torch.manual_seed(3)
    x = torch.poisson(torch.full((2, 6, 4), 0.8, dtype=torch.float64))
    arguments = [t.double().requires_grad_() for t in (torch.rand(6, 4) + 0.1, torch.rand(4) + 0.1, torch.randn(6, 4))]
    assert torch.autograd.gradcheck(lambda *a: ZeroInflatedNegativeBinomial(*a).log_prob(x), arguments)


@pytest.mark.parametrize("logit", [-1e4, -100.0, 0.0, 100.0, 1e4])
@pytest.mark.parametrize("mean", [1e-20, 1e-8, 1.0, 1e6])
@pytest.mark.parametrize("theta", [1e-7, 1.0, 1e7])
def test_zero_inflation_is_finite_at_extremes(mean, theta, logit):
    arguments = [torch.full((3,), value, requires_grad=True) for value in (mean, theta, logit)]
    value = ZeroInflatedNegativeBinomial(*arguments).log_prob(tensor([0.0, 1.0, 1e4]))
    assert value.isfinite().all()
    assert (value <= 1e-6).all()
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(value.sum(), arguments))
