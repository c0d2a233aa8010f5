"""One pass over rows of values from 0 to 1 against the elementwise log-probability in double precision."""

from __future__ import annotations

import pytest
import torch

from curvi._compressed import compressed_counts
from curvi.likelihoods import Bernoulli, BernoulliLikelihood, ContinuousBernoulli, ContinuousBernoulliLikelihood

N, F = 9, 60
ROUNDING = 6e-8
PAIRS = [(BernoulliLikelihood, Bernoulli), (ContinuousBernoulliLikelihood, ContinuousBernoulli)]

pytestmark = pytest.mark.parametrize(("kind", "distribution"), PAIRS, ids=["bernoulli", "continuous"])


def draws(shape=(N, F), spread=1.0, seed=0):
    """Logits of a shape that ends in ``(N, F)`` and values, of which half are 0 and some are 1."""
    torch.manual_seed(seed)
    x = (1.5 * torch.rand(N, F)).clamp_max(1) * (torch.rand(N, F) < 0.5)
    return spread * torch.randn(shape), x


def plainly(distribution, logits, x):
    """The same in float64: value, gradient, and the sum of the sizes of what is summed."""
    wide = logits.detach().double().requires_grad_()
    each = distribution(wide).log_prob(x.double())
    (grad,) = torch.autograd.grad(each.sum(), wide)
    return each.sum(-1).detach(), grad, each.abs().sum(-1).detach()


def passed(kind, logits, x):
    """The value of the pass, whose making is to be seen in the graph, and its gradient."""
    likelihood = kind(F)
    leaf = logits.clone().requires_grad_()
    value = likelihood.log_likelihood(likelihood(leaf.unsqueeze(-2), torch.ones(N, 1)), x)
    (grad,) = torch.autograd.grad(value.sum(), leaf, retain_graph=True)
    return value, grad


@pytest.mark.parametrize("spread", [0.0, 1e-4, 0.3, 1.0, 4.0, 30.0, 1e4])
@pytest.mark.parametrize("thin", [False, True])
def test_value_and_gradient_are_those_of_double_precision(kind, distribution, spread, thin):
    logits, x = draws(spread=spread)
    exact, in_logits, size = plainly(distribution, logits, x)
    value, grad = passed(kind, logits, compressed_counts(x) if thin else x)
    assert "Pass" in type(value.grad_fn).__name__
    # The terms of a continuous one pass through 0.
    assert ((value.detach().double() - exact).abs() <= 8 * ROUNDING * (size + F * 1e-2)).all()
    assert ((grad.double() - in_logits).abs() <= 4 * ROUNDING).all()


def test_certain_values_keep_their_relative_precision(kind, distribution):
    logits = torch.tensor([5.0, 17.0, 40.0, 80.0])[:, None]
    if kind is BernoulliLikelihood:
        for sign in (1.0, -1.0):
            leaf = (sign * logits).requires_grad_()
            likelihood = kind(1)
            value = likelihood.log_likelihood(likelihood(leaf[:, None], torch.ones(4, 1)), (leaf.detach() > 0).float())
            (grad,) = torch.autograd.grad(value.sum(), leaf)
            expected = torch.exp(-logits.double())
            torch.testing.assert_close(value.double(), -torch.log1p(expected)[:, 0], rtol=1e-6, atol=0)
            torch.testing.assert_close(grad.double(), sign * expected / (1 + expected), rtol=1e-6, atol=0)
    else:
        value, grad = passed(kind, torch.full((N, F), 1e30), torch.ones(N, F))
        assert value.tolist() == pytest.approx([F * 69.0775] * N, rel=1e-5)
        torch.testing.assert_close(grad, torch.full((N, F), 1e-30))


@pytest.mark.parametrize("thin", [False, True])
@pytest.mark.parametrize("leading", [(3,), (2, 3)])
def test_several_draws(kind, distribution, leading, thin):
    logits, x = draws((*leading, N, F))
    exact, in_logits, _ = plainly(distribution, logits, x)
    value, grad = passed(kind, logits, compressed_counts(x) if thin else x)
    torch.testing.assert_close(value.detach().double(), exact, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(grad.double(), in_logits, rtol=0, atol=4 * ROUNDING)


def test_weighted_rows(kind, distribution):
    logits, x = draws()
    weight = torch.rand(N)
    likelihood = kind(F)
    leaf = logits.requires_grad_()
    value = likelihood.log_likelihood(likelihood(leaf[:, None], torch.ones(N, 1)), x)
    (grad,) = torch.autograd.grad((weight * value).sum(), leaf)
    expected = weight[:, None] * plainly(distribution, logits, x)[1]
    torch.testing.assert_close(grad.double(), expected, rtol=1e-5, atol=1e-6)


def test_nothing_but_the_value_is_made_without_gradients(kind, distribution):
    logits, x = draws((2, N, F))
    with torch.no_grad():
        alone = kind(F).log_likelihood(kind(F)(logits.unsqueeze(-2), torch.ones(N, 1)), x)
    torch.testing.assert_close(alone, passed(kind, logits, x)[0].detach())


def test_what_the_pass_does_not_serve_goes_entry_by_entry(kind, distribution):
    logits, x = draws()
    value, _ = passed(kind, logits.double(), x.double())
    torch.testing.assert_close(value.detach(), plainly(distribution, logits, x)[0])
    learned = x.requires_grad_()
    value, _ = passed(kind, logits, learned)
    (in_x,) = torch.autograd.grad(value.sum(), learned)
    torch.testing.assert_close(in_x, logits, rtol=1e-5, atol=1e-5)
