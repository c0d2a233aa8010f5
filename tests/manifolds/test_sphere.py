"""The unit sphere."""

from __future__ import annotations

from math import pi

import pytest
import torch

from curvi.manifolds import Sphere


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("angle", [1e-12, 1e-7, 1e-4, 0.1, 1.5, 3.0])
def test_small_angles_and_almost_straight_ones_are_accurate(dtype, angle):
    sphere, angle = Sphere(4), torch.tensor(angle, dtype=dtype)
    towards = torch.zeros(5, dtype=dtype)
    towards[2] = 1
    x = sphere.origin.to(dtype)
    y = sphere.exp(x, angle * towards)
    torch.testing.assert_close(sphere.dist(x, y), angle, rtol=4 * torch.finfo(dtype).eps, atol=0)
    torch.testing.assert_close(pi - sphere.dist(x, -y), angle, rtol=1e-3, atol=2 * torch.finfo(dtype).eps * pi)


def test_the_angle_agrees_with_the_arc_cosine_in_between():
    sphere = Sphere(5)
    torch.manual_seed(0)
    x, y = sphere.project(torch.randn(2, 100, 6, dtype=torch.float64))
    torch.testing.assert_close(sphere.dist(x, y), torch.acos((x * y).sum(-1)), rtol=1e-9, atol=1e-9)


def test_project_keeps_directions_at_every_scale_and_knows_zero():
    sphere = Sphere(2)
    x = torch.tensor([3.0, 0.0, 4.0])
    rows = torch.stack([1e-40 * x, 1e-30 * x, x, 1e30 * x, 0 * x])
    expected = torch.tensor([0.6, 0.0, 0.8]).repeat(5, 1)
    expected[-1] = sphere.origin
    torch.testing.assert_close(sphere.project(rows), expected, rtol=1e-5, atol=1e-5)


def test_project_has_a_finite_gradient_at_zero():
    x = torch.zeros(2, 3, requires_grad=True)
    Sphere(2).project(x).sum().backward()
    assert x.grad is not None
    assert bool((x.grad == 0).all())


def test_project_has_the_gradient_of_a_direction():
    x = torch.tensor([[0.3, -2.0, 0.7], [1e-3, 2e-3, 1e-4]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Sphere(2).project, x, eps=1e-9, atol=1e-4)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_antipodal_points_are_joined_by_one_of_their_shortest_paths(dim):
    sphere = Sphere(dim)
    torch.manual_seed(0)
    x = torch.cat([sphere.project(torch.randn(20, dim + 1, dtype=torch.float64)), torch.eye(dim + 1).double()])
    u = sphere.log(x, -x)
    torch.testing.assert_close(torch.linalg.vector_norm(u, dim=-1), torch.full((len(x),), pi).double())
    torch.testing.assert_close(sphere.exp(x, u), -x)
    torch.testing.assert_close(sphere.transport(x, -x, u), -u)
    assert float((sphere.log(x, -x) * x).sum(-1).abs().max()) < 1e-12
    torch.testing.assert_close(torch.linalg.vector_norm(sphere.log0(-sphere.origin)), torch.tensor(pi))


def test_geodesics_go_the_short_way():
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, -1.0])
    torch.testing.assert_close(Sphere(1).geodesic(x, y, 0.5), torch.tensor([0.5**0.5, -(0.5**0.5)]))


@pytest.mark.parametrize(
    "points",
    [
        [[1.0, 0, 0], [-1.0, 0, 0]],
        [[1.0, 0, 0], [-0.5, 0.75**0.5, 0], [-0.5, -(0.75**0.5), 0]],
        [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [-1.0, 0, 0], [0, -1.0, 0], [0, 0, -1.0]],
    ],
    ids=["antipodal", "triangle", "octahedron"],
)
def test_mean_refuses_points_with_several_centres(points):
    with pytest.raises(ValueError, match="not unique"):
        Sphere(2).mean(torch.tensor(points))


def test_mean_of_uneven_antipodal_points_is_not_unique_on_the_globe():
    # The best points lie on a whole circle around the heavier one.
    with pytest.raises(ValueError, match="not unique"):
        Sphere(2).mean(torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]]), torch.tensor([2.0, 1.0]))


def test_mean_is_found_beyond_a_half_sphere():
    x = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0]])
    torch.testing.assert_close(Sphere(2).mean(x), torch.tensor([0.0, 1.0, 0.0]), rtol=0, atol=1e-6)


def test_mean_is_the_lowest_of_all_points_on_the_circle():
    circle = Sphere(1)
    torch.manual_seed(1)
    for _ in range(10):
        # Weights without order, and angles all around.
        x, weights = circle.project(torch.randn(7, 2, dtype=torch.float64)), torch.rand(7, dtype=torch.float64)
        angle = torch.linspace(-pi, pi, 20001, dtype=torch.float64)
        grid = torch.stack([angle.cos(), angle.sin()], -1)
        cost = circle.dist(grid[:, None], x).square() @ weights
        best = grid[cost.argmin()]
        assert float(circle.dist(circle.mean(x, weights), best)) < 1e-3


def test_contains_measures_the_worst_row():
    x = torch.tensor([[1.0, 0.0], [0.0, 1.1]])
    on_it, reason = Sphere(1).contains(x)
    assert not on_it
    assert "0.1" in reason
    assert Sphere(1).contains(x, atol=0.2)[0]
    assert Sphere(1).contains(x[:0])[0]


@pytest.mark.parametrize("curvature", [0.25, 4.0])
def test_curvature_scales_lengths_and_leaves_points_alone(curvature):
    unit, sphere = Sphere(3), Sphere(3, curvature)
    radius = curvature**-0.5
    torch.manual_seed(0)
    x, y, z = unit.project(torch.randn(3, 20, 4, dtype=torch.float64))
    assert torch.equal(sphere.log(x, y), unit.log(x, y))
    assert torch.equal(sphere.transport(x, y, sphere.log(x, z)), unit.transport(x, y, unit.log(x, z)))
    torch.testing.assert_close(sphere.dist(x, y), radius * unit.dist(x, y))
    torch.testing.assert_close(sphere.log0(y), radius * unit.log0(y))
    torch.testing.assert_close(sphere.exp0(radius * unit.log0(y)), y)
    torch.testing.assert_close(sphere.mean(x[:3]), unit.mean(x[:3]))
    assert sphere.contains(x)[0]


def test_a_circle_is_as_long_as_its_radius_says():
    circle = Sphere(1, 1 / 9)
    around = circle.exp0(torch.tensor([[2 * pi * 3.0], [pi * 3.0]], dtype=torch.float64))
    torch.testing.assert_close(around, torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).double(), rtol=0, atol=1e-12)


def test_transport_between_points_that_are_antipodal_but_for_what_underflows_when_squared():
    x, y = torch.tensor([1.0, 1e-30, 0.0]), torch.tensor([-1.0, 1e-30, 0.0])
    carried = Sphere(2).transport(x, y, torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    torch.testing.assert_close(carried, torch.tensor([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0]]))
