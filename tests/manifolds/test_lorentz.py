"""The hyperboloid."""

from __future__ import annotations

import pytest
import torch

from curvi.manifolds import Lorentz


@pytest.mark.parametrize("curvature", [0.1, 1.0, 5.0])
def test_points_satisfy_the_equation_with_the_time_first(curvature):
    space = Lorentz(3, curvature).double()
    torch.manual_seed(0)
    x = space.exp0(torch.randn(20, 3, dtype=torch.float64))
    made = torch.cat([x, space.project(torch.randn(20, 4, dtype=torch.float64)), space.origin[None]])
    square = -made[:, 0].square() + made[:, 1:].square().sum(-1)
    torch.testing.assert_close(square, torch.full_like(square, -1 / curvature), rtol=1e-9, atol=1e-9)
    assert bool((made[:, 0] > 0).all())
    torch.testing.assert_close(space.origin, torch.tensor([curvature**-0.5, 0, 0, 0]).double())


def test_projection_keeps_the_spatial_coordinates():
    x = torch.tensor([[-7.0, 3.0, 4.0], [0.0, 0.0, 0.0], [1.0, 1e30, 0.0]])
    projected = Lorentz(2).project(x)
    assert torch.equal(projected[:, 1:], x[:, 1:])
    torch.testing.assert_close(projected[:, 0], torch.tensor([26.0**0.5, 1.0, 1e30]))


def test_a_time_that_was_rounded_or_lost_changes_nothing():
    space = Lorentz(2)
    x, y = space.exp0(torch.tensor([[9.0, 0.0], [8.0, 3.0]]))
    wrong = x * torch.tensor([1.001, 1.0, 1.0])
    assert torch.equal(space.dist(x, y), space.dist(wrong, y))
    assert torch.equal(space.log(x, y), space.log(wrong, y))
    assert torch.equal(space.log0(x), space.log0(wrong))


def test_velocities_are_orthogonal_to_their_points():
    space = Lorentz(3, 0.5)
    torch.manual_seed(0)
    x, y, z = space.exp0(torch.randn(3, 20, 3, dtype=torch.float64))
    minkowski = torch.tensor([-1.0, 1.0, 1.0, 1.0]).double()
    u = space.log(x, y)
    for at, vector in ((x, u), (z, space.transport(x, z, u))):
        torch.testing.assert_close((minkowski * at * vector).sum(-1), torch.zeros(20).double(), rtol=0, atol=1e-10)
        square = (minkowski * vector * vector).sum(-1)
        torch.testing.assert_close(square, space.dist(x, y).square(), rtol=1e-9, atol=1e-9)


def test_contains_judges_the_error_by_the_squared_size_of_a_point():
    space = Lorentz(2)
    far = space.exp0(torch.tensor([[80.0, 0.0], [30.0, 30.0]]))
    assert space.contains(far) == (True, "")
    assert space.contains(far.double())[0]
    inside, reason = space.contains(far * torch.tensor([1.0, 1.001, 1.0]))
    assert not inside
    assert "0.002" in reason
    assert space.contains(far * torch.tensor([1.0, 1.001, 1.0]), atol=0.01)[0]
    inside, reason = space.contains(torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]))
    assert not inside
    assert "positive time" in reason
    assert not Lorentz(2, 2.0).contains(space.origin)[0]
    assert space.contains(far[:0])[0]


def test_a_path_between_far_points_does_not_leave_the_way():
    space = Lorentz(2)
    ends = space.exp0(torch.tensor([[60.0, 0.0], [-40.0, 0.0]]))
    path = space.geodesic(ends[0], ends[1], torch.tensor([0.0, 0.25, 0.6, 1.0]))
    expected = torch.tensor([[60.0, 0.0], [35.0, 0.0], [0.0, 0.0], [-40.0, 0.0]])
    torch.testing.assert_close(space.log0(path), expected, rtol=1e-5, atol=1e-5)
