"""Random points at a given depth below a pole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy import stats

from curvi.distributions._around import meridians, place, pull_back
from curvi.distributions._around_rows import place_by_rows, pull_back_by_rows, row_meridians
from curvi.distributions._arrays import enter, leave, rows

if TYPE_CHECKING:
    from collections.abc import Callable


def poles(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(shape, dtype=dtype), dim=-1)


class Way:
    """Uniform points seen from poles, in compiled passes over rows or with the formulas on arrays."""

    def __init__(self, compiled: bool, loc: torch.Tensor, shape: tuple[int, ...]) -> None:
        self.compiled = compiled
        self.at = (row_meridians if compiled else meridians)(loc, torch.Size(shape))

    @property
    def pole(self) -> torch.Tensor:
        return self.at.pole if self.compiled else leave(self.at.xp, self.at.pole)

    @property
    def cosine(self) -> torch.Tensor:
        return self.at.cosine if self.compiled else leave(self.at.xp, self.at.cosine)

    def place(self, depth: torch.Tensor) -> torch.Tensor:
        """Rows at the given depths."""
        if self.compiled:
            self.z = place_by_rows(self.at, depth)
            return self.z
        self.z = place(self.at, depth)
        return leave(self.at.xp, rows(self.at.xp, self.z))

    def pull_back(self, depth: torch.Tensor, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradients in poles and depths from that in the rows."""
        if self.compiled:
            return pull_back_by_rows(self.at.pole, depth, self.z, grad)
        return pull_back(self.at.xp, self.at.pole, depth, self.z, grad)


@pytest.fixture
def meridian(library) -> Callable[[torch.Tensor, tuple[int, ...]], Way]:
    """Uniform points for the places of a shape, seen from poles."""
    return lambda loc, shape: Way(library == "compiled", loc, shape)


@pytest.fixture
def around(meridian) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Rows at the given depths below poles."""
    return lambda loc, depth: meridian(loc, depth.shape).place(depth)


@pytest.mark.parametrize("m", [2, 3, 8, 9, 15, 16, 50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_have_length_one_and_the_depth_asked_for(around, m, dtype):
    torch.manual_seed(0)
    eps = torch.finfo(dtype).eps
    loc, depth = poles(4, 500, m, dtype=dtype), 2 * torch.rand(3, 4, 500, dtype=dtype)
    depth[0, 0, :4] = torch.tensor([0.0, 2.0, 1e-10, 1e-3])
    z = around(loc, depth)
    assert z.shape == (3, 4, 500, m)
    assert z.dtype == dtype
    assert z.is_contiguous()
    assert float((z.double().norm(dim=-1) - 1).abs().max()) < 6 * eps
    assert float(((z - loc).double().square().sum(-1) / 2 - depth).abs().max()) < 10 * eps


@pytest.mark.parametrize("m", [2, 3, 5, 20])
def test_directions_are_uniform(around, m):
    torch.manual_seed(1)
    n = 20_000
    loc = poles(m)
    z = around(loc, torch.ones(n, dtype=torch.float64))
    # At depth 1 the points are the directions: orthogonal to the pole, and uniform there.
    axis = around(loc, torch.ones((), dtype=torch.float64))
    cosine = z @ axis
    if m == 2:
        assert abs(int((cosine > 0).sum()) - n / 2) < 4 * (n / 4) ** 0.5
    else:
        assert stats.kstest(cosine.numpy() / 2 + 0.5, stats.beta((m - 2) / 2, (m - 2) / 2).cdf).pvalue > 1e-4


@pytest.mark.parametrize("m", [2, 3, 5, 16, 50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_cosines_are_those_of_uniform_points_and_tell_nothing_of_the_side(meridian, around, m, dtype):
    torch.manual_seed(2)
    loc = poles(m, dtype=dtype)
    at = meridian(loc, (20_000,))
    cosine = at.cosine
    assert cosine.dtype == dtype
    exponent = (m - 1) / 2
    assert stats.kstest(cosine.double().numpy() / 2 + 0.5, stats.beta(exponent, exponent).cdf).pvalue > 1e-4
    side = at.place(torch.ones(20_000, dtype=dtype)) @ around(loc, torch.ones((), dtype=dtype))
    assert abs(float(torch.corrcoef(torch.stack([cosine, side]))[0, 1])) < 5 / 20_000**0.5
    assert abs(float(torch.corrcoef(torch.stack([cosine.abs(), side.abs()]))[0, 1])) < 5 / 20_000**0.5 or m == 2


@pytest.mark.parametrize("m", [2, 3, 8, 9, 20])
def test_gradients_are_those_of_turning_and_of_sinking_on_the_meridian(meridian, m):
    torch.manual_seed(2)
    loc, depth = poles(6, m), 0.1 + torch.rand(4, 6, dtype=torch.float64)
    at = meridian(loc, depth.shape)
    z = at.place(depth)
    g = torch.randn_like(z)
    grad_loc, grad_depth = at.pull_back(depth, g)
    mu, y = loc.expand_as(z), depth[..., None]
    # The smallest rotation that moves mu by delta moves z by (mu.z) delta - (delta.z) mu.
    delta = torch.randn_like(z)
    delta -= (delta * mu).sum(-1, keepdim=True) * mu
    moved = (mu * z).sum(-1, keepdim=True) * delta - (delta * z).sum(-1, keepdim=True) * mu
    torch.testing.assert_close((grad_loc * delta).sum(-1), (g * moved).sum(-1))
    torch.testing.assert_close((grad_loc * mu).sum(-1), torch.zeros(4, 6, dtype=torch.float64), atol=1e-12, rtol=0)
    direction = (z - (1 - y) * mu) / torch.sqrt(y * (2 - y))
    meridian = -mu + (1 - y) / torch.sqrt(y * (2 - y)) * direction
    torch.testing.assert_close(grad_depth, (g * meridian).sum(-1))


@pytest.mark.parametrize("m", [3, 5, 16])
def test_the_gradient_along_a_pole_is_unbiased_close_to_it(meridian, m):
    # d<mu, z>/dy = -1. The length of a pole is rounded, and a depth of 4e-6 is 60 roundings of 1 in float32.
    torch.manual_seed(3)
    for loc in poles(5, m, dtype=torch.float32):
        depth = 2e-6 + 4e-6 * torch.rand(20_000)
        at = meridian(loc, depth.shape)
        at.place(depth)
        _, grad_depth = at.pull_back(depth, loc.expand(20_000, m))
        assert float(grad_depth.mean()) == pytest.approx(-1, abs=1e-3)


def test_gradients_are_finite_at_the_pole_and_opposite(meridian):
    loc, depth = poles(2, 3, dtype=torch.float32), torch.tensor([0.0, 2.0])
    at = meridian(loc, depth.shape)
    at.place(depth)
    for gradient in at.pull_back(depth, torch.ones(2, 3)):
        assert bool(torch.isfinite(gradient).all())


def test_half_precision_is_worked_on_in_single(meridian):
    at = meridian(poles(5, 4).to(torch.bfloat16), (5,))
    assert at.pole.dtype == at.cosine.dtype == torch.float32


@pytest.mark.parametrize("xp", [np, torch])
def test_half_precision_enters_in_single(xp):
    assert enter(xp, torch.ones(2, dtype=torch.bfloat16), torch.float32).dtype in (torch.float32, "float32")


def test_a_direction_is_never_lost_on_the_circle(around, monkeypatch):
    # A Gaussian vector that lies exactly along the pole still has a side.
    monkeypatch.setattr(torch, "randn", lambda *shape, **options: torch.ones(shape, dtype=options["dtype"]))
    loc = torch.full((2,), 0.5**0.5, dtype=torch.float32)
    z = around(loc, torch.full((3,), 0.5))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(z @ loc, torch.full((3,), 0.5))
