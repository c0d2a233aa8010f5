"""Codes and coordinates in compiled passes over rows: what operations of torch give."""

from __future__ import annotations

import weakref

import pytest
import torch

from curvi.distributions._wrapped_normal import _ORIGINS, _Origin
from curvi.latent import LorentzLatent, PoincareLatent
from curvi.latent._wrapped_normal import _Coordinates

F64 = torch.float64
CHARTS = [LorentzLatent, PoincareLatent]


def some(chart, dtype=F64, dim=3, **options):
    torch.manual_seed(0)
    space = chart(dim, curvature=0.7, n_hyperplanes=4, **options).to(dtype)
    return space, torch.randn(6, space.n_params, dtype=dtype)


@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 1e-6), (F64, 1e-14)])
@pytest.mark.parametrize("chart", CHARTS)
def test_one_pass_over_codes_gives_what_operations_of_torch_give(chart, dtype, bar):
    space, _ = some(chart, dtype, learn_curvature=True)
    code = torch.randn(5, 9, space.n_params, dtype=dtype)
    code[0] *= 1e-15
    code[1, :, :3] *= 1e15
    code[2, :, 3] = torch.linspace(-40, 40, 9)
    code[3, :4] = 0.0
    code.requires_grad_()
    curvature = space.manifold.curvature
    q = space(code)
    passed, known = (q.tangent_loc, q.scale), space._by_operations(code, curvature)
    weights = [torch.randn_like(result) for result in known]
    inputs = [code, *space.manifold.parameters()]
    gradients = [torch.autograd.grad(made, inputs, weights, retain_graph=True) for made in (passed, known)]
    for ours, theirs in zip((*passed, *gradients[0]), (*known, *gradients[1]), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=50 * bar, atol=bar)
    nothing = space(torch.full((1, space.n_params), float("nan"), dtype=dtype))
    assert bool(nothing.tangent_loc.isnan().all() and nothing.scale.isnan().all())


@pytest.mark.parametrize("chart", CHARTS)
def test_hyperbolic_codes_can_be_differentiated_twice(chart):
    space, code = some(chart, learn_curvature=True)
    raw = space.manifold._curvature.raw.detach().clone().requires_grad_()

    def made(x, raw):
        q = torch.func.functional_call(space, {"manifold._curvature.raw": raw}, (x,))
        return q.tangent_loc, q.scale

    assert torch.autograd.gradcheck(made, (code.requires_grad_(), raw))
    assert torch.autograd.gradgradcheck(made, (code, raw))


def coordinates_at(space, t: torch.Tensor, drawn: bool = True) -> torch.Tensor:
    z = space.manifold.exp0(t)
    if drawn:
        # What no distribution drew has coordinates by operations of torch.
        _ORIGINS.remember(z, _Origin(weakref.ref(space.manifold), t))
    return space.coordinates(z)


def coordinates_and_gradients(space, z, drawn: bool) -> list[torch.Tensor]:
    t = space.manifold.log0(z.detach()).requires_grad_()
    made = coordinates_at(space, t, drawn)
    torch.manual_seed(1)
    inputs = [t, space.hyperplanes, *space.manifold.parameters()]
    return [made, *torch.autograd.grad((made * torch.randn_like(made)).sum(), inputs)]


@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 2e-6), (F64, 1e-13)])
@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("chart", CHARTS)
def test_coordinates_of_draws_are_those_of_their_points(chart, learn, dtype, bar):
    space, code = some(chart, dtype, learn_curvature=learn)
    z = space(code).rsample((2,)).detach()
    for ours, theirs in zip(*(coordinates_and_gradients(space, z, drawn) for drawn in (True, False)), strict=True):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, theirs, rtol=20 * bar, atol=bar)


@pytest.mark.parametrize("chart", CHARTS)
def test_coordinates_of_draws_can_be_differentiated_twice(chart):
    space, code = some(chart)
    t = code[:, :3].clone().requires_grad_()

    def made(t, planes):
        return _Coordinates.apply(t, planes, space.manifold.curvature)

    planes = space.hyperplanes.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(made, (t, planes))
    assert torch.autograd.gradgradcheck(made, (t, planes))


def test_coordinates_far_out_are_finite():
    space, _ = some(LorentzLatent, torch.float32)
    t = torch.tensor([[60.0, 0.0, 0.0], [0.0, 30.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    made = coordinates_at(space, t)
    expected = coordinates_at(space.double(), t.detach().double())
    torch.testing.assert_close(made.double(), expected, rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(made.sum(), t)
    assert bool(gradient.isfinite().all())
