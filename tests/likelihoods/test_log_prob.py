from __future__ import annotations

import mpmath
import pytest
import torch
from scvi import distributions as scvi_distributions

from curvi.likelihoods import _log_prob
from curvi.likelihoods._log_prob import negative_binomial_log_prob, poisson_log_prob, zero_inflated_log_prob

MEANS = [1e-8, 1e-4, 0.3, 1.0, 17.0, 3e3, 1e6]
THETAS = [1e-7, 1e-4, 0.05, 1.0, 30.0, 1e4, 1e6, 1e7]
COUNTS = [0, 1, 2, 5, 100, 3000, 10**6]


@pytest.fixture(params=["gathered", "everywhere"])
def path(request, monkeypatch):
    """Both ways to find the non-zero counts, so that the accelerator's is tested on a CPU too."""
    if request.param == "everywhere":
        monkeypatch.setattr(_log_prob, "_index", lambda x: None)


def _grid(dtype):
    axes = [torch.tensor(axis, dtype=dtype) for axis in (MEANS, THETAS, COUNTS)]
    return [axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")]


def _exact_negative_binomial(mean, theta, x):
    mean, theta, x = map(mpmath.mpf, (mean, theta, x))
    value = mpmath.loggamma(x + theta) - mpmath.loggamma(theta) - mpmath.loggamma(x + 1)
    value += -theta * mpmath.log1p(mean / theta) + x * mpmath.log(mean / (mean + theta))
    in_mean = (x - mean) / mean * theta / (mean + theta)
    in_theta = (
        mpmath.psi(0, x + theta) - mpmath.psi(0, theta) - mpmath.log1p(mean / theta) - (x - mean) / (mean + theta)
    )
    return float(value), float(in_mean), float(in_theta)


def _sparse(n, n_features, density=0.3, *, dtype=torch.float32):
    return torch.poisson(torch.full((n, n_features), 2.0, dtype=dtype)) * (torch.rand(n, n_features) < density)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 6e-8), (torch.float64, 1.2e-16)])
def test_negative_binomial_agrees_with_sixty_digits(dtype, rounding):
    mean, theta, x = _grid(dtype)
    mean.requires_grad_()
    theta.requires_grad_()
    value = negative_binomial_log_prob(mean, theta, x)
    in_mean, in_theta = torch.autograd.grad(value.sum(), (mean, theta))
    with mpmath.workdps(60):
        rows = [_exact_negative_binomial(*row) for row in zip(mean.tolist(), theta.tolist(), x.tolist(), strict=True)]
    exact, exact_in_mean, exact_in_theta = torch.tensor(rows, dtype=torch.float64).unbind(-1)
    mean, theta, x = mean.detach().double(), theta.detach().double(), x.double()
    # The error may be some roundings of the value, never of lgamma(x + theta) itself.
    assert ((value.double() - exact).abs() <= 8 * rounding * (1.0 + exact.abs())).all()
    # Gradients on the log scale, as parameters are learned.
    error = (mean * (in_mean.double() - exact_in_mean)).abs()
    assert (error <= 20 * rounding * (mean * exact_in_mean).abs() + rounding).all()
    error = (theta * (in_theta.double() - exact_in_theta)).abs()
    assert (error <= 20 * rounding * (1.0 + (x - mean).abs() + (theta * exact_in_theta).abs())).all()


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 6e-8), (torch.float64, 1.2e-16)])
def test_poisson_agrees_with_sixty_digits(dtype, rounding):
    mean, _, x = _grid(dtype)
    mean.requires_grad_()
    value = poisson_log_prob(mean, x)
    (in_mean,) = torch.autograd.grad(value.sum(), mean)
    mean, x = mean.detach().double(), x.double()
    with mpmath.workdps(60):
        exact = torch.tensor(
            [
                float(b * mpmath.log(a) - a - mpmath.loggamma(b + 1))
                for a, b in zip(map(mpmath.mpf, mean.tolist()), map(mpmath.mpf, x.tolist()), strict=True)
            ],
            dtype=torch.float64,
        )
    assert ((value.double() - exact).abs() <= 8 * rounding * (1.0 + exact.abs())).all()
    torch.testing.assert_close(in_mean.double(), x / mean - 1.0, rtol=20 * rounding, atol=0.0)


@pytest.mark.usefixtures("path")
def test_equals_the_plain_implementation():
    torch.manual_seed(0)
    x = _sparse(64, 200)
    mean = torch.rand(64, 200).mul(5).add(0.1).requires_grad_()
    theta = torch.randn(200).exp().requires_grad_()
    ours = negative_binomial_log_prob(mean, theta, x)
    theirs = scvi_distributions.NegativeBinomial(mu=mean, theta=theta).log_prob(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for a, b in zip(
        torch.autograd.grad(ours.sum(), (mean, theta)), torch.autograd.grad(theirs.sum(), (mean, theta)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    ours = poisson_log_prob(mean, x)
    torch.testing.assert_close(ours, scvi_distributions.Poisson(mean).log_prob(x), rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("mean_shape", "theta_shape", "x_shape"),
    [
        ((4, 3), (3,), (4, 3)),
        ((4, 3), (), (4, 3)),
        ((4, 3), (1, 3), (4, 3)),
        ((4, 3), (4, 1), (4, 3)),
        ((4, 3), (4, 3), (4, 3)),
        ((2, 4, 3), (3,), (4, 3)),
        ((2, 4, 3), (4, 3), (4, 3)),
        ((2, 4, 3), (2, 4, 3), (4, 3)),
        ((5, 2, 4, 3), (2, 4, 3), (4, 3)),
        ((5, 2, 4, 3), (3,), (1, 4, 3)),
        ((3,), (4, 3), (4, 3)),
        ((4, 3), (3,), (2, 4, 3)),
        ((3,), (3,), ()),
        ((), (), (4, 3)),
        ((4, 1), (3,), (4, 3)),
    ],
)
def test_gradients_and_broadcasting(mean_shape, theta_shape, x_shape):
    torch.manual_seed(1)
    double = {"dtype": torch.float64}
    x = torch.poisson(torch.full(x_shape, 1.5, **double))
    mean = torch.rand(mean_shape, **double).mul(3).add(0.1).requires_grad_()
    theta = torch.rand(theta_shape, **double).add(0.2).requires_grad_()
    shape = torch.broadcast_shapes(mean_shape, theta_shape, x_shape)
    value = negative_binomial_log_prob(mean, theta, x)
    plain = negative_binomial_log_prob(mean.expand(shape), theta.expand(shape), x.expand(shape))
    assert value.shape == shape
    torch.testing.assert_close(value, plain)
    assert torch.autograd.gradcheck(lambda mean, theta: negative_binomial_log_prob(mean, theta, x), (mean, theta))
    assert torch.autograd.gradcheck(lambda mean: poisson_log_prob(mean, x), (mean,))
    logits = torch.randn(mean_shape, **double).requires_grad_()
    assert torch.autograd.gradcheck(lambda *a: zero_inflated_log_prob(*a, x), (mean, theta, logits))


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("logit", [-50.0, -3.0, 0.0, 3.0, 50.0])
def test_zero_inflation_is_a_mixture(logit):
    mean, theta, x = _grid(torch.float64)
    base = negative_binomial_log_prob(mean, theta, x)
    share = torch.tensor(logit, dtype=torch.float64)
    log_zero = torch.where(x == 0, torch.nn.functional.logsigmoid(share), -torch.inf)
    expected = torch.logaddexp(log_zero, torch.nn.functional.logsigmoid(-share) + base)
    torch.testing.assert_close(zero_inflated_log_prob(mean, theta, share, x), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.usefixtures("path")
def test_any_memory_layout():
    torch.manual_seed(4)
    x, mean, theta, logits = _sparse(4, 3, 0.9), torch.rand(4, 3) + 0.1, torch.rand(4, 3) + 0.1, torch.randn(4, 3)
    expected = zero_inflated_log_prob(mean, theta, logits, x)
    turned = [t.T.contiguous().T.requires_grad_() for t in (mean, theta, logits)]
    value = zero_inflated_log_prob(*turned, x.T.contiguous().T)
    torch.testing.assert_close(value, expected)
    straight = [t.requires_grad_() for t in (mean, theta, logits)]
    pairs = zip(
        torch.autograd.grad(value.sum(), turned),
        torch.autograd.grad(zero_inflated_log_prob(*straight, x).sum(), straight),
        strict=True,
    )
    for a, b in pairs:
        torch.testing.assert_close(a, b)


@pytest.mark.gpu
def test_an_accelerator_agrees():
    torch.manual_seed(5)
    x, mean, theta, logits = _sparse(64, 200), torch.rand(64, 200) + 0.1, torch.rand(200) + 0.1, torch.randn(64, 200)
    for function, arguments in (
        (negative_binomial_log_prob, (mean, theta)),
        (zero_inflated_log_prob, (mean, theta, logits)),
        (poisson_log_prob, (mean,)),
    ):
        here = [t.clone().requires_grad_() for t in arguments]
        there = [t.cuda().requires_grad_() for t in arguments]
        a, b = function(*here, x), function(*there, x.cuda())
        torch.testing.assert_close(a, b.cpu(), rtol=1e-5, atol=1e-5)
        for c, d in zip(torch.autograd.grad(a.sum(), here), torch.autograd.grad(b.sum(), there), strict=True):
            torch.testing.assert_close(c, d.cpu(), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("leaf", ["mean", "theta"])
def test_a_gradient_that_nobody_needs_is_left_out(leaf):
    tensors = {"mean": torch.ones(4, 3), "theta": torch.ones(3)}
    tensors[leaf].requires_grad_()
    x = torch.tensor([[0.0, 1.0, 2.0]]).expand(4, 3)
    negative_binomial_log_prob(
        **{"mean": tensors["mean"], "inverse_dispersion": tensors["theta"]}, x=x
    ).sum().backward()
    assert tensors[leaf].grad.abs().sum() > 0
    assert all(tensor.grad is None for name, tensor in tensors.items() if name != leaf)


@pytest.mark.usefixtures("path")
def test_twice_through_one_graph():
    mean = torch.rand(4, 3).requires_grad_()
    theta = torch.rand(3).requires_grad_()
    value = negative_binomial_log_prob(mean, theta, _sparse(4, 3, 0.9)).sum()
    first = torch.autograd.grad(value, (mean, theta), retain_graph=True)
    second = torch.autograd.grad(value, (mean, theta))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("n", [0, 4])
def test_no_counts_at_all(n):
    mean, theta = torch.ones(n, 3, requires_grad=True), torch.full((3,), 2.0, requires_grad=True)
    x = torch.zeros(n, 3)
    value = negative_binomial_log_prob(mean, theta, x)
    torch.testing.assert_close(value, torch.full((n, 3), -2.0).mul(torch.tensor(1.5).log()))
    value.sum().backward()
    torch.testing.assert_close(mean.grad, torch.full((n, 3), -2 / 3))
    torch.testing.assert_close(poisson_log_prob(mean, x), -torch.ones(n, 3))


@pytest.mark.usefixtures("path")
def test_a_mean_of_zero_puts_all_mass_at_zero():
    mean, theta, x = torch.zeros(2), torch.ones(2), torch.tensor([0.0, 3.0])
    assert negative_binomial_log_prob(mean, theta, x).tolist() == [0.0, float("-inf")]
    assert poisson_log_prob(mean, x).tolist() == [0.0, float("-inf")]
