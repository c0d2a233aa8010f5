"""Hyperbolic space in both charts: distances to 120 digits, geoopt where it is right, isometries and means."""

from __future__ import annotations

import warnings

import mpmath
import numpy as np
import pytest
import torch

from curvi.manifolds import Hyperbolic, Lorentz, Poincare

CHARTS = [Lorentz, Poincare]
RADII = (0.0, 1e-8, 0.1, 1.0, 3.0, 5.0, 7.0, 10.0)
FAR = (15.0, 20.0, 40.0, 80.0)


@pytest.fixture(params=CHARTS, ids=lambda chart: chart.name)
def chart(request) -> type[Hyperbolic]:
    return request.param


@pytest.fixture(params=["numpy", "torch"])
def library(request, monkeypatch) -> str:
    """Both ways to compute: that of the CPU, and that of other devices."""
    if request.param == "torch":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    return request.param


@pytest.fixture(scope="module")
def geoopt():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import geoopt

        yield geoopt


def peer(geoopt, manifold: Hyperbolic):
    """The same space in geoopt, in float64."""
    c = float(manifold.curvature)
    made = geoopt.Lorentz(k=1 / c) if isinstance(manifold, Lorentz) else geoopt.PoincareBall(c=c)
    return made.to(torch.float64)


def exact_distance(manifold: Hyperbolic, x: torch.Tensor, y: torch.Tensor) -> mpmath.mpf:
    """The distance of two points whose (spatial) coordinates are taken as exact, in 120 digits."""
    with mpmath.workdps(120):
        c = mpmath.mpf(manifold.config()["curvature"])
        x, y = ([mpmath.mpf(number) for number in row.tolist()[-manifold.dim :]] for row in (x, y))
        apart = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
        x2, y2 = (sum(a * a for a in row) for row in (x, y))
        if isinstance(manifold, Lorentz):
            square = c * (apart - (mpmath.sqrt(1 / c + x2) - mpmath.sqrt(1 / c + y2)) ** 2) / 4
        else:
            square = c * apart / ((1 - c * x2) * (1 - c * y2))
        return 2 * mpmath.asinh(mpmath.sqrt(square)) / mpmath.sqrt(c)


def pairs(radii: tuple[float, ...], dtype: torch.dtype, turn: float | None, dim: int = 3):
    """Tangent coordinates at all pairs of radii; ``turn`` is the angle between the two, None for any."""
    torch.manual_seed(0)
    a, b = torch.cartesian_prod(torch.tensor(radii), torch.tensor(radii)).to(torch.float64).T
    d, e = torch.nn.functional.normalize(torch.randn(2, len(a), dim, dtype=torch.float64), dim=-1)
    if turn is not None:
        side = torch.nn.functional.normalize(e - d * (d * e).sum(-1, keepdim=True), dim=-1)
        e = np.cos(turn) * d + np.sin(turn) * side
    return (a[:, None] * d).to(dtype), (b[:, None] * e).to(dtype)


@pytest.mark.parametrize("curvature", [1.0, 4.0])
@pytest.mark.parametrize("turn", [None, 1e-3, 3.1415, 0.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distances_are_those_of_the_given_numbers(library, chart, dtype, turn, curvature):
    manifold = chart(3, curvature)
    radii = RADII + FAR if chart is Lorentz else RADII
    x, y = (manifold.exp0(v / curvature**0.5) for v in pairs(radii, dtype, turn))
    got = manifold.dist(x, y)
    assert got.dtype == dtype
    for row_x, row_y, distance in zip(x, y, got.tolist(), strict=True):
        exact = float(exact_distance(manifold, row_x, row_y))
        # A rounding eps of float64 moves points by eps across and by eps / 2 sinh(2 r) in the ball; how much the
        # distance of two points on nearly one ray depends on that, the finite difference says.
        inputs = sensitivity(manifold, row_x, row_y, exact) if dtype == torch.float64 or turn == 0.0 else 0.0
        rounding = 2 * torch.finfo(dtype).eps * exact
        assert abs(distance - exact) <= rounding + inputs + 1e-15, (row_x, row_y)


def sensitivity(manifold: Hyperbolic, x: torch.Tensor, y: torch.Tensor, exact: float) -> float:
    """By how much a few roundings in float64 of the coordinates change the distance."""
    largest = 0.0
    for axis in range(manifold.ambient_dim - manifold.dim, manifold.ambient_dim):
        for row, other in ((x.double(), y), (y.double(), x)):
            moved = row.clone()
            moved[axis] += torch.linalg.vector_norm(row) * 2.0**-51
            largest = max(largest, abs(float(exact_distance(manifold, moved, other)) - exact))
    return largest


def test_far_points_on_one_ray_keep_their_radial_distance(library):
    radii = torch.linspace(0, 85, 120)
    x = Lorentz(3).exp0(radii[:, None] * torch.tensor([0.0, 1.0, 0.0]))
    apart = (radii[:, None] - radii).abs()
    torch.testing.assert_close(Lorentz(3).dist(x[:, None], x), apart, rtol=0, atol=1e-5)
    torch.testing.assert_close(Lorentz(3).dist(x, -x * torch.tensor([-1, 1, 1, 1])), 2 * radii)


@pytest.mark.parametrize("curvature", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("dim", [1, 2, 10])
def test_all_maps_agree_with_geoopt_close_to_the_origin(geoopt, library, chart, dim, curvature):
    manifold = chart(dim, curvature)
    other = peer(geoopt, manifold)
    torch.manual_seed(0)
    v = 0.5 * torch.randn(3, 40, dim, dtype=torch.float64) / (curvature * dim) ** 0.5
    x, y, z = manifold.exp0(v)
    u = manifold.log(x, z)
    for ours, theirs in (
        (manifold.dist(x, y), other.dist(x, y)),
        (manifold.exp(x, u), other.expmap(x, u)),
        (u, other.logmap(x, z)),
        (manifold.transport(x, y, u), other.transp(x, y, u)),
        (manifold.geodesic(x, y, 0.3), other.expmap(x, 0.3 * other.logmap(x, y))),
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("curvature", [0.3, 1.0, 4.0])
def test_the_charts_show_one_space(library, curvature):
    hyperboloid, ball = Lorentz(3, curvature), Poincare(3, curvature)
    torch.manual_seed(0)
    v = torch.randn(3, 30, 3, dtype=torch.float64) / curvature**0.5
    x, y, _ = points = hyperboloid.exp0(v)
    p, q, _ = shown = ball.exp0(v)
    same = {"rtol": 1e-11, "atol": 1e-11}
    torch.testing.assert_close(hyperboloid.to_poincare(points), shown, **same)
    torch.testing.assert_close(ball.to_lorentz(shown), points, **same)
    assert hyperboloid.to_lorentz(x) is x
    assert ball.to_poincare(p) is p
    torch.testing.assert_close(hyperboloid.dist(x, y), ball.dist(p, q), **same)
    torch.testing.assert_close(hyperboloid.log0(x), ball.log0(p), **same)
    torch.testing.assert_close(
        hyperboloid.to_poincare(hyperboloid.geodesic(x, y, 0.7)), ball.geodesic(p, q, 0.7), **same
    )
    torch.testing.assert_close(
        hyperboloid.log_det_exp(x, hyperboloid.log(x, y)), ball.log_det_exp(p, ball.log(p, q)), **same
    )
    torch.testing.assert_close(hyperboloid.to_poincare(hyperboloid.mean(x)), ball.mean(p), **same)


def test_exp_and_log_at_the_origin_are_exact_up_to_radius_10(chart):
    manifold = chart(3)
    v, _ = pairs(RADII, torch.float64, None)
    back = manifold.log0(manifold.exp0(v))
    # The last numbers of the ball are sinh(r) apart.
    allowed = 4e-16 * (v.norm(dim=-1) + (torch.sinh(v.norm(dim=-1)) if chart is Poincare else 1e-300))
    assert bool(((back - v).norm(dim=-1) <= allowed).all())
    points = manifold.exp0(v)
    again = manifold.exp0(manifold.log0(points))
    assert bool(((again - points).norm(dim=-1) <= 2e-15 * points.norm(dim=-1)).all())


@pytest.mark.parametrize("curvature", [1.0, 4.0])
def test_exp_and_log_are_inverse_as_far_as_the_rounding_of_a_velocity_permits(library, chart, curvature):
    manifold = chart(3, curvature)
    x, y = (manifold.exp0(v / curvature**0.5) for v in pairs(RADII, torch.float64, None))
    back = manifold.exp(x, manifold.log(x, y))
    loss = (back - y).norm(dim=-1) / y.norm(dim=-1).clamp_min(curvature**-0.5)
    far = manifold.dist(x, y) * curvature**0.5
    outwards = x.norm(dim=-1).clamp_min(curvature**-0.5) / y.norm(dim=-1).clamp_min(curvature**-0.5)
    assert float((loss / (torch.exp(far) * outwards)).max()) < 4e-15


def test_the_ends_of_the_numbers_are_not_passed(chart):
    for dtype in (torch.float32, torch.float64):
        manifold = chart(2)
        torch.manual_seed(0)
        v = 1e3 * torch.randn(50, 2, dtype=dtype)
        v.requires_grad_()
        x = manifold.exp0(v)
        assert manifold.contains(x)[0], manifold.contains(x)
        moved = manifold.exp(x.detach().flip(0), 1e3 * torch.randn_like(x))
        assert manifold.contains(moved)[0], manifold.contains(moved)
        assert bool(torch.isfinite(manifold.dist(x, moved)).all())
        (gradient,) = torch.autograd.grad(manifold.dist(x, moved).sum(), v)
        assert bool(torch.isfinite(gradient).all())


def test_what_is_drawn_back_moves_sideways_only(library, chart):
    manifold = chart(2)
    torch.manual_seed(0)
    x, y = manifold.exp0(torch.randn(2, 4, 2, dtype=torch.float64))
    u = (200 * manifold.log(x, y)).requires_grad_()
    end = manifold.exp(x, u)
    spatial = end[..., -2:]
    size = torch.linalg.vector_norm(spatial / spatial.detach().abs().amax(), dim=-1)
    angle = torch.atan2(spatial[..., 1], spatial[..., 0])
    (outwards,) = torch.autograd.grad(size.sum(), u, retain_graph=True)
    (sideways,) = torch.autograd.grad(angle.sum(), u)
    assert manifold.contains(end)[0]
    assert float(outwards.abs().max()) < 1e-5 * float(sideways.abs().max())


@pytest.mark.parametrize("turn", [None, 3.14159265, 0.0])
def test_gradients_are_finite_everywhere(library, chart, turn):
    manifold = chart(3)
    radii = (0.0, 1e-30, 1e-8, 1.0, 10.0) + ((40.0, 80.0) if chart is Lorentz else (15.0,))
    for dtype in (torch.float32, torch.float64):
        x, y = (manifold.exp0(v).requires_grad_() for v in pairs(radii, dtype, turn))
        ways = {"dist": manifold.dist, "log": manifold.log, "geodesic": lambda a, b: manifold.geodesic(a, b, 0.4)}
        ways["transport"] = lambda a, b: manifold.transport(a, b, manifold.log(a, b).detach())
        for name, way in ways.items():
            made = way(x, y)
            assert bool(torch.isfinite(made).all()), name
            made = made / made.detach().abs().clamp_min(1.0)
            for gradient in torch.autograd.grad(made.sum(), (x, y)):
                assert bool(torch.isfinite(gradient).all()), name


def test_gradients_are_right(library, chart):
    manifold = chart(2, 0.7, learn_curvature=True).double()
    raw = manifold._curvature.raw
    manifold.forward = lambda way, *rows: getattr(manifold, way)(*rows)
    torch.manual_seed(0)
    x, y, z = manifold.exp0(torch.randn(3, 2, 1, 2, dtype=torch.float64)).detach()
    y = y.reshape(1, 2, -1)
    u = manifold.log(x, z).detach()

    def of(way, *fixed):
        call = torch.func.functional_call
        return lambda raw, *rows: call(manifold, {"_curvature.raw": raw}, (way, *rows, *fixed))

    start = raw.detach().clone().requires_grad_()
    cases = [("dist", (x, y), ()), ("log", (x, y), ()), ("geodesic", (x, y), (0.3,)), ("exp", (x, u), ())]
    cases += [
        ("transport", (x, y, u), ()),
        ("log_det_exp", (x, u), ()),
        ("log0", (x,), ()),
        ("exp0", (x[..., :2],), ()),
    ]
    for way, rows, fixed in cases:
        free = [row.clone().requires_grad_() for row in rows]
        assert torch.autograd.gradcheck(of(way, *fixed), (start, *free), atol=1e-6), way
    near = x + 0.01 * (manifold.exp0(torch.randn(2, 1, 2, dtype=torch.float64)).detach() - x)
    for way, second in (("log", near), ("exp", 1e-3 * u)):
        free = [x.clone().requires_grad_(), second.clone().requires_grad_()]
        assert torch.autograd.gradcheck(of(way), (start, *free), atol=1e-6), way


def test_the_logarithm_is_smooth_at_coincident_points(chart):
    manifold = chart(3)
    x = manifold.exp0(torch.randn(3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    # Of points on the manifold, so that a change of the spatial coordinates is one of the point.
    jacobian = torch.autograd.functional.jacobian(lambda y: manifold.log(x, manifold.project(y)), x)
    expected = torch.eye(len(x), dtype=torch.float64)
    if chart is Lorentz:
        expected[0, 1:], expected[0, 0] = x[1:] / x[0], 0
    torch.testing.assert_close(jacobian, expected, rtol=1e-12, atol=1e-12)


def test_translation_is_the_way_from_the_origin(chart):
    manifold = chart(3, 0.5)
    torch.manual_seed(0)
    m, v = torch.randn(2, 20, 3, dtype=torch.float64)
    origin = manifold.origin.double().expand(20, -1)
    at = manifold.exp0(m)
    u = manifold.transport(origin, at, manifold.log(origin, manifold.exp0(v)))
    t = manifold.translate0(m, v)
    torch.testing.assert_close(manifold.exp0(t), manifold.exp(at, u), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(manifold.translate0(-m, t), v, rtol=1e-10, atol=1e-10)
    assert manifold.translate0(m[0], v).shape == (20, 3)


@pytest.mark.parametrize("curvature", [0.5, 1.0])
def test_centring_is_an_isometry_that_moves_a_point_to_the_origin(geoopt, chart, curvature):
    manifold = chart(2, curvature)
    torch.manual_seed(0)
    x = manifold.exp0(torch.randn(30, 2, dtype=torch.float64))
    seen = manifold.centre(x, x[3])
    assert manifold.contains(seen)[0]
    torch.testing.assert_close(seen[3], manifold.double().origin, rtol=0, atol=1e-12)
    torch.testing.assert_close(manifold.dist(seen[:, None], seen), manifold.dist(x[:, None], x), rtol=1e-11, atol=1e-11)
    in_ball = peer(geoopt, Poincare(2, curvature)).mobius_add(-manifold.to_poincare(x[3]), manifold.to_poincare(x))
    torch.testing.assert_close(manifold.to_poincare(seen), in_ball, rtol=1e-6, atol=1e-6)
    # Nothing is lost far out.
    far = Lorentz(2).exp0(torch.tensor([[70.0, 0.0], [71.0, 0.0], [70.0, 1e-3]]))
    torch.testing.assert_close(Lorentz(2).log0(Lorentz(2).centre(far[:2], far[0])), torch.tensor([[0.0, 0], [1.0, 0]]))


def gradient_of_spread(manifold: Hyperbolic, centre: torch.Tensor, x: torch.Tensor, weights: torch.Tensor):
    """The mean logarithm at the centre in tangent coordinates, and the distances."""
    v = manifold.translate0(-manifold.log0(centre), manifold.log0(x))
    return (weights / weights.sum()) @ v, torch.linalg.vector_norm(v, dim=-1)


@pytest.mark.parametrize("radius", [1e-3, 1.0, 10.0, 15.0])
@pytest.mark.parametrize("dim", [1, 2, 20])
def test_the_mean_balances_points_however_far_apart(chart, dim, radius):
    manifold = chart(dim)
    torch.manual_seed(dim)
    x = manifold.exp0(radius * torch.nn.functional.normalize(torch.randn(30, dim, dtype=torch.float64), dim=-1))
    for weights in (torch.ones(30), torch.rand(30), 10.0 ** torch.linspace(-30, 30, 30)):
        weights = weights.double()
        centre = manifold.mean(x, weights)
        balance, reach = gradient_of_spread(manifold, centre, x, weights)
        # Where the heaviest point of the ball lies, its numbers are sinh(r) apart.
        rounding = 1e-14 * (1 + reach.max() + (torch.sinh(manifold.log0(centre).norm()) if chart is Poincare else 0))
        assert float(balance.norm()) <= 30 * float(rounding) * float(1 + reach.max())
    if dim == 1:
        torch.testing.assert_close(manifold.log0(manifold.mean(x)), manifold.log0(x).mean(0), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("seed", range(40))
def test_the_mean_of_any_points_with_any_weights(seed):
    torch.manual_seed(seed)
    dim, n = int(torch.randint(1, 6, ())), int(torch.randint(2, 30, ()))
    radius = 80.0 * (10 ** (-3 * torch.rand(n, 1, dtype=torch.float64)) if seed % 3 else 1.0)
    space = Lorentz(dim)
    x = space.exp0(radius * torch.nn.functional.normalize(torch.randn(n, dim, dtype=torch.float64), dim=-1))
    weights = 10 ** (2 * (seed % 7) * torch.randn(n, dtype=torch.float64))
    centre = space.mean(x, weights)
    balance, reach = gradient_of_spread(space, centre, x, weights)
    # The last digits of the direction of the mean, as its distance from the origin enlarges them.
    digits = 1e-14 + 4e-16 * float(torch.exp(space.log0(centre).norm()))
    assert float(balance.norm() / (1 + reach.max())) < 30 * digits


def test_the_mean_of_very_far_points():
    plane = Lorentz(2)
    corners = 80 * torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    x = plane.exp0(corners)
    torch.testing.assert_close(plane.log0(plane.mean(x)), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-12)
    weights = torch.tensor([3.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(plane.log0(plane.mean(x, weights)), corners[0] / 2, rtol=1e-12, atol=1e-12)
    heavy = torch.tensor([1.0, 1e-12, 1e-12, 1e-12])
    torch.testing.assert_close(plane.log0(plane.mean(x, heavy)), corners[0], rtol=1e-9, atol=1e-9)
    single = plane.mean(x.float(), heavy)
    assert single.dtype == torch.float32
    assert plane.contains(single)[0]


def test_the_mean_is_the_lowest_point_nearby(chart):
    manifold = chart(2, 2.0)
    torch.manual_seed(0)
    x, weights = manifold.exp0(torch.randn(9, 2, dtype=torch.float64)), torch.rand(9, dtype=torch.float64)
    centre = manifold.mean(x, weights)

    def spread(at):
        return float(manifold.dist(at, x).square() @ weights)

    for step in (1e-1, 1e-3):
        around = manifold.exp0(manifold.translate0(manifold.log0(centre), step * torch.randn(20, 2).double()))
        assert min(spread(at) for at in around) > spread(centre)


# Dynamo makes an instance of every autograd function and of many a thing that torch itself is giving up.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("dynamic", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_it_compiles(chart, dynamic):
    manifold = chart(2)
    torch.manual_seed(0)
    x, y = (manifold.exp0(v).requires_grad_() for v in torch.randn(2, 5, 2))

    def there(x, y):
        return manifold.dist(x, manifold.transport(x, y, manifold.exp(x, manifold.log(x, y))))

    made = torch.compile(there, fullgraph=True, backend="aot_eager", dynamic=dynamic)(x, y)
    plain = there(x, y)
    torch.testing.assert_close(made, plain, rtol=1e-5, atol=1e-5)
    of_both = (torch.autograd.grad(d.sum(), (x, y)) for d in (made, plain))
    torch.testing.assert_close(*of_both, rtol=1e-4, atol=1e-4)
