"""What every manifold promises, whatever its geometry."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import curvi.manifolds
from curvi.manifolds import Manifold, from_config


def _cases() -> dict[str, dict]:
    """Configurations by what they are called: every known name, several dimensions, and curvatures where there are."""
    cases = {}
    for name in Manifold.names():
        if name == "product":
            continue
        for dim in (1, 2, 9):
            cases[f"{name}-{dim}"] = {"name": name, "dim": dim}
        if "curvature" in Manifold.named(name)(1).config():
            for curvature, learn in ((0.2, False), (3.0, False), (0.7, True)):
                case = {"name": name, "dim": 3, "curvature": curvature, "learn_curvature": learn}
                cases[f"{name}-3-{'learned-' * learn}{curvature}"] = case
    parts = {"0": cases["sphere-2"], "1": cases["lorentz-3-learned-0.7"], "2": cases["euclidean-1"]}
    cases["product"] = {"name": "product", "parts": parts}
    nested = {"0": {"name": "product", "parts": parts}, "1": cases["poincare-2"], "2": cases["sphere-1"]}
    cases["product-nested"] = {"name": "product", "parts": nested}
    return cases


CASES = _cases()


@pytest.fixture(params=CASES)
def manifold(request) -> Manifold:
    return from_config(CASES[request.param]).requires_grad_(False)


def reach(manifold: Manifold) -> float:
    """A length that is the same to the manifold whatever its curvature."""
    return float(manifold.config().get("curvature", 1.0)) ** -0.5


def points(manifold: Manifold, n: int = 50, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    torch.manual_seed(seed)
    return manifold.exp0(reach(manifold) * torch.randn(n, manifold.dim, dtype=dtype))


def tangents(manifold: Manifold, x: torch.Tensor, length: float, seed: int = 9) -> torch.Tensor:
    """Tangent vectors at ``x`` towards other points, of the given length."""
    y = points(manifold, len(x), seed, x.dtype)
    return reach(manifold) * length * manifold.log(x, y) / manifold.dist(x, y)[:, None]


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
    step *= reach(manifold)
    v = 0.8 * reach(manifold) * torch.randn(4, manifold.dim, dtype=torch.float64)
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
    x = manifold.exp0(0.5 * reach(manifold) * torch.randn(40, manifold.dim, dtype=torch.float64))
    weights = torch.rand(40, dtype=torch.float64)
    for some, shares in ((None, torch.full((40,), 1 / 40).double()), (weights, weights / weights.sum())):
        centre = manifold.mean(x, some)
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
    def stored(config):
        kinds = {dict: stored, bool: np.bool_, int: np.int64, float: np.float64, str: np.str_}
        return {key: kinds[type(value)](value) for key, value in config.items()}

    again = from_config(stored(manifold.config()))
    assert type(again) is type(manifold)
    assert again.config() == manifold.config()
    assert repr(again) == repr(manifold)
    assert eval(repr(manifold), dict(vars(curvi.manifolds))).config() == manifold.config()
    assert again.state_dict().keys() == manifold.state_dict().keys()
    assert all(torch.equal(value, manifold.state_dict()[key]) for key, value in again.state_dict().items())


def test_its_state_is_its_curvature(manifold):
    state = manifold.state_dict()
    assert len(state) == str(manifold.config()).count("'curvature'")
    other = from_config(manifold.config())
    for value in other.state_dict().values():
        value.mul_(1.5)
    other.load_state_dict(other.state_dict())
    other.load_state_dict(state)
    assert other.config() == manifold.config()


def test_moves_between_devices_and_dtypes(manifold):
    assert manifold.to(torch.float64).origin.dtype == torch.float64
    assert manifold.to("meta").origin.device.type == "meta"


@given(shape=hnp.array_shapes(min_dims=0, max_dims=4, max_side=3, min_side=0), data=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_batch_shapes_of_any_rank_broadcast(manifold, shape, data):
    # Each argument is the whole shape with some leading axes gone and some others of length 1.
    def part_of(rows):
        rows = rows[(0,) * data.draw(st.integers(0, len(shape)))] if 0 not in shape else rows
        for axis in range(rows.ndim - 1):
            if rows.shape[axis] > 1 and data.draw(st.booleans()):
                rows = rows.narrow(axis, 0, 1)
        return rows

    n = int(np.prod(shape))
    whole = [points(manifold, n, seed).reshape(*shape, -1) for seed in range(2)] if n else None
    whole = whole or [torch.empty(*shape, manifold.ambient_dim, dtype=torch.float64)] * 2
    x, y = (part_of(rows) for rows in whole)
    u = manifold.log(x, y)
    batch = torch.broadcast_shapes(x.shape, y.shape)[:-1]
    assert u.shape == (*batch, manifold.ambient_dim)
    assert manifold.dist(x, y).shape == manifold.log_det_exp(x, u).shape == batch
    for made in (manifold.exp(x, u), manifold.transport(x, y, u), manifold.geodesic(x, y, 0.5)):
        assert made.shape == u.shape
    assert manifold.log0(x).shape == (*x.shape[:-1], manifold.dim)
    assert manifold.exp0(manifold.log0(x)).shape == manifold.project(x).shape == x.shape
    flat = [rows.expand_as(u).reshape(-1, manifold.ambient_dim) for rows in (x, y, u)]
    close(manifold.dist(x, y).reshape(-1), manifold.dist(*flat[:2]))
    close(manifold.transport(x, y, u).reshape(flat[2].shape), manifold.transport(*flat))
    close(manifold.exp(x, u).reshape(flat[2].shape), manifold.exp(flat[0], flat[2]))


@pytest.mark.parametrize("name", [name for name in Manifold.names() if name != "product"])
def test_dim_must_be_positive(name):
    with pytest.raises(ValueError, match="at least 1"):
        Manifold.named(name)(0)


@pytest.mark.parametrize("name", ["sphere", "lorentz", "poincare"])
def test_results_have_gradients_in_a_learned_curvature(name):
    manifold = Manifold.named(name)(2, 0.7, learn_curvature=True).double()
    x, y = points(manifold, 5).detach(), points(manifold, 5, 1).detach()
    v, t = torch.randn(5, 2, dtype=torch.float64), torch.rand(5, dtype=torch.float64)
    u = manifold.log(x, y).detach()
    raw = manifold._curvature.raw
    made = {
        "dist": lambda: manifold.dist(x, y),
        "exp0": lambda: manifold.exp0(v),
        "log0": lambda: manifold.log0(x),
        "exp": lambda: manifold.exp(x, u),
        "log": lambda: manifold.log(x, y),
        "transport": lambda: manifold.transport(x, y, u),
        "geodesic": lambda: manifold.geodesic(x, y, t),
        "log_det_exp": lambda: manifold.log_det_exp(x, u),
    }
    for of, make in made.items():
        weight = torch.randn_like(make().detach())

        def value(number, make=make, weight=weight):
            with torch.no_grad():
                raw.copy_(number)
                return float((weight * make()).sum())

        start, step = raw.detach().clone(), 1e-5
        numeric = (value(start + step) - value(start - step)) / (2 * step)
        value(start)
        result = (weight * make()).sum()
        exact = float(torch.autograd.grad(result, raw)[0]) if result.requires_grad else 0.0
        assert exact == pytest.approx(numeric, rel=1e-5, abs=1e-7), of
