"""Formulas on arrays of two libraries."""

from __future__ import annotations

import pytest
import torch

from curvi.manifolds import Lorentz, Poincare


@pytest.mark.parametrize("chart", [Lorentz, Poincare])
def test_both_libraries_give_the_same(chart, monkeypatch):
    manifold = chart(3, 0.6)
    torch.manual_seed(0)
    x, y, z = manifold.exp0(torch.randn(3, 7, 3))
    u = manifold.log(x, z)
    ways = [lambda: manifold.dist(x[:, None], y), lambda: manifold.log(x, y), lambda: manifold.exp(x, u)]
    ways += [lambda: manifold.transport(x, y, u), lambda: manifold.dist(x[0], y[0])]
    numpy = [way() for way in ways]
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for made, way in zip(numpy, ways, strict=True):
        again = way()
        assert again.shape == made.shape
        assert again.dtype == made.dtype == torch.float32
        assert made.is_contiguous()
        torch.testing.assert_close(made, again)


@pytest.mark.parametrize("chart", [Lorentz, Poincare])
def test_arguments_are_left_as_they_were(chart):
    # Arrays of numpy share the memory of tensors.
    for dim, shape in ((1, (1,)), (2, (2,)), (2, (5, 2))):
        manifold = chart(dim)
        x, y = manifold.exp0(torch.randn(2, *shape, dtype=torch.float64)).unbind()
        before = x.clone(), y.clone()
        u = manifold.log(x, y)
        for made in (manifold.dist(x, y), u, manifold.exp(x, u), manifold.transport(x, y, u)):
            made.zero_()
        assert torch.equal(x, before[0])
        assert torch.equal(y, before[1])


@pytest.mark.parametrize("chart", [Lorentz, Poincare])
def test_half_precision_is_computed_in_full(chart):
    manifold = chart(2)
    x, y = manifold.exp0(torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(0))).bfloat16()
    x = x.requires_grad_()
    made = manifold.dist(x, y)
    assert made.dtype == torch.bfloat16
    torch.testing.assert_close(made.detach(), manifold.dist(x.detach().float(), y.float()).bfloat16())
    (gradient,) = torch.autograd.grad(made.sum(), x)
    assert gradient.dtype == torch.bfloat16


@pytest.mark.parametrize("chart", [Lorentz, Poincare])
def test_second_derivatives_are_right(chart):
    manifold = chart(2, 0.7, learn_curvature=True).double()
    torch.manual_seed(0)
    v, w = torch.randn(2, 3, 2, dtype=torch.float64)
    x, y = manifold.exp0(v).detach().requires_grad_(), manifold.exp0(w).detach().requires_grad_()
    manifold.forward = lambda way, *rows: getattr(manifold, way)(*rows)
    raw = manifold._curvature.raw.detach().clone().requires_grad_()
    for way in ("dist", "log", "exp"):
        second = manifold.log(x, y).detach().requires_grad_() if way == "exp" else y

        def of(raw, *rows, way=way):
            return torch.func.functional_call(manifold, {"_curvature.raw": raw}, (way, *rows))

        assert torch.autograd.gradgradcheck(of, (raw, x, second), atol=1e-5), way


@pytest.mark.parametrize("chart", [Lorentz, Poincare])
def test_gradients_that_have_gradients_are_finite_at_coincident_points(chart):
    manifold = chart(2)
    x = manifold.exp0(torch.tensor([[0.0, 0.0], [1.0, 2.0]])).requires_grad_()
    for way in (manifold.dist, manifold.log):
        (gradient,) = torch.autograd.grad(way(x, x.detach()).sum(), x, create_graph=True)
        assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("chart", [Lorentz, Poincare])
def test_numbers_out_of_range_are_no_reason_for_warnings(chart):
    manifold = chart(2)
    x = torch.tensor([[1e300] * 3, [float("inf")] * 3, [float("nan")] * 3, [0.0] * 3])[:, : manifold.ambient_dim]
    x = x.double().requires_grad_()
    y = manifold.origin.double()
    for made in (manifold.dist(x, y), manifold.log(x, y), manifold.exp(y, x), manifold.transport(x, y, x)):
        torch.autograd.grad(made.sum(), x)
        assert bool(torch.isfinite(made[3]).all())
