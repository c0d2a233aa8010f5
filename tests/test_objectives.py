"""Objectives from per-cell numbers."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal

from curvi.manifolds import Sphere
from curvi.objectives import divergence, importance_weighted_log_likelihood, thinning_penalty


def test_divergence_refuses_a_divergence_per_coordinate():
    q = Normal(torch.zeros(5, 3), torch.ones(5, 3))
    with pytest.raises(ValueError, match="one number a cell"):
        divergence(q, q)


def test_divergence_of_gaussians():
    q = Independent(Normal(torch.tensor([[1.0, -2.0]]), torch.ones(1, 2)), 1)
    p = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    torch.testing.assert_close(divergence(q, p), torch.tensor([2.5]))


def test_importance_weights_average_in_the_log_domain():
    weights = torch.tensor([[-1000.0, 3.0], [-1001.0, 3.0]])
    expected = torch.tensor([-1000.0 + torch.log(torch.tensor((1 + 2.718281828459045**-1) / 2)), 3.0])
    torch.testing.assert_close(importance_weighted_log_likelihood(weights), expected)


def test_importance_weighting_recovers_a_known_evidence():
    """x = z + noise with z and noise standard normal, so that x has variance 2; a poor q still converges to it."""
    torch.manual_seed(0)
    x, q = torch.tensor(0.7), Normal(0.0, 1.2)
    z = q.sample((200_000, 1))
    weights = Normal(z, 1.0).log_prob(x) + Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)
    expected = Normal(0.0, 2.0**0.5).log_prob(x)
    torch.testing.assert_close(importance_weighted_log_likelihood(weights)[0], expected, atol=5e-3, rtol=0)


def test_thinning_penalty_is_the_squared_angle_and_flat_at_zero():
    loc = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], requires_grad=True)
    other = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    penalty = thinning_penalty(Sphere(2), loc, other)
    torch.testing.assert_close(penalty, torch.tensor([(torch.pi / 2) ** 2, 0.0]))
    penalty.sum().backward()
    assert loc.grad.isfinite().all()
    assert loc.grad[1].abs().sum() == 0
