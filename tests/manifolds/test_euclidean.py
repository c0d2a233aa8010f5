"""Flat space."""

from __future__ import annotations

import torch

from curvi.manifolds import Euclidean


def test_everything_is_vector_algebra():
    flat = Euclidean(3)
    torch.manual_seed(0)
    x, y, u = torch.randn(3, 5, 3)
    assert torch.equal(flat.exp(x, u), x + u)
    assert torch.equal(flat.log(x, y), y - x)
    assert torch.equal(flat.transport(x, y, u), u)
    assert torch.equal(flat.dist(x, y), (x - y).norm(dim=-1))
    assert torch.equal(flat.project(x), x)
    assert torch.equal(flat.origin, torch.zeros(3))
    torch.testing.assert_close(flat.mean(x), x.mean(0))


def test_a_tangent_vector_is_broadcast():
    assert Euclidean(2).transport(torch.zeros(4, 2), torch.zeros(2), torch.ones(2)).shape == (4, 2)
    assert Euclidean(2).log_det_exp(torch.zeros(4, 2), torch.ones(3, 1, 2)).shape == (3, 4)
