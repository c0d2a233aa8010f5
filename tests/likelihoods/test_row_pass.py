"""One pass over rows of counts against the elementwise log-probability in double precision."""

from __future__ import annotations

from itertools import product

import mpmath
import pytest
import torch

from curvi._compressed import compressed_counts
from curvi.likelihoods import (
    NegativeBinomial,
    NegativeBinomialLikelihood,
    Poisson,
    PoissonLikelihood,
    ZeroInflatedNegativeBinomial,
    ZeroInflatedNegativeBinomialLikelihood,
)
from curvi.likelihoods._mean import Shares
from curvi.likelihoods._row_kernel import negative_binomial_rows
from curvi.likelihoods._row_kernel_poisson import poisson_rows
from curvi.likelihoods._row_kernel_zero_inflated import zero_inflated_rows
from curvi.likelihoods._row_pass import pass_log_likelihood, takes_pass

N, F = 9, 60
ROUNDING = 6e-8
KINDS = {
    "poisson": (Poisson, poisson_rows),
    "nb": (NegativeBinomial, negative_binomial_rows),
    "zinb": (ZeroInflatedNegativeBinomial, zero_inflated_rows),
}


def draws(shape=(N, F), spread=1.0, largest=5.0, density=0.3, seed=0):
    """Raw maps of a shape that ends in ``(N, F)``, counts and size factors."""
    torch.manual_seed(seed)
    counts = torch.poisson(largest ** torch.rand(N, F)) * (torch.rand(N, F) < density)
    counts[:, 0] += 1
    return spread * torch.randn(shape), counts, counts.sum(-1, keepdim=True)


def further(kind, theta_spread=1.0, logits_spread=1.0, logits_shape=(N, F)):
    """The parameters of a distribution besides its mean."""
    if kind == "poisson":
        return ()
    theta = (theta_spread * torch.randn(F)).exp().clamp(1e-7, 1e7)
    return (theta,) if kind == "nb" else (theta, logits_spread * torch.randn(logits_shape))


def plainly(kind, size, x, raw, *parameters):
    """The log-likelihood in float64, entry by entry, with the gradients of each row in all that is its own."""
    raw = raw.detach().double().requires_grad_()
    each = [p.detach().double().expand(raw.shape).clone().requires_grad_() for p in parameters]
    mean = torch.softmax(raw, -1) * size.double() + 1e-20
    value = KINDS[kind][0](mean, *each, validate_args=False).log_prob(x.double()).sum(-1)
    return value.detach(), *torch.autograd.grad(value.sum(), (raw, *each))


def together(kind, size, x, *leaves):
    """The pass, and a row's gradients in what all rows share or each has of its own."""
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    value = pass_log_likelihood(KINDS[kind][1], size, x, *leaves)
    return value.detach(), *torch.autograd.grad(value.sum(), leaves)


@pytest.mark.parametrize(("spread", "largest"), [(0.5, 3.0), (1.0, 50.0), (4.0, 5000.0), (30.0, 1e6)])
@pytest.mark.parametrize(
    ("kind", "theta_spread", "logits_spread"),
    [
        ("poisson", 0, 0),
        ("nb", 0, 0),
        ("nb", 1, 0),
        ("nb", 6, 0),
        ("zinb", 0, 1),
        ("zinb", 1, 5),
        ("zinb", 6, 1),
        ("zinb", 6, 30),
    ],
)
def test_value_and_gradients_are_those_of_double_precision(kind, spread, largest, theta_spread, logits_spread):
    raw, x, size = draws(spread=spread, largest=largest)
    parameters = further(kind, theta_spread, logits_spread)
    exact, *expected = plainly(kind, size, x, raw, *parameters)
    value, *found = together(kind, size, x, raw, *parameters)
    # A gradient is a difference of counts and means: it has the rounding of raw - max(raw) in their exponent.
    far = 10 + (raw.max(-1, keepdim=True).values - raw).double()
    share = torch.softmax(raw.double(), -1)
    scale = x.double() + share * size
    assert (value.double() - exact).abs().max() <= 4 * ROUNDING * exact.abs().max()
    error = (found[0].double() - expected[0]).abs()
    assert (error <= 2 * ROUNDING * far * (scale + scale.sum(-1, keepdim=True) * share) + 1e-12).all()
    if kind != "poisson":
        theta = parameters[0]
        error = (theta * (found[1].double() - expected[1].sum(0))).abs()
        assert (error <= 2 * ROUNDING * (far * (1.0 + scale)).sum(0)).all()
    if kind == "zinb":
        logits = parameters[1]
        # How likely a zero is to be an extra one has the rounding of its probability otherwise in the exponent.
        never = -theta * torch.log1p(share * size / theta)
        assert ((found[2].double() - expected[2]).abs() <= 2 * ROUNDING * (far + never.abs() + logits.abs())).all()


@pytest.mark.parametrize("kind", KINDS)
def test_single_values_agree_with_forty_digits(kind):
    means = torch.tensor([1e-6, 0.01, 1.0, 30.0, 1e4])[:, None]
    thetas, logits = (1e-7, 0.01, 1.0, 50.0, 1e5, 1e7), (-40.0, -1.0, 2.0, 30.0)
    pairs = {"poisson": [()], "nb": list(product(thetas)), "zinb": list(product(thetas, logits))}[kind]
    for pair in pairs:
        parameters = [torch.tensor([value]) for value in pair]
        for x in (0, 1, 2, 7, 8, 9, 40, 63, 64, 10**4):
            counts = torch.full((len(means), 1), float(x))
            value = pass_log_likelihood(KINDS[kind][1], means, counts, torch.zeros(len(means), 1), *parameters)
            for mean, ours in zip(means[:, 0].tolist(), value.tolist(), strict=True):
                with mpmath.workdps(40):
                    exact = _exact(kind, x, mpmath.mpf(mean), *(mpmath.mpf(each.item()) for each in parameters))
                assert ours == pytest.approx(float(exact), rel=3e-7, abs=1e-7), (mean, pair, x)


def _exact(kind, x, mean, theta=None, logit=None):
    if kind == "poisson":
        return x * mpmath.log(mean) - mean - mpmath.loggamma(x + 1)
    drawn = mpmath.loggamma(x + theta) - mpmath.loggamma(theta) - mpmath.loggamma(x + 1)
    drawn += -theta * mpmath.log1p(mean / theta) + x * mpmath.log(mean / (mean + theta))
    kept = 1 if logit is None else 1 / (1 + mpmath.exp(logit))
    return mpmath.log((0 if x else 1 - kept) + kept * mpmath.exp(drawn))


@pytest.mark.parametrize("kind", KINDS)
def test_far_out_everything_is_finite(kind):
    raw, x, size = draws(spread=1e4, largest=1e6)
    parameters = further(kind)
    far = torch.tensor([1e-7, 1e7]).repeat(F // 2), 1e4 * torch.randn(N, F)
    parameters = far[: len(parameters)]
    value, *found = together(kind, size, x, raw, *parameters)
    assert all(torch.isfinite(each).all() for each in (value, *found))
    exact = plainly(kind, size, x, raw, *parameters)[0]
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=0)


def test_the_terms_of_a_zero_may_be_far_apart():
    # An extra zero and a drawn one, both less likely than any float32 can tell from 0.
    logits = torch.tensor([[-300.0, -100.0, 250.0, 0.0]])
    raw, x, size, theta = torch.zeros(1, 4), torch.zeros(1, 4), torch.tensor([[2000.0]]), torch.tensor([80.0])
    value, *found = together("zinb", size, x, raw, theta, logits)
    exact, *expected = plainly("zinb", size, x, raw, theta, logits)
    torch.testing.assert_close(value.double(), exact, rtol=3e-7, atol=0)
    torch.testing.assert_close(found[0].double(), expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[2].double(), expected[2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(), (1,), (F,), (N, F), (3, N, F), (3, 1, F)])
@pytest.mark.parametrize(("kind", "which"), [("nb", 0), ("zinb", 0), ("zinb", 1)])
def test_parameters_of_every_shape(kind, which, shape):
    raw, x, size = draws((3, N, F))
    parameters = list(further(kind, logits_shape=(3, N, F)))
    parameters[which] = torch.rand(shape) + 0.5
    exact, *expected = plainly(kind, size, x, raw, *parameters)
    leaves = [leaf.requires_grad_() for leaf in (raw, *parameters)]
    weight = torch.rand(3, N)
    value = pass_log_likelihood(KINDS[kind][1], size, x, *leaves)
    assert value.shape == (3, N)
    torch.testing.assert_close(value.double(), exact, rtol=1e-6, atol=1e-5)
    found = torch.autograd.grad((weight * value).sum(), leaves)
    for leaf, ours, theirs in zip(leaves, found, expected, strict=True):
        weighted = (
            (weight[..., None] * theirs).sum_to_size(leaf.shape) if leaf.ndim else (weight[..., None] * theirs).sum()
        )
        torch.testing.assert_close(ours.double(), weighted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_several_draws(kind):
    raw, x, size = draws((3, 2, N, F))
    parameters = further(kind, logits_shape=raw.shape)
    exact, *expected = plainly(kind, size, x, raw, *parameters)
    value, *found = together(kind, size, x, raw, *parameters)
    torch.testing.assert_close(value.double(), exact, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(found[0].double(), expected[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_threads", [1, 3])
def test_compressed_rows_and_threads_change_nothing(kind, n_threads):
    raw, x, size = draws((5, N, F))
    parameters = further(kind, logits_shape=raw.shape)
    expected = together(kind, size, x, raw, *parameters)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    found = [together(kind, size, counts, raw, *parameters) for counts in (x, compressed_counts(x))]
    torch.set_num_threads(before)
    torch.testing.assert_close(*found, rtol=0, atol=0)
    torch.testing.assert_close(found[0], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_the_value_is_made_without_gradients(kind):
    raw, x, size = draws((2, N, F))
    parameters = further(kind, logits_shape=raw.shape)
    with torch.no_grad():
        alone = pass_log_likelihood(KINDS[kind][1], size, x, raw, *parameters)
    assert alone.grad_fn is None
    torch.testing.assert_close(alone, together(kind, size, x, raw, *parameters)[0])


def test_gradients_only_where_they_are_asked_for():
    raw, x, size = draws()
    theta, logits = further("zinb")
    every = together("zinb", size, x, raw, theta, logits)[1:]
    for which, leaf in enumerate((raw, theta, logits)):
        leaf.requires_grad_()
        value = pass_log_likelihood(zero_inflated_rows, size, x, raw, theta, logits)
        torch.testing.assert_close(torch.autograd.grad(value.sum(), leaf)[0], every[which])
        leaf.requires_grad_(False)


@pytest.mark.parametrize(
    "likelihood",
    [
        PoissonLikelihood(F),
        NegativeBinomialLikelihood(F),
        NegativeBinomialLikelihood(F, dispersion="gene-cell"),
        NegativeBinomialLikelihood(F, dispersion="fixed"),
        ZeroInflatedNegativeBinomialLikelihood(F),
        ZeroInflatedNegativeBinomialLikelihood(F, dispersion="gene-cell"),
        ZeroInflatedNegativeBinomialLikelihood(F, dispersion="fixed"),
    ],
    ids=["poisson", "nb", "nb by cell", "nb fixed", "zinb", "zinb by cell", "zinb fixed"],
)
def test_a_likelihood_says_the_same_as_its_distribution(likelihood):
    raw, x, size = draws((4, N, likelihood.n_params, F))
    raw.requires_grad_()
    leaves = (raw, *likelihood.parameters())
    px = likelihood(raw, size)
    value = likelihood.log_likelihood(px, x)
    assert "_mean" not in vars(getattr(px, "negative_binomial", px))  # no mean was made
    in_passing = torch.autograd.grad(value.sum(), leaves)
    px = likelihood(raw, size)
    plain = px.log_prob(x).sum(-1)
    torch.testing.assert_close(value, plain, rtol=1e-5, atol=1e-4)
    for ours, theirs in zip(in_passing, torch.autograd.grad(plain.sum(), leaves), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(likelihood.expression(px).sum(-1), size[:, 0].expand(4, N))


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_pass_does_not_serve_goes_entry_by_entry(kind):
    raw, x, size = draws()
    parameters = further(kind)
    distribution = KINDS[kind][0]
    wide = [each.double() for each in (raw, size, *parameters)]
    assert takes_pass(size, x, raw, *parameters)
    assert not takes_pass(wide[1], x.double(), wide[0], *wide[2:])
    assert not takes_pass(size.clone().requires_grad_(), x, raw, *parameters)
    assert not takes_pass(torch.ones(1, 1), x, raw, *parameters)
    assert not takes_pass(*(each.to("meta") for each in (size, x, raw, *parameters)))
    assert not takes_pass(size, x, raw, *parameters, torch.ones(2, 1, F))
    exact = plainly(kind, size, x, raw, *parameters)[0]
    px = distribution(Shares(wide[0], wide[1]), *wide[2:], validate_args=False)
    torch.testing.assert_close(px.log_likelihood(x.double()), exact)
    sized = size.clone().requires_grad_()
    value = distribution(Shares(raw, sized), *parameters, validate_args=False).log_likelihood(x)
    (in_size,) = torch.autograd.grad(value.sum(), sized)
    assert (in_size != 0).any()
    torch.testing.assert_close(value.detach().double(), exact, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "make", [PoissonLikelihood, NegativeBinomialLikelihood, ZeroInflatedNegativeBinomialLikelihood]
)
def test_other_means_go_entry_by_entry(make):
    likelihood = make(F, mean_activation="softplus")
    raw, x, size = draws((N, likelihood.n_params, F))
    px = likelihood(raw, size)
    expected = px.log_prob(x).sum(-1)
    torch.testing.assert_close(likelihood.log_likelihood(px, x), expected)
    torch.testing.assert_close(likelihood.log_likelihood(px, compressed_counts(x)), expected)
