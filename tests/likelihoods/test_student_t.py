from __future__ import annotations

import pytest
import scipy.stats
import torch

from curvi.likelihoods import StudentT, StudentTLikelihood


@pytest.mark.parametrize("df", [0.5, 2.5, 5.0, 100.0])
def test_scipy_and_torch(df):
    torch.manual_seed(0)
    loc, scale = torch.randn(6, 4, dtype=torch.float64), torch.rand(4, dtype=torch.float64) + 0.1
    x = loc + 10 * torch.randn(6, 4, dtype=torch.float64)
    ours = StudentT(df, loc, scale)
    expected = scipy.stats.t.logpdf(x.numpy(), df, loc.numpy(), scale.numpy())
    torch.testing.assert_close(ours.log_prob(x), torch.from_numpy(expected))
    theirs = torch.distributions.StudentT(df, loc, scale)
    torch.testing.assert_close(ours.mean, theirs.mean, equal_nan=True)
    torch.testing.assert_close(ours.variance, theirs.variance, equal_nan=True)


def test_samples_follow_the_law():
    torch.manual_seed(0)
    px = StudentT(5.0, torch.tensor([3.0]), torch.tensor(0.5))
    sample = px.sample((20_000,))[:, 0]
    assert scipy.stats.kstest(sample.numpy(), scipy.stats.t(5, 3.0, 0.5).cdf).pvalue > 1e-3


def test_samples_are_differentiable():
    loc, scale = torch.zeros(3, requires_grad=True), torch.ones((), requires_grad=True)
    StudentT(5.0, loc, scale).rsample((4,)).sum().backward()
    torch.testing.assert_close(loc.grad, torch.full((3,), 4.0))
    assert scale.grad != 0


def test_expand():
    px = StudentT(5.0, torch.zeros(4), torch.ones(4)).expand(torch.Size([3, 4]))
    assert px.batch_shape == (3, 4)
    assert px.sample((2,)).shape == (2, 3, 4)


def test_validation():
    with pytest.raises(ValueError, match="scale"):
        StudentT(5.0, torch.zeros(2), torch.zeros(2))
    with pytest.raises(ValueError, match="support"):
        StudentT(5.0, torch.zeros(2), torch.ones(2)).log_prob(torch.tensor([float("nan"), 0.0]))


@pytest.mark.parametrize("df", [0.0, -1.0, float("nan"), float("inf")])
def test_degrees_of_freedom_out_of_range(df):
    with pytest.raises(ValueError, match="`df` is"):
        StudentTLikelihood(4, df=df)
