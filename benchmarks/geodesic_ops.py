"""Are distances, exponentials, logarithms and transports right, how far out, and what do they cost?

All four against mpmath (150 digits) by the distance of the points from the origin, with the coordinates that are given
to both implementations taken as exact, next to those of geoopt. Then the time of each, without and with gradients, next
to geoopt in the same run: the two in turn, medians, one thread.

Usage: ``python benchmarks/geodesic_ops.py [--pairs 30] [--repeats 200] [--only-speed | --skip-speed] [--markdown]``
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import torch
from _tables import Report, add_markdown_option

from curvi.manifolds import Hyperbolic, Lorentz, Manifold, Poincare, Sphere

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
    # It announces the end of something else.
    import geoopt

F32, F64 = torch.float32, torch.float64
RADII = [1.0, 3.0, 5.0, 7.0, 10.0, 20.0, 40.0, 80.0]
OPERATIONS = ["dist", "log", "exp", "transport"]
Vector = list[mpmath.mpf]


def peer(manifold: Manifold, dtype: torch.dtype) -> dict[str, Callable[..., torch.Tensor]]:
    """The operations of geoopt by our names."""
    spaces = {"sphere": geoopt.Sphere, "lorentz": geoopt.Lorentz, "poincare": geoopt.PoincareBall}
    space: Any = spaces[manifold.name]().to(dtype)
    return {"dist": space.dist, "log": space.logmap, "exp": space.expmap, "transport": space.transp}


def ours(manifold: Manifold) -> dict[str, Callable[..., torch.Tensor]]:
    return {name: getattr(manifold, name) for name in OPERATIONS}


class Exact:
    """The hyperboloid of curvature -1 in 150 digits, on spatial coordinates; the ball by way of it."""

    def __init__(self, chart: str) -> None:
        self.ball = chart == "poincare"

    def point(self, x: torch.Tensor) -> Vector:
        p = [mpmath.mpf(v) for v in x.tolist()]
        if not self.ball:
            return p[1:]
        gap = 1 - mpmath.fdot(p, p)
        return [2 * v / gap for v in p]

    def velocity(self, x: torch.Tensor, u: torch.Tensor) -> Vector:
        w = [mpmath.mpf(v) for v in u.tolist()]
        if not self.ball:
            return w[1:]
        p = [mpmath.mpf(v) for v in x.tolist()]
        gap, along = 1 - mpmath.fdot(p, p), mpmath.fdot(p, w)
        return [2 * b / gap + 4 * along * a / gap**2 for a, b in zip(p, w, strict=True)]

    def shown_point(self, x: Vector) -> Vector:
        x0 = self.time(x)
        return [v / (1 + x0) for v in x] if self.ball else [x0, *x]

    def shown_velocity(self, x: Vector, u: Vector) -> Vector:
        x0 = self.time(x)
        u0 = mpmath.fdot(x, u) / x0
        if not self.ball:
            return [u0, *u]
        return [b / (1 + x0) - a * u0 / (1 + x0) ** 2 for a, b in zip(x, u, strict=True)]

    @staticmethod
    def time(x: Vector) -> mpmath.mpf:
        return mpmath.sqrt(1 + mpmath.fdot(x, x))

    def dist(self, x: Vector, y: Vector) -> mpmath.mpf:
        apart = [a - b for a, b in zip(x, y, strict=True)]
        return 2 * mpmath.asinh(mpmath.sqrt(mpmath.fdot(apart, apart) - (self.time(x) - self.time(y)) ** 2) / 2)

    def log(self, x: Vector, y: Vector) -> Vector:
        r = self.dist(x, y)
        return [r / mpmath.sinh(r) * (b - mpmath.cosh(r) * a) for a, b in zip(x, y, strict=True)]

    def exp(self, x: Vector, u: Vector) -> Vector:
        r = mpmath.sqrt(mpmath.fdot(u, u) - (mpmath.fdot(x, u) / self.time(x)) ** 2)
        return [mpmath.cosh(r) * a + mpmath.sinh(r) / r * b for a, b in zip(x, u, strict=True)]

    def transport(self, x: Vector, y: Vector, u: Vector) -> Vector:
        x0, y0 = self.time(x), self.time(y)
        inner = mpmath.fdot(y, u) - y0 * mpmath.fdot(x, u) / x0
        share = inner / (1 + x0 * y0 - mpmath.fdot(x, y))
        return [c + share * (a + b) for a, b, c in zip(x, y, u, strict=True)]


def pairs(manifold: Hyperbolic, radius: float, kind: str, n: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Points at a distance from the origin: in any directions, in nearly the same one, or on one axis."""
    d, e = torch.nn.functional.normalize(torch.randn(2, n, manifold.dim, dtype=F64), dim=-1)
    other = torch.full((n, 1), radius, dtype=F64)
    if kind == "near":
        e = torch.nn.functional.normalize(d + 1e-3 * e, dim=-1)
    if kind == "axis":
        d = e = torch.eye(1, manifold.dim, dtype=F64).expand(n, -1)
        other = radius * torch.linspace(0.5, 0.99, n, dtype=F64)[:, None]
    return manifold.exp0((radius * d).to(dtype)), manifold.exp0((other * e).to(dtype))


def worst(errors: list[mpmath.mpf]) -> str:
    return f"{float(max(errors)):.0e}" if all(mpmath.isfinite(error) for error in errors) else "nan"


def distances(report: Report, n: int) -> None:
    kinds = {"any": "in any direction", "near": "0.001 rad apart", "axis": "on one axis"}
    for kind, described in kinds.items():
        rows = []
        for dtype in (F32, F64):
            for manifold in (Lorentz(3), Poincare(3)):
                exact, cells = Exact(manifold.name), {"curvi": [], "geoopt": []}
                for radius in RADII:
                    if manifold.name == "poincare" and radius > 10:
                        cells = {name: [*row, ""] for name, row in cells.items()}
                        continue
                    torch.manual_seed(0)
                    x, y = pairs(manifold, radius, kind, n, dtype)
                    with mpmath.workdps(150):
                        truth = [exact.dist(exact.point(a), exact.point(b)) for a, b in zip(x, y, strict=True)]
                        for name, made in (("curvi", ours(manifold)), ("geoopt", peer(manifold, dtype))):
                            got = made["dist"](x, y).double().tolist()
                            cells[name].append(worst([abs(a - b) for a, b in zip(got, truth, strict=True)]))
                rows += [[str(dtype)[6:], manifold.name, name, *cells[name]] for name in ("curvi", "geoopt")]
        heads = ["dtype", "chart", "of", *(f"{radius:g}" for radius in RADII)]
        note = (
            ""
            if kind != "near"
            else (
                "Far out, points in nearly the same direction differ in digits that float64 does not have; given "
                "coordinates of float32, taken as exact, it has them."
            )
        )
        report.table(f"Distances of points {described}: largest absolute error, by their radius", heads, rows, note)


def angles(report: Report, n: int) -> None:
    rows, sizes = [], [1e-6, 1e-3, 1.0, 3.0, 3.1415]
    for dtype in (F32, F64):
        cells: dict[str, list[str]] = {"curvi": [], "geoopt": []}
        for angle in sizes:
            torch.manual_seed(0)
            d, side = torch.linalg.qr(torch.randn(n, 4, 2, dtype=F64))[0].unbind(-1)
            x, y = d.to(dtype), (np.cos(angle) * d + np.sin(angle) * side).to(dtype)
            with mpmath.workdps(50):
                truth = []
                for a, b in zip(x.tolist(), y.tolist(), strict=True):
                    a, b = ([v / mpmath.norm(row) for v in map(mpmath.mpf, row)] for row in (a, b))
                    near = mpmath.norm([v - w for v, w in zip(a, b, strict=True)])
                    truth.append(2 * mpmath.atan2(near, mpmath.norm([v + w for v, w in zip(a, b, strict=True)])))
                for name, made in (("curvi", ours(Sphere(3))), ("geoopt", peer(Sphere(3), dtype))):
                    got = made["dist"](x, y).double().tolist()
                    cells[name].append(worst([abs(a - b) for a, b in zip(got, truth, strict=True)]))
        rows += [[str(dtype)[6:], name, *cells[name]] for name in ("curvi", "geoopt")]
    report.table(
        "Distances on the sphere: largest absolute error, by the angle", ["dtype", "of", *map(str, sizes)], rows
    )


def rounding(report: Report, n: int) -> None:
    rows = []
    for dtype in (F32, F64):
        for manifold in (Lorentz(3), Poincare(3)):
            exact, cells = Exact(manifold.name), []
            for radius in RADII:
                if manifold.name == "poincare" and radius > 10:
                    cells.append("")
                    continue
                torch.manual_seed(0)
                v = radius * torch.nn.functional.normalize(torch.randn(n, 3, dtype=F64), dim=-1)
                with mpmath.workdps(150):
                    zero = [mpmath.mpf(0)] * 3
                    made = [exact.dist(exact.point(x), zero) for x in manifold.exp0(v).to(dtype)]
                    meant = [mpmath.norm([mpmath.mpf(a) for a in row.tolist()]) for row in v]
                    cells.append(worst([abs(a - b) for a, b in zip(made, meant, strict=True)]))
            rows.append([str(dtype)[6:], manifold.name, *cells])
    heads = ["dtype", "chart", *(f"{radius:g}" for radius in RADII)]
    note = "No formula gives back what the rounding of a point has taken: in the ball most, on the hyperboloid none."
    report.table("What writing a point down costs: largest change of its distance from the origin", heads, rows, note)


def rounded_way(exact: Exact, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Where the exact logarithms at ``x`` of ``y``, once rounded to float64, lead by the exact exponential."""
    with mpmath.workdps(150):
        ends = []
        for a, b in zip(x, y, strict=True):
            start = exact.point(a)
            u = exact.shown_velocity(start, exact.log(start, exact.point(b)))
            rounded = torch.tensor([float(v) for v in u], dtype=F64)
            end = exact.shown_point(exact.exp(start, exact.velocity(a, rounded)))
            ends.append([float(v) for v in end])
    return torch.tensor(ends, dtype=F64)


def round_trips(report: Report, n: int) -> None:
    """There and back in float64, by the radius of the points."""
    rows = []
    for manifold in (Lorentz(3), Poincare(3)):
        cells: dict[str, list[str]] = {}
        for radius in RADII[:5]:
            torch.manual_seed(0)
            v, w = radius * torch.nn.functional.normalize(torch.randn(2, n, 3, dtype=F64), dim=-1)
            x, y = manifold.exp0(v), manifold.exp0(w)
            geo = peer(manifold, F64)
            trips = {
                "log0(exp0(v))": (manifold.log0(x), v),
                "exp0(log0(x))": (manifold.exp0(manifold.log0(x)), x),
                "translate0(v, translate0(-v, w))": (manifold.translate0(v, manifold.translate0(-v, w)), w),
                "geodesic(x, y, 1)": (manifold.geodesic(x, y, 1.0), y),
                "exp(x, log(x, y))": (manifold.exp(x, manifold.log(x, y)), y),
                "exact exp of the exact log, rounded": (rounded_way(Exact(manifold.name), x, y), y),
                "the same, geoopt": (geo["exp"](x, geo["log"](x, y)), y),
            }
            for name, (got, meant) in trips.items():
                error = torch.linalg.vector_norm(got - meant, dim=-1) / torch.linalg.vector_norm(meant, dim=-1)
                cells.setdefault(name, []).append(f"{float(error.max()):.0e}")
        rows += [[manifold.name, name, *row] for name, row in cells.items()]
    heads = ["chart", "trip", *(f"{radius:g}" for radius in RADII[:5])]
    note = (
        "x and y have directions of their own, so that they lie up to twice the radius apart. Maps at the origin of "
        "the hyperboloid, and geodesics, keep all digits. The numbers of a velocity cannot say more: rounded to "
        "float64, even the exact logarithm leads the exact exponential about as far from y as these formulas come."
    )
    report.table("There and back in float64: largest error relative to the result, by the radius", heads, rows, note)


def maps(report: Report, n: int) -> None:
    for operation in ("log", "exp", "transport"):
        rows = []
        for dtype in (F32, F64):
            for manifold in (Lorentz(3), Poincare(3)):
                exact, cells = Exact(manifold.name), {"curvi": [], "geoopt": []}
                for radius in RADII[:5]:
                    torch.manual_seed(0)
                    x, y = pairs(manifold, radius, "any", n, dtype)
                    z, _ = pairs(manifold, 1.0, "any", n, dtype)
                    u = manifold.log(x, {"exp": y}.get(operation, z))
                    rows_in = {"log": (x, y), "exp": (x, u), "transport": (x, y, u)}[operation]
                    with mpmath.workdps(150):
                        truth = [one(exact, operation, row) for row in zip(*rows_in, strict=True)]
                        for name, made in (("curvi", ours(manifold)), ("geoopt", peer(manifold, dtype))):
                            got = made[operation](*rows_in).double().tolist()
                            cells[name].append(worst([relative(a, b) for a, b in zip(got, truth, strict=True)]))
                rows += [[str(dtype)[6:], manifold.name, name, *cells[name]] for name in ("curvi", "geoopt")]
        heads = ["dtype", "chart", "of", *(f"{radius:g}" for radius in RADII[:5])]
        note = (
            ""
            if operation != "exp"
            else (
                "The velocities are logarithms, of points on all sides of the origin, and taken as exact. Formulas in "
                "float64 lose a part of e^r of their 16 digits over a distance r there."
            )
        )
        report.table(
            f"{operation} between points in any direction: largest error relative to the result, by their radius",
            heads,
            rows,
            note,
        )


def one(exact: Exact, operation: str, rows: tuple[torch.Tensor, ...]) -> Vector:
    x = exact.point(rows[0])
    if operation == "log":
        return exact.shown_velocity(x, exact.log(x, exact.point(rows[1])))
    u = exact.velocity(rows[0], rows[-1])
    if operation == "exp":
        return exact.shown_point(exact.exp(x, u))
    y = exact.point(rows[1])
    return exact.shown_velocity(y, exact.transport(x, y, u))


def relative(got: list[float], truth: Vector) -> mpmath.mpf:
    if not np.isfinite(got).all():
        return mpmath.nan
    return mpmath.norm([a - b for a, b in zip(got, truth, strict=True)]) / mpmath.norm(truth)


def medians(runs: list[Callable[[], object]], repeats: int) -> np.ndarray:
    """Median times of runs in turn, in microseconds."""
    times = np.empty((repeats, len(runs)))
    for i in range(-5, repeats):
        for j, run in enumerate(runs):
            start = time.perf_counter()
            run()
            if i >= 0:
                times[i, j] = time.perf_counter() - start
    return np.median(times, 0) * 1e6


def with_gradients(way: Callable[..., torch.Tensor], rows: tuple[torch.Tensor, ...]) -> Callable[[], object]:
    leaves = [row.clone().requires_grad_() for row in rows]
    grad = torch.ones_like(way(*rows))
    return lambda: torch.autograd.grad(way(*leaves), leaves, grad, allow_unused=True)


def speed(report: Report, repeats: int) -> None:
    for n, dim in ((128, 2), (128, 10), (10_000, 2), (10_000, 10)):
        rows = []
        for manifold in (Sphere(dim), Lorentz(dim), Poincare(dim)):
            for dtype in (F32, F64):
                torch.manual_seed(0)
                x, y, z = manifold.exp0(torch.randn(3, n, dim, dtype=F64) / dim**0.5).to(dtype)
                u, cells = manifold.log(x, z), []
                arguments = {"dist": (x, y), "log": (x, y), "exp": (x, u), "transport": (x, y, u)}
                for operation in OPERATIONS:
                    given = arguments[operation]
                    ways = [peer(manifold, dtype)[operation], ours(manifold)[operation]]
                    plain = [lambda way=way, given=given: way(*given) for way in ways]
                    theirs, our, their_all, our_all = medians(
                        [*plain, *(with_gradients(way, given) for way in ways)], repeats if n < 1000 else repeats // 4
                    )
                    cells += [f"{our:.0f}", f"{theirs / our:.2f}", f"{their_all / our_all:.2f}"]
                rows.append([manifold.name, str(dtype)[6:], *cells])
        heads = ["space", "dtype", *(f"{name}{of}" for name in OPERATIONS for of in (" us", " x", " x grad"))]
        note = (
            "us: microseconds of curvi without gradients; x: how many times that geoopt takes; x grad: the same with "
            "gradients in all arguments. geoopt's transport on the sphere is a projection, not parallel transport."
        )
        report.table(f"Time for {n} points in dimension {dim}", heads, rows, note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--only-speed", action="store_true")
    parser.add_argument("--skip-speed", action="store_true")
    add_markdown_option(parser, "geodesic_ops")
    options = parser.parse_args()
    torch.set_num_threads(1)
    report = Report(
        f"Accuracy and speed of geodesics, next to geoopt {geoopt.__version__}", "python benchmarks/geodesic_ops.py"
    )
    if not options.only_speed:
        angles(report, options.pairs)
        distances(report, options.pairs)
        rounding(report, options.pairs)
        round_trips(report, options.pairs)
        maps(report, options.pairs)
    if not options.skip_speed:
        speed(report, options.repeats)
    report.write(options.markdown)


if __name__ == "__main__":
    main()
