"""Curvature that is fixed, and curvature that is learned."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from curvi.manifolds import Lorentz, Poincare, Sphere
from curvi.manifolds._curvature import Curvature

CURVED = [Sphere, Lorentz, Poincare]


@pytest.mark.parametrize("manifold", CURVED)
@pytest.mark.parametrize("curvature", [0.0, -1.0, float("inf"), float("nan")])
def test_a_curvature_that_is_none_is_refused(manifold, curvature):
    for learn in (False, True):
        with pytest.raises(ValueError, match=f"`curvature` is {curvature}"):
            manifold(2, curvature, learn_curvature=learn)


@pytest.mark.parametrize("manifold", CURVED)
def test_a_fixed_one_is_a_buffer_without_a_gradient(manifold):
    space = manifold(2, 0.3)
    assert list(space.parameters()) == []
    assert {key: float(value) for key, value in space.state_dict().items()} == {
        "_curvature.value": pytest.approx(0.3, rel=1e-7)
    }
    assert space.curvature.shape == ()
    assert not space.curvature.requires_grad
    assert space.config()["curvature"] == 0.3
    # Every dtype has its own rounding of the number, not a rounding of a rounding.
    assert float(space.half().double().curvature) == 0.3


@pytest.mark.parametrize("manifold", CURVED)
@pytest.mark.parametrize("start", [1e-3, 0.3, 1.0, 2.0, 50.0])
def test_a_learned_one_starts_where_it_was_told_to(manifold, start):
    space = manifold(2, start, learn_curvature=True)
    (raw,) = space.parameters()
    # What the rounding of the parameter to float32 leaves open.
    spacing = float(torch.nextafter(raw.detach().abs(), torch.tensor(float("inf"))) - raw.detach().abs())
    assert abs(float(space.curvature.detach()) - start) <= start * (spacing + torch.finfo(torch.float32).eps)
    assert float(manifold(2, start, learn_curvature=True).curvature.detach()) == pytest.approx(start, rel=1e-6)
    assert space.curvature.requires_grad
    assert space.config() == {"name": space.name, "dim": 2, "curvature": start, "learn_curvature": True}


def test_any_step_leaves_a_learned_one_positive():
    curvature = Curvature(1.0, learn=True)
    for raw in (-80.0, -5.0, 0.0, 5.0, 80.0):
        torch.nn.init.constant_(curvature.raw, raw)
        assert curvature.number() > 0


@pytest.mark.parametrize("manifold", CURVED)
@pytest.mark.parametrize("learn", [False, True])
def test_its_state_goes_to_another_manifold(manifold, learn):
    first, second = manifold(3, 0.123456789, learn_curvature=learn), manifold(3, 2.5, learn_curvature=learn)
    second.load_state_dict(first.state_dict())
    assert second.config()["curvature"] == pytest.approx(first.config()["curvature"], rel=1e-7)
    torch.manual_seed(0)
    x, y = first.exp0(torch.randn(2, 5, 3))
    torch.testing.assert_close(second.dist(x, y), first.dist(x, y), rtol=1e-6, atol=0)
    torch.testing.assert_close(deepcopy(second).dist(x, y), first.dist(x, y), rtol=1e-6, atol=0)


def test_a_fixed_state_that_says_the_same_leaves_the_number_alone():
    space, other = Lorentz(2, 0.3), Lorentz(2, 7.0)
    space.load_state_dict(Lorentz(2, 0.3).state_dict())
    assert space.config()["curvature"] == 0.3
    # float32 holds 0.300000012; the number that was meant is the shortest with that rounding.
    other.load_state_dict(space.state_dict())
    assert other.config()["curvature"] == 0.3


def test_fixed_and_learned_states_are_not_confused():
    with pytest.raises(RuntimeError, match="_curvature.raw"):
        Lorentz(2, learn_curvature=True).load_state_dict(Lorentz(2).state_dict())


@pytest.mark.parametrize("manifold", CURVED)
def test_an_optimiser_finds_the_curvature_of_distances(manifold):
    # Points at given tangent coordinates get closer in a sphere, and further apart in hyperbolic space.
    torch.manual_seed(0)
    v, w = torch.randn(2, 100, 2, dtype=torch.float64)
    true, space = manifold(2, 0.4), manifold(2, 1.0, learn_curvature=True).double()
    target = true.dist(true.exp0(v), true.exp0(w))
    optimiser = torch.optim.LBFGS(space.parameters(), line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = (space.dist(space.exp0(v), space.exp0(w)) - target).square().mean()
        value.backward()
        return value

    for _ in range(3):
        optimiser.step(loss)
    assert space.config()["curvature"] == pytest.approx(0.4, rel=1e-3)


@pytest.mark.parametrize("manifold", CURVED)
def test_a_fixed_curvature_of_one_leaves_the_numbers_alone(manifold):
    space, learned = manifold(2), manifold(2, learn_curvature=True)
    assert space._curvature.is_one
    assert not learned._curvature.is_one
    torch.manual_seed(0)
    x, y = space.exp0(torch.randn(2, 20, 2))
    assert not space.dist(x, y).requires_grad
    assert learned.dist(x, y).requires_grad
    torch.testing.assert_close(space.dist(x, y), learned.dist(x, y).detach(), rtol=1e-6, atol=0)


def test_a_learned_one_is_made_once_for_each_value():
    curvature = Curvature(0.5, learn=True)
    first = curvature.at(torch.float64)
    assert curvature.at(torch.float64) is first
    assert curvature.at(torch.float32) is not first
    # Whatever changes the parameter, even behind the back of autograd, is noticed.
    curvature.raw.data += 1.0
    assert float(curvature.at(torch.float64).detach()) == pytest.approx(
        float(torch.nn.functional.softplus(curvature.raw.detach()))
    )
    with torch.no_grad():
        assert not curvature.at(torch.float64).requires_grad
    assert curvature.at(torch.float64).requires_grad
    curvature.raw = torch.nn.Parameter(curvature.raw.detach().clone())
    curvature.at(torch.float64).backward()
    assert curvature.raw.grad is not None
    assert float(deepcopy(curvature).at(torch.float32).detach()) == float(curvature.at(torch.float32).detach())


@pytest.mark.parametrize("exponent", [1.0, 0.5, -0.5])
def test_a_power_has_its_gradient_in_every_graph(exponent):
    curvature = Curvature(0.5, learn=True).double()
    softplus = torch.nn.functional.softplus
    (expected,) = torch.autograd.grad(softplus(curvature.raw) ** exponent, curvature.raw)
    # Graphs that are freed one after the other share the one tensor.
    for factor in (1.0, 2.0):
        (slope,) = torch.autograd.grad(curvature.power(exponent, torch.float64) * factor, curvature.raw)
        assert float(slope) == pytest.approx(factor * float(expected), rel=1e-12)
    (slope,) = torch.autograd.grad(curvature.power(exponent, torch.float64), curvature.raw, create_graph=True)
    (second,) = torch.autograd.grad(slope, curvature.raw)
    (first,) = torch.autograd.grad(softplus(curvature.raw) ** exponent, curvature.raw, create_graph=True)
    assert float(second) == pytest.approx(float(torch.autograd.grad(first, curvature.raw)[0]), rel=1e-12)
