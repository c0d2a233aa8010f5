"""A single point, and the flat prior."""

from __future__ import annotations

import pytest
import torch

from curvi.distributions import Delta, ImproperUniform


def test_draws_are_the_point_with_its_gradient():
    loc = torch.randn(4, 3, requires_grad=True)
    z = Delta(loc).rsample((5,))
    assert z.shape == (5, 4, 3)
    assert bool((z == loc).all())
    z.sum().backward()
    assert loc.grad is not None
    assert bool((loc.grad == 5).all())


def test_all_mass_is_at_the_point():
    loc = torch.randn(4, 3, dtype=torch.float64)
    point = Delta(loc)
    value = loc.clone()
    value[0, 1] += 1e-3
    log_prob = point.log_prob(value)
    assert log_prob.tolist() == [-torch.inf, 0.0, 0.0, 0.0]
    assert log_prob.dtype == torch.float64
    assert torch.equal(point.mean, loc)
    assert torch.equal(point.mode, loc)
    assert bool((point.variance == 0).all())


def test_a_point_has_coordinates():
    with pytest.raises(ValueError, match="single number"):
        Delta(torch.tensor(1.0))
    with pytest.raises(ValueError, match="loc"):
        Delta(torch.tensor([float("nan")]), validate_args=True)


def test_a_flat_prior_cannot_be_drawn_from():
    flat = ImproperUniform((4,), (3,))
    for draw in (flat.rsample, flat.sample):
        with pytest.raises(NotImplementedError, match="autoencoder has no prior to draw from"):
            draw()


def test_a_flat_prior_prefers_nothing():
    value = torch.randn(7, 4, 3, dtype=torch.float64)
    log_prob = ImproperUniform((4,), (3,)).log_prob(value)
    assert torch.equal(log_prob, torch.zeros(7, 4, dtype=torch.float64))
    assert ImproperUniform((), (3,)).expand((2, 4)).batch_shape == (2, 4)
