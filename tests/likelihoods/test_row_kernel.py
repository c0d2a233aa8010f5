"""One pass over rows of counts against the elementwise log-probability in double precision."""

from __future__ import annotations

import mpmath
import pytest
import torch

from curvi._compressed import compressed_counts
from curvi.likelihoods import NegativeBinomial, NegativeBinomialLikelihood
from curvi.likelihoods._mean import Shares
from curvi.likelihoods._row_kernel import negative_binomial_rows
from curvi.likelihoods._row_pass import pass_log_likelihood, takes_pass

N, F = 9, 60
ROUNDING = 6e-8


def rows_log_likelihood(raw, theta, size, x):
    """The pass over rows."""
    return pass_log_likelihood(negative_binomial_rows, size, x, raw, theta)


def draws(shape=(N, F), spread=1.0, largest=5.0, density=0.3, seed=0):
    """Raw maps of a shape that ends in ``(N, F)``, counts and size factors."""
    torch.manual_seed(seed)
    counts = torch.poisson(largest ** torch.rand(N, F)) * (torch.rand(N, F) < density)
    counts[:, 0] += 1
    return spread * torch.randn(shape), counts, counts.sum(-1, keepdim=True)


def plainly(raw, theta, size, x):
    """The same in float64, entry by entry, with each row's gradients in its map and in its own dispersions."""
    raw = raw.double().requires_grad_()
    each = theta.double().expand(raw.shape).clone().requires_grad_()
    mean = torch.softmax(raw, -1) * size.double() + 1e-20
    value = NegativeBinomial(mean, each, validate_args=False).log_prob(x.double()).sum(-1)
    return value.detach(), *torch.autograd.grad(value.sum(), (raw, each))


@pytest.mark.parametrize(("spread", "largest"), [(0.5, 3.0), (1.0, 50.0), (4.0, 5000.0), (30.0, 1e6)])
@pytest.mark.parametrize("theta_spread", [0.0, 1.0, 6.0])
def test_value_and_gradients_are_those_of_double_precision(spread, largest, theta_spread):
    raw, x, size = draws(spread=spread, largest=largest)
    theta = (theta_spread * torch.randn(F)).exp().clamp(1e-7, 1e7)
    exact, in_raw, in_theta = plainly(raw, theta, size, x)
    raw.requires_grad_()
    theta.requires_grad_()
    value = rows_log_likelihood(raw, theta, size, x)
    found = torch.autograd.grad(value.sum(), (raw, theta))
    assert (value.double() - exact).abs().max() <= 4 * ROUNDING * exact.abs().max()
    # A gradient is a difference of counts and means: it has the rounding of raw - max(raw) in their exponent.
    far = 10 + (raw.detach().max(-1, keepdim=True).values - raw.detach()).double()
    share = torch.softmax(raw.detach().double(), -1)
    scale = x.double() + share * size
    error = (found[0].double() - in_raw).abs()
    assert (error <= 2 * ROUNDING * far * (scale + scale.sum(-1, keepdim=True) * share) + 1e-12).all()
    error = (theta.detach() * (found[1].double() - in_theta.sum(0))).abs()
    assert (error <= 2 * ROUNDING * (far * (1.0 + scale)).sum(0)).all()


def test_single_values_agree_with_forty_digits():
    means, thetas = [1e-6, 0.01, 1.0, 30.0, 1e4], [1e-7, 0.01, 1.0, 50.0, 1e5, 1e7]
    counts = [0, 1, 2, 7, 8, 9, 10, 40, 10**4]
    for theta in thetas:
        for x in counts:
            size = torch.tensor(means)[:, None]
            value = rows_log_likelihood(
                torch.zeros(len(means), 1), torch.tensor([theta]), size, torch.full((len(means), 1), float(x))
            )
            for mean, ours in zip(size[:, 0].tolist(), value.tolist(), strict=True):
                with mpmath.workdps(40):
                    m, t = mpmath.mpf(mean), mpmath.mpf(torch.tensor(theta).item())
                    exact = mpmath.loggamma(x + t) - mpmath.loggamma(t) - mpmath.loggamma(x + 1)
                    exact += -t * mpmath.log1p(m / t) + x * mpmath.log(m / (m + t))
                assert ours == pytest.approx(float(exact), rel=3e-7, abs=1e-7), (mean, theta, x)


@pytest.mark.parametrize("shape", [(), (1,), (F,), (N, F), (3, N, F), (3, 1, F)])
def test_dispersions_of_every_shape(shape):
    raw, x, size = draws((3, N, F))
    theta = torch.rand(shape) + 0.5
    exact, in_raw, in_theta = plainly(raw, theta, size, x)
    raw.requires_grad_()
    theta.requires_grad_()
    weight = torch.rand(3, N)
    value = rows_log_likelihood(raw, theta, size, x)
    assert value.shape == (3, N)
    found = torch.autograd.grad((weight * value).sum(), (raw, theta))
    torch.testing.assert_close(value.double(), exact, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(found[0].double(), weight[..., None] * in_raw, rtol=1e-4, atol=1e-5)
    expected = (weight[..., None] * in_theta).sum_to_size(shape) if shape else (weight[..., None] * in_theta).sum()
    torch.testing.assert_close(found[1].double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_compressed_counts_say_the_same(n_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    raw, x, size = draws((3, N, F))
    theta = torch.rand(F).add_(0.5).requires_grad_()
    raw.requires_grad_()
    found = []
    for counts in (x, compressed_counts(x)):
        value = rows_log_likelihood(raw, theta, size, counts)
        found.append((value.detach(), *torch.autograd.grad(value.sum(), (raw, theta))))
    torch.set_num_threads(before)
    torch.testing.assert_close(*found, rtol=0, atol=0)


def test_nothing_but_the_value_is_made_without_gradients():
    raw, x, size = draws((2, N, F))
    theta = torch.ones(F)
    with torch.no_grad():
        alone = rows_log_likelihood(raw, theta, size, x)
    torch.testing.assert_close(alone, rows_log_likelihood(raw.requires_grad_(), theta, size, x).detach())


def test_gradients_only_where_they_are_asked_for():
    raw, x, size = draws()
    theta = torch.ones(F, requires_grad=True)
    (alone,) = torch.autograd.grad(rows_log_likelihood(raw, theta, size, x).sum(), theta)
    value = rows_log_likelihood(raw.requires_grad_(), theta, size, x)
    torch.testing.assert_close(alone, torch.autograd.grad(value.sum(), (raw, theta))[1])


def test_far_out_everything_is_finite():
    raw, x, size = draws(spread=1e4, largest=1e6)
    raw.requires_grad_()
    theta = torch.tensor([1e-7, 1e7]).repeat(F // 2).requires_grad_()
    value = rows_log_likelihood(raw, theta, size, x)
    assert torch.isfinite(value).all()
    assert all(torch.isfinite(each).all() for each in torch.autograd.grad(value.sum(), (raw, theta)))


@pytest.mark.parametrize("options", [{}, {"dispersion": "gene-cell"}, {"dispersion": "fixed"}])
def test_a_likelihood_says_the_same_as_its_distribution(options):
    likelihood = NegativeBinomialLikelihood(F, **options)
    raw, x, size = draws((4, N, likelihood.n_params, F))
    px = likelihood(raw, size)
    together = likelihood.log_likelihood(px, x)
    assert "_mean" not in vars(px)  # no mean was made
    torch.testing.assert_close(together, px.log_prob(x).sum(-1), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(px.mean.sum(-1), size[:, 0].expand(4, N))


def test_what_the_pass_does_not_serve_goes_entry_by_entry():
    raw, x, size = draws()
    theta = torch.ones(F)
    assert takes_pass(size, x, raw, theta)
    assert not takes_pass(size.double(), x.double(), raw.double(), theta.double())
    assert not takes_pass(size.clone().requires_grad_(), x, raw, theta)
    assert not takes_pass(torch.ones(1, 1), x, raw, theta)
    wide = NegativeBinomial(Shares(raw.double(), size.double()), theta.double(), validate_args=False)
    exact = plainly(raw, theta, size, x)[0]
    torch.testing.assert_close(wide.log_likelihood(x), exact)
    sized = size.clone().requires_grad_()
    value = NegativeBinomial(Shares(raw, sized), theta, validate_args=False).log_likelihood(x)
    (in_size,) = torch.autograd.grad(value.sum(), sized)
    assert (in_size != 0).any()
