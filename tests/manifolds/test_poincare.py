"""The Poincare ball."""

from __future__ import annotations

import pytest
import torch

from curvi.manifolds import Poincare


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("curvature", [0.25, 1.0, 3.0])
def test_projection_leaves_the_inside_alone_and_goes_no_further_than_the_last_number(dtype, curvature):
    ball = Poincare(2, curvature)
    x = torch.tensor([[0.3, 0.1], [3.0, 4.0], [1e30, 0.0], [0.0, 0.0]], dtype=dtype)
    made = ball.project(x)
    assert torch.equal(made[[0, 3]], x[[0, 3]])
    radius = torch.linalg.vector_norm(made.double(), dim=-1) * curvature**0.5
    assert bool((radius[1:3] < 1).all())
    assert bool((radius[1:3] > 1 - 10 * torch.finfo(dtype).eps).all())
    torch.testing.assert_close(made[1, 1] / made[1, 0], torch.tensor(4 / 3, dtype=dtype))
    assert bool(torch.isfinite(ball.log0(made)).all())


def test_lengths_near_a_point_are_twice_those_of_the_numbers_by_the_gap():
    ball = Poincare(2, 0.5)
    x, step = torch.tensor([0.9, -0.4], dtype=torch.float64), torch.tensor([3e-7, 4e-7], dtype=torch.float64)
    gap = 1 - 0.5 * float(x @ x)
    assert float(ball.dist(x, x + step)) == pytest.approx(2 / gap * 5e-7, rel=1e-6)


def test_the_edge_is_not_inside():
    ball = Poincare(2, 0.25)
    assert ball.contains(torch.tensor([[1.0, 1.0], [0.0, 1.99999]])) == (True, "")
    for edge in (2.0, 2.5):
        inside, reason = ball.contains(torch.tensor([[0.0, 0.0], [edge, 0.0]]))
        assert not inside
        assert f"shorter than 2; the longest is {edge:g}" in reason
    assert ball.contains(torch.empty(0, 2))[0]


def test_a_path_from_edge_to_edge_goes_through_the_middle():
    ball = Poincare(2)
    x, y = ball.exp0(torch.tensor([[14.0, 0.0], [-14.0, 0.0]]))
    path = ball.geodesic(x, y, torch.tensor([0.25, 0.5, 0.75]))
    radius = ball.dist(ball.origin, x)
    expected = torch.stack([radius / 2, torch.tensor(0.0), -radius / 2])
    torch.testing.assert_close(ball.log0(path)[:, 0], expected, rtol=1e-5, atol=1e-5)
