"""What every manifold promises, whatever its geometry."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from curvi.manifolds import Manifold, from_config

MANIFOLDS = [(name, dim) for name in Manifold.names() for dim in (1, 2, 9)]


@pytest.fixture(params=MANIFOLDS, ids=lambda case: f"{case[0]}-{case[1]}")
def manifold(request) -> Manifold:
    name, dim = request.param
    return from_config({"name": name, "dim": dim})


def points(manifold: Manifold, n: int = 50, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    torch.manual_seed(seed)
    return manifold.exp0(torch.randn(n, manifold.dim, dtype=dtype))


def tangents(manifold: Manifold, x: torch.Tensor, length: float, seed: int = 9) -> torch.Tensor:
    """Tangent vectors at ``x`` towards other points, of the given length."""
    u = manifold.log(x, points(manifold, len(x), seed, x.dtype))
    return length * u / torch.linalg.vector_norm(u, dim=-1, keepdim=True)


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    tolerance = 1e-9 if a.dtype == torch.float64 else 1e-5
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_stay_on_the_manifold(manifold, dtype):
    x, y = points(manifold, 50, 0, dtype), points(manifold, 50, 1, dtype)
    u = tangents(manifold, x, 0.7)
    raw = torch.randn(50, manifold.ambient_dim, dtype=dtype)
    for made in (x, manifold.exp(x, u), manifold.geodesic(x, y, 0.3), manifold.project(raw), manifold.origin[None]):
        on_it, reason = manifold.contains(made)
        assert on_it, reason
    assert x.dtype == manifold.exp(x, u).dtype == manifold.log0(x).dtype == manifold.dist(x, y).dtype == dtype


def test_exp_and_log_are_inverse(manifold):
    x, y = points(manifold), points(manifold, seed=1)
    u = tangents(manifold, x, 1.3)
    close(manifold.exp(x, manifold.log(x, y)), y)
    close(manifold.log(x, manifold.exp(x, u)), u)
    close(manifold.exp0(manifold.log0(y)), y)
    close(manifold.exp0(torch.zeros(3, manifold.dim)), manifold.origin.expand(3, -1))
    close(manifold.exp(manifold.origin.double().expand_as(y), manifold.log(manifold.origin.double(), y)), y)


def test_distance_is_a_metric_and_the_length_of_the_logarithm(manifold):
    x, y, z = (points(manifold, seed=seed) for seed in range(3))
    close(manifold.dist(x, y), manifold.dist(y, x))
    close(manifold.dist(x, x), torch.zeros(50, dtype=x.dtype))
    assert bool((manifold.dist(x, z) <= manifold.dist(x, y) + manifold.dist(y, z) + 1e-9).all())
    assert bool((manifold.dist(x, y) > 0).all())
    close(torch.linalg.vector_norm(manifold.log0(y), dim=-1), manifold.dist(manifold.origin.double(), y))
    close(manifold.dist(x, manifold.exp(x, 0.4 * manifold.log(x, y))), 0.4 * manifold.dist(x, y))


def test_transport_keeps_lengths_and_angles_and_turns_a_path_around(manifold):
    x, y = points(manifold), points(manifold, seed=1)
    u, v = tangents(manifold, x, 0.5), tangents(manifold, x, 0.3, seed=5)
    moved = [manifold.transport(x, y, w) for w in (u, v)]
    for before, after in zip((u, v), moved, strict=True):
        close(manifold.dist(x, manifold.exp(x, before)), manifold.dist(y, manifold.exp(y, after)))
    close(
        manifold.dist(manifold.exp(x, u), manifold.exp(x, v)),
        manifold.dist(manifold.exp(y, moved[0]), manifold.exp(y, moved[1])),
    )
    close(manifold.transport(x, y, manifold.log(x, y)), -manifold.log(y, x))
    close(manifold.transport(x, x, u), u)


def test_geodesic_divides_the_way_and_makes_paths(manifold):
    x, y = points(manifold), points(manifold, seed=1)
    part = manifold.geodesic(x, y, 0.25)
    close(manifold.dist(x, part), 0.25 * manifold.dist(x, y))
    close(manifold.dist(part, y), 0.75 * manifold.dist(x, y))
    path = manifold.geodesic(x[0], y[0], torch.linspace(0, 1, 5))
    assert path.shape == (5, manifold.ambient_dim)
    close(path[[0, -1]], torch.stack([x[0], y[0]]))


def test_log_det_exp_is_the_stretch_of_volume(manifold):
    # From distances alone: how the images of a small orthonormal frame at v lie to each other.
    step = 1e-4
    torch.manual_seed(3)
    v = 0.8 * torch.randn(4, manifold.dim, dtype=torch.float64)
    centre = manifold.exp0(v)
    images = [manifold.exp0(v + step * axis) for axis in torch.eye(manifold.dim, dtype=torch.float64)]
    square = [manifold.dist(centre, image) ** 2 for image in images]
    gram = torch.stack(
        [
            torch.stack([(a + b - manifold.dist(p, q) ** 2) / 2 for b, q in zip(square, images, strict=True)], -1)
            for a, p in zip(square, images, strict=True)
        ],
        -1,
    )
    origin = manifold.origin.double().expand_as(centre)
    stretch = manifold.log_det_exp(origin, manifold.log(origin, centre))
    torch.testing.assert_close(stretch, torch.logdet(gram / step**2) / 2, rtol=0, atol=2e-3)


def test_mean_balances_its_points(manifold):
    torch.manual_seed(0)
    x = manifold.exp0(0.5 * torch.randn(40, manifold.dim, dtype=torch.float64))
    weights = torch.rand(40, dtype=torch.float64)
    for given, shares in ((None, torch.full((40,), 1 / 40).double()), (weights, weights / weights.sum())):
        centre = manifold.mean(x, given)
        assert manifold.contains(centre)[0]
        close(shares @ manifold.log(centre, x), torch.zeros(manifold.ambient_dim, dtype=torch.float64))
    close(manifold.mean(x[:1]), x[0])
    close(manifold.mean(x[:2], torch.tensor([0.0, 2.0])), x[1])
    close(manifold.mean(x[:2], torch.tensor([3.0, 1.0])), manifold.geodesic(x[0], x[1], 0.25))


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ([1.0], "shape"),
        ([1.0, -1.0, 1.0], "at least 0"),
        ([0.0, 0.0, 0.0], "not all 0"),
        ([1.0, float("nan"), 1.0], "nan"),
    ],
)
def test_mean_refuses_bad_weights(manifold, weights, named):
    with pytest.raises(ValueError, match=named):
        manifold.mean(points(manifold, 3), torch.tensor(weights))


def test_mean_needs_points(manifold):
    with pytest.raises(ValueError, match="n at least 1"):
        manifold.mean(torch.empty(0, manifold.ambient_dim))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_coincident_points(manifold, dtype):
    x = points(manifold, 6, 0, dtype).requires_grad_()
    same, v = x.detach().clone(), torch.zeros(6, manifold.dim, dtype=dtype, requires_grad=True)
    assert torch.autograd.grad(manifold.dist(x, same).sum(), x)[0].abs().max() == 0
    u = (0 * same).requires_grad_()
    made = (
        manifold.log(x, same),
        manifold.log(same, x),
        manifold.transport(x, same, same),
        manifold.geodesic(x, same, 0.5),
        manifold.log0(manifold.exp0(v)),
        manifold.exp(same, u),
        manifold.log_det_exp(same, u),
    )
    for result, of in zip(made, (x, x, x, x, v, u, u), strict=True):
        if result.requires_grad:
            (gradient,) = torch.autograd.grad(result.sum(), of)
            assert bool(torch.isfinite(gradient).all())
    there_and_back = torch.autograd.functional.jacobian(lambda t: manifold.log0(manifold.exp0(t)), v[0].detach())
    close(there_and_back, torch.eye(manifold.dim, dtype=dtype))


def test_distance_has_a_gradient_of_length_one(manifold):
    x, y = points(manifold).requires_grad_(), points(manifold, seed=1)
    (gradient,) = torch.autograd.grad(manifold.dist(x, y).sum(), x)
    towards = manifold.log(x, y) / manifold.dist(x, y)[:, None]
    close((gradient * towards).sum(-1), -torch.ones(50, dtype=torch.float64))


def test_contains_gives_reasons(manifold):
    assert manifold.contains(points(manifold)) == (True, "")
    on_it, reason = manifold.contains(torch.zeros(3, manifold.ambient_dim + 1))
    assert not on_it
    assert str(manifold.ambient_dim) in reason
    on_it, reason = manifold.contains(torch.full((3, manifold.ambient_dim), float("nan")))
    assert not on_it
    assert "nan" in reason


def test_config_goes_there_and_back(manifold):
    config = manifold.config()
    stored = {key: np.int64(value) if isinstance(value, int) else value for key, value in config.items()}
    again = from_config(stored)
    assert type(again) is type(manifold)
    assert again.config() == config
    assert str(manifold.dim) in repr(manifold)


def test_moves_between_devices_and_dtypes_without_a_state(manifold):
    assert manifold.state_dict() == {}
    assert manifold.to(torch.float64).origin.dtype == torch.float64
    assert manifold.to("meta").origin.device.type == "meta"


@pytest.mark.parametrize("name", Manifold.names())
def test_dim_must_be_positive(name):
    with pytest.raises(ValueError, match="at least 1"):
        Manifold.named(name)(0)
