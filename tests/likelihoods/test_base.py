"""The contract of a likelihood, for each name that is known."""

from __future__ import annotations

from copy import deepcopy
from inspect import signature

import numpy as np
import pytest
import torch

from curvi.likelihoods import Counts, Dispersion, Likelihood, UnitInterval

N, F = 6, 5

CASES = [
    (name, options)
    for name in Likelihood.names()
    for options in (
        [{"dispersion": dispersion, "dispersion_level": 1} for dispersion in Dispersion.names()]
        if "dispersion" in signature(Likelihood.named(name)).parameters
        else [{}]
    )
] + [
    (name, {"mean_activation": "softplus"})
    for name in Likelihood.names()
    if "mean_activation" in signature(Likelihood.named(name)).parameters
]


@pytest.fixture(params=CASES, ids=lambda case: " ".join([case[0], *map(str, case[1].values())]))
def likelihood(request):
    torch.manual_seed(0)
    name, options = request.param
    return Likelihood.named(name)(F, [2, 3], **options)


@pytest.fixture
def levels():
    return torch.stack([torch.arange(N) % 2, torch.arange(N) % 3], 1)


def _data(likelihood):
    if isinstance(likelihood.observations, Counts):
        return torch.poisson(torch.full((N, F), 0.8)) + torch.eye(N, F) + torch.eye(F).sum(0).eq(2)
    if isinstance(likelihood.observations, UnitInterval):
        return torch.rand(N, F)
    return torch.randn(N, F)


def test_known_names():
    known = {"nb", "zinb", "poisson", "normal", "student_t", "bernoulli", "continuous_bernoulli"}
    assert known <= set(Likelihood.names())
    with pytest.raises(ValueError, match="unknown likelihood 'nbinom'; the known names are '"):
        Likelihood.named("nbinom")


@pytest.mark.parametrize("leading", [(), (3,), (3, 2)])
def test_shapes(likelihood, levels, leading):
    x = _data(likelihood)
    raw = torch.randn(*leading, N, likelihood.n_params, F)
    px = likelihood(raw, torch.full((N, 1), 20.0), levels)
    assert px.batch_shape == (*leading, N, F)
    assert px.event_shape == ()
    assert px.log_prob(x).shape == (*leading, N, F)
    assert px.mean.shape == px.variance.shape == (*leading, N, F)
    assert px.sample((4,)).shape == (4, *leading, N, F)
    assert (px.variance > 0).all()
    if leading:
        # Each draw is described as if it stood alone.
        alone = likelihood(raw[0], torch.full((N, 1), 20.0), levels)
        torch.testing.assert_close(px.log_prob(x)[0], alone.log_prob(x))


def test_support(likelihood, levels):
    px = likelihood(torch.randn(N, likelihood.n_params, F), torch.full((N, 1), 20.0), levels)
    assert px.support.check(px.sample((10,))).all()
    likelihood.check((_data(likelihood)).numpy())


def test_samples_agree_with_moments(likelihood, levels):
    torch.manual_seed(1)
    n = 20_000
    px = likelihood(0.3 * torch.randn(N, likelihood.n_params, F), torch.full((N, 1), 20.0), levels)
    sample = px.sample((n,))
    deviations = (sample - px.mean).square()
    assert ((sample.mean(0) - px.mean).abs() < 5 * (px.variance / n).sqrt()).all()
    assert ((deviations.mean(0) - px.variance).abs() < 8 * deviations.std(0) / n**0.5).all()


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6])
@pytest.mark.parametrize("reach", [0.0, 30.0, 1e4])
def test_finite_at_extremes(likelihood, levels, size, reach):
    x = _data(likelihood)
    x[0, 0] = 1.0 if isinstance(likelihood.observations, UnitInterval) else 1e5
    raw = (reach * torch.randn(N, likelihood.n_params, F).sign()).requires_grad_()
    value = likelihood(raw, torch.full((N, 1), size), levels).log_prob(x)
    assert value.isfinite().all()
    value.sum().backward()
    assert raw.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in likelihood.parameters())


def test_every_parameter_is_used(likelihood, levels):
    raw = torch.randn(N, likelihood.n_params, F, requires_grad=True)
    likelihood(raw, torch.full((N, 1), 20.0), levels).log_prob(_data(likelihood)).sum().backward()
    assert (raw.grad.abs().sum((0, 2)) > 0).all()
    assert all((parameter.grad.abs() > 0).all() for parameter in likelihood.parameters())


def test_fits_the_mean(likelihood, levels):
    """Free raw maps find the data: the gradient points to where the log-probability is higher."""
    torch.manual_seed(2)
    x = _data(likelihood)
    raw = torch.zeros(N, likelihood.n_params, F, requires_grad=True)
    size = likelihood.size_factor(x)
    optimizer = torch.optim.Adam([raw], lr=0.3)
    for _ in range(100):
        optimizer.zero_grad()
        loss = -likelihood(raw, size, levels).log_prob(x).mean()
        loss.backward()
        optimizer.step()
    found = likelihood(raw, size, levels).mean
    assert torch.corrcoef(torch.stack([found.flatten(), x.flatten()]).detach())[0, 1] > 0.95


def test_size_factor_scales_the_mean_of_counts(likelihood, levels):
    raw = torch.randn(N, likelihood.n_params, F)
    one, two = (likelihood(raw, torch.full((N, 1), size), levels).mean for size in (1.0, 2.0))
    torch.testing.assert_close(two, 2 * one if isinstance(likelihood.observations, Counts) else one)


def test_delegates_to_its_kind_of_observations(likelihood):
    x = _data(likelihood)
    torch.testing.assert_close(likelihood.encoder_input(x), likelihood.observations.encoder_input(x))
    torch.testing.assert_close(likelihood.size_factor(x), likelihood.observations.size_factor(x))
    bad = np.full((2, F), np.nan)
    with pytest.raises(ValueError, match=rf"first nan in row 7\); likelihood {likelihood.name!r} needs"):
        likelihood.check(bad, first_row=7)


def test_state_survives_saving(likelihood, levels):
    raw, size = torch.randn(N, likelihood.n_params, F), torch.full((N, 1), 20.0)
    expected = likelihood(raw, size, levels).variance
    state = deepcopy(likelihood.state_dict())
    for parameter in likelihood.parameters():
        torch.nn.init.constant_(parameter, 3.0)
    likelihood.load_state_dict(state)
    torch.testing.assert_close(likelihood(raw, size, levels).variance, expected)


def test_wrong_shape(likelihood):
    wrong = (N, likelihood.n_params + 1, F)
    with pytest.raises(
        ValueError, match=rf"`raw` has shape \({N}, {wrong[1]}, {F}\); likelihood '{likelihood.name}' reads"
    ):
        likelihood(torch.zeros(wrong), torch.ones(N, 1))
