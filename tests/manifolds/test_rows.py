"""Compiled passes over rows: the same numbers and gradients as the formulas on arrays."""

from __future__ import annotations

import mpmath
import pytest
import torch

from curvi.manifolds import Lorentz, Poincare, Sphere

F64 = torch.float64
SPACES = [Lorentz, Poincare, Sphere]


def some_points(space, *shape: int, spread: float = 1.0) -> torch.Tensor:
    torch.manual_seed(0)
    v = spread * torch.randn(*shape, space.dim, dtype=space.origin.dtype)
    return space.exp0(v).detach()


def ways(space) -> dict[str, tuple]:
    x, y = some_points(space, 4, 5), some_points(space, 5, 5)[4]
    torch.manual_seed(1)
    v = torch.randn(4, 5, space.dim, dtype=x.dtype)
    return {"dist": (x, y), "exp0": (v,), "both": (x, x.flip(0)), "single": (x[0, 0], y), "one": (x[0, 0], y[0])}


def value_and_gradients(space, name: str, rows) -> list[torch.Tensor]:
    rows = [row.clone().requires_grad_() for row in rows]
    made = getattr(space, "exp0" if name == "exp0" else "dist")(*rows)
    torch.manual_seed(2)
    weights = torch.randn(made.shape, dtype=made.dtype)
    return [made, *torch.autograd.grad((made * weights).sum(), [*rows, *space.parameters()])]


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("name", ["dist", "both", "single", "one", "exp0"])
def test_passes_do_what_the_formulas_do(kind, name, learn, dtype, monkeypatch):
    space = kind(3, 0.6, learn_curvature=learn).to(dtype)
    rows = ways(space)[name]
    by_passes = value_and_gradients(space, name, rows)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    by_formulas = value_and_gradients(space, name, rows)
    for got, expected in zip(by_passes, by_formulas, strict=True):
        assert got.dtype == expected.dtype
        tolerance = 1e-12 if dtype == F64 else 2e-6
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", SPACES)
def test_what_needs_no_gradient_is_the_same(kind):
    space = kind(2, 0.6)
    x, y = some_points(space, 2, 7).unbind()
    with_gradient = space.dist(x.clone().requires_grad_(), y)
    assert torch.equal(space.dist(x, y), with_gradient.detach())
    assert space.dist(x[:0], y[:0]).shape == (0,)


@pytest.mark.parametrize("dim", [1, 2, 5])
@pytest.mark.parametrize("kind", SPACES)
def test_gradients_of_squared_distances(kind, dim):
    space = kind(dim, 0.7, learn_curvature=True).double()
    x, y = some_points(space, 2, 6, spread=0.4).unbind()
    # Off the manifold a distance means nothing, so that points are moved on it.
    v, w = space.log0(x).requires_grad_(), space.log0(y).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, w: space.dist(space.exp0(v), space.exp0(w)).square(), (v, w))
    assert torch.autograd.gradgradcheck(lambda v, w: space.dist(space.exp0(v), space.exp0(w)), (v, w), atol=1e-5)


@pytest.mark.parametrize("kind", SPACES)
def test_coincident_points_have_finite_gradients(kind):
    space = kind(2)
    x = some_points(space, 3).requires_grad_()
    y = x.detach().clone().requires_grad_()
    distance = space.dist(x, y)
    gradients = torch.autograd.grad(distance.sum(), (x, y))
    assert bool((distance == 0).all())
    assert all(bool((gradient == 0).all()) for gradient in gradients)


def test_opposite_points_of_a_sphere_have_finite_gradients():
    x = some_points(Sphere(2), 3).requires_grad_()
    angle = Sphere(2).dist(x, -x.detach())
    torch.testing.assert_close(angle, torch.full((3,), torch.pi))
    (gradient,) = torch.autograd.grad(angle.sum(), x)
    assert bool((gradient == 0).all())


@pytest.mark.parametrize("radius", [1e-6, 0.3, 5.0, 30.0, 80.0])
def test_distances_on_the_hyperboloid_agree_with_sixty_digits(radius):
    space = Lorentz(2, 0.8)
    torch.manual_seed(0)
    v = torch.nn.functional.normalize(torch.randn(8, 2), dim=-1) * radius
    points = space.exp0(v)
    got = space.dist(points[:4], points[4:])
    with mpmath.workdps(60):
        c = mpmath.mpf(0.8)
        for i in range(4):
            x, y = ([mpmath.mpf(a) for a in points[j, 1:].tolist()] for j in (i, i + 4))
            times = [mpmath.sqrt(mpmath.fdot(p, p) + 1 / c) for p in (x, y)]
            exact = mpmath.acosh(c * (times[0] * times[1] - mpmath.fdot(x, y))) / mpmath.sqrt(c)
            assert abs(got[i].item() / exact - 1) < 1e-6


@pytest.mark.parametrize("angle", [1e-6, 1e-3, 1.0, 3.0, 3.1415])
def test_angles_agree_with_sixty_digits(angle):
    x = torch.tensor([[1.0, 0.0, 0.0]])
    y = torch.tensor([[mpmath.cos(angle), mpmath.sin(angle), 0]], dtype=torch.float32)
    got = Sphere(2).dist(x, y)
    with mpmath.workdps(60):
        exact = mpmath.atan2(mpmath.mpf(y[0, 1].item()), mpmath.mpf(y[0, 0].item()))
        assert abs(got.item() / exact - 1) < 2e-7
