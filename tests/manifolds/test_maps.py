"""Maps from the origin and directions: gradients, transformations of torch, and the ends of their range."""

from __future__ import annotations

import pytest
import torch
from torch.func import jacrev, vmap

from curvi.manifolds import Lorentz, Poincare, Sphere
from curvi.manifolds._radial import asinh

HYPERBOLIC = [Lorentz, Poincare]


@pytest.mark.parametrize("manifold", HYPERBOLIC)
@pytest.mark.parametrize("name", ["exp0", "log0", "to_lorentz", "to_poincare"])
def test_jacobians_by_transformations_are_those_by_rows(manifold, name):
    torch.manual_seed(0)
    space = manifold(3, 0.7).double()
    v = torch.randn(5, 3, dtype=torch.float64)
    x = v if name == "exp0" else space.exp0(v)
    function = getattr(space, name)
    by_rows = torch.stack([torch.autograd.functional.jacobian(function, row) for row in x])
    torch.testing.assert_close(vmap(jacrev(function))(x), by_rows, rtol=1e-10, atol=1e-12)


def test_distances_can_be_mapped():
    torch.manual_seed(0)
    space = Lorentz(2).double()
    x, y = space.exp0(torch.randn(2, 6, 2, dtype=torch.float64))
    torch.testing.assert_close(vmap(space.dist)(x, y), space.dist(x, y), rtol=1e-12, atol=0)


@pytest.mark.parametrize("manifold", HYPERBOLIC)
@pytest.mark.parametrize("learn", [False, True])
def test_gradients_of_the_map_from_the_origin(manifold, learn):
    torch.manual_seed(0)
    space = manifold(3, 0.7, learn_curvature=learn).double()
    v = (torch.randn(6, 3, dtype=torch.float64) * torch.logspace(-3, 0.7, 6)[:, None]).requires_grad_()
    raw = list(space.parameters())

    def function(v, *raw):
        return torch.func.functional_call(space, dict(zip(["_curvature.raw"], raw, strict=False)), ("exp0", v))

    space.forward = lambda name, *args: getattr(space, name)(*args)
    assert torch.autograd.gradcheck(function, (v, *raw))
    assert torch.autograd.gradgradcheck(function, (v, *raw), atol=1e-4)


@pytest.mark.parametrize("manifold", HYPERBOLIC)
def test_beyond_the_last_numbers_only_the_direction_counts(manifold):
    space = manifold(2)
    v = torch.tensor([[300.0, 0.0], [0.0, 2e4]], requires_grad=True)
    y = space.exp0(v)
    assert torch.isfinite(y).all()
    (along,) = torch.autograd.grad((y * y).sum(), v)
    assert torch.isfinite(along).all()
    assert float((along * v.detach()).sum(-1).abs().max()) < 1e-12
    # The map is the identity near the origin, up to the factor of the chart, and has a gradient there.
    origin = torch.zeros(2, requires_grad=True)
    (slope,) = torch.autograd.grad(space.exp0(origin).sum(), origin)
    torch.testing.assert_close(slope, torch.full((2,), 1.0 if manifold is Lorentz else 0.5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_directions_of_rows_of_any_size(dtype):
    globe, least, most = Sphere(2), torch.finfo(dtype).tiny, torch.finfo(dtype).max
    x = torch.tensor([[3.0, 4.0, 0.0]], dtype=dtype) * torch.tensor([[1.0], [least], [most / 8], [0.0]], dtype=dtype)
    x.requires_grad_()
    y = globe.project(x)
    expected = torch.tensor([[0.6, 0.8, 0.0]] * 3 + [[1.0, 0.0, 0.0]], dtype=dtype)
    torch.testing.assert_close(y, expected, rtol=4 * torch.finfo(dtype).eps, atol=0)
    (slope,) = torch.autograd.grad(y[[0, 2, 3], 0].sum(), x)
    torch.testing.assert_close(slope[0], torch.tensor([0.128, -0.096, 0.0], dtype=dtype))
    assert bool((slope[3] == 0).all())
    assert bool(torch.isfinite(slope).all())


def test_gradients_of_a_direction():
    torch.manual_seed(0)
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Sphere(2).project, x)
    assert torch.autograd.gradgradcheck(Sphere(2).project, x)


def test_the_inverse_of_the_hyperbolic_sine():
    x = torch.cat([-torch.logspace(-8, 30, 200), torch.zeros(1), torch.logspace(-8, 30, 200)])
    torch.testing.assert_close(asinh(x), torch.asinh(x.double()).float(), rtol=5e-7, atol=0)
    wide = torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(asinh, wide)
    assert torch.autograd.gradgradcheck(asinh, wide)
