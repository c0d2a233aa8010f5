"""Random points at a given depth below a pole."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from curvi.distributions._around import around


def poles(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(shape, dtype=dtype), dim=-1)


@pytest.mark.parametrize("m", [2, 3, 8, 9, 15, 16, 50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_have_length_one_and_the_depth_asked_for(library, m, dtype):
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
def test_directions_are_uniform(library, m):
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


@pytest.mark.parametrize("m", [2, 3, 8, 9, 20])
def test_gradients_are_those_of_turning_and_of_moving_along_the_meridian(library, m):
    torch.manual_seed(2)
    loc, depth = poles(6, m).requires_grad_(), (0.1 + torch.rand(4, 6, dtype=torch.float64)).requires_grad_()
    z = around(loc, depth)
    g = torch.randn_like(z)
    grad_loc, grad_depth = torch.autograd.grad(z, (loc, depth), g)
    z, mu, y = z.detach(), loc.detach(), depth.detach()[..., None]
    # The smallest rotation that moves mu by delta moves z by (mu.z) delta - (delta.z) mu.
    delta = torch.randn(6, m, dtype=torch.float64)
    delta -= (delta * mu).sum(-1, keepdim=True) * mu
    moved = (mu * z).sum(-1, keepdim=True) * delta - (delta * z).sum(-1, keepdim=True) * mu
    torch.testing.assert_close((grad_loc * delta).sum(), (g * moved).sum())
    direction = (z - (1 - y) * mu) / torch.sqrt(y * (2 - y))
    meridian = -mu + (1 - y) / torch.sqrt(y * (2 - y)) * direction
    torch.testing.assert_close(grad_depth, (g * meridian).sum(-1))


def test_gradients_are_finite_at_the_pole_and_opposite(library):
    loc, depth = poles(2, 3, dtype=torch.float32).requires_grad_(), torch.tensor([0.0, 2.0], requires_grad=True)
    for gradient in torch.autograd.grad(around(loc, depth).sum(), (loc, depth)):
        assert bool(torch.isfinite(gradient).all())


def test_half_precision_goes_through(library):
    loc, depth = poles(5, 4).to(torch.bfloat16), torch.rand(5).to(torch.bfloat16)
    z = around(loc, depth)
    assert z.dtype == torch.bfloat16
    assert float((z.float().norm(dim=-1) - 1).abs().max()) < 0.02
