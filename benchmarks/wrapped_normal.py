"""Is the wrapped normal distribution of hyperbolic space exact, how far out, and what does a draw cost?

Distances and log-densities of draws against mpmath (up to 300 digits), by their distance from the origin, next to the
usual way, which recovers the tangent vector from the point, written with the operations of geoopt. Then the sampling
law by Kolmogorov and Smirnov against quadrature, gradients against quadrature, the noise of the divergence from one
draw, and the time of a draw with its divergence and gradients next to that of a Gaussian, all in turn, one thread.

Usage: ``python benchmarks/wrapped_normal.py [--draws 20000] [--repeats 200] [--only-speed] [--markdown]``
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
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss
from scipy import stats
from torch.distributions import Independent, Normal, kl_divergence

from curvi.distributions import WrappedNormal, tangent_coordinates
from curvi.manifolds import Lorentz, Poincare

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
    # It announces the end of something else.
    import geoopt

F64 = torch.float64
RADII = [1.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 40.0, 80.0]


class Usual:
    """The textbook wrapped normal: transport and exp to draw, log and transport back to evaluate."""

    def __init__(self, chart: str, mean: torch.Tensor, scale: torch.Tensor) -> None:
        self.lorentz, self.scale = chart == "lorentz", scale
        self.space: Any = geoopt.Lorentz() if self.lorentz else geoopt.PoincareBall()
        if mean.dtype == F64:
            self.space = self.space.double()
        # Tangent vectors at the origin of the ball are half as long as their coordinates: the metric there is 4.
        self.loc = self.space.expmap0(self.padded(mean) if self.lorentz else mean / 2)

    @staticmethod
    def padded(v: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(v[..., :1]), v], -1)

    def rsample(self, noise: torch.Tensor) -> torch.Tensor:
        v = self.scale * noise
        u = self.space.transp0(self.loc, self.padded(v) if self.lorentz else v / 2)
        return self.space.expmap(self.loc, u)

    def distance(self, z: torch.Tensor) -> torch.Tensor:
        return self.space.dist0(z)

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        u = self.space.logmap(self.loc.expand_as(z), z)
        back = self.space.transp0back if self.lorentz else self._ball_back
        v = back(self.loc, u)[..., 1:] if self.lorentz else back(self.loc, u)
        r = v.norm(dim=-1)
        gauss = Independent(Normal(torch.zeros_like(self.scale), self.scale, validate_args=False), 1)
        return gauss.log_prob(v) - (v.shape[-1] - 1) * torch.log(torch.sinh(r) / r)

    def _ball_back(self, loc: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        # Parallel transport to the origin scales by the conformal factor; coordinates are twice the vector there.
        return u * self.space.lambda_x(loc, keepdim=True)


def exact_point(m: list[float], v: list[float]) -> list[mpmath.mpf]:
    """Tangent coordinates at the origin of the point, by a boost of the hyperboloid."""
    with mpmath.workdps(150):
        a, b = mpmath.norm(m), mpmath.norm(v)
        sinh_a, sinh_b, bent = mpmath.sinh(a) / a, mpmath.sinh(b) / b, (mpmath.cosh(a) - 1) / a**2
        along = sinh_a * mpmath.cosh(b) + bent * sinh_b * mpmath.fdot(m, v)
        w = [along * mpmath.mpf(x) + sinh_b * mpmath.mpf(y) for x, y in zip(m, v, strict=True)]
        size = mpmath.norm(w)
        return [x * mpmath.asinh(size) / size for x in w]


def exact_log_prob(v: list[Any], scale: list[float]) -> mpmath.mpf:
    """The log-density at a tangent vector."""
    with mpmath.workdps(60):
        r = mpmath.norm(v)
        gauss = sum(
            -((mpmath.mpf(x) / s) ** 2) / 2 - mpmath.log(s) - mpmath.log(2 * mpmath.pi) / 2
            for x, s in zip(v, scale, strict=True)
        )
        return gauss - (len(v) - 1) * mpmath.log(mpmath.sinh(r) / r)


def worst(got: torch.Tensor, truth: list[mpmath.mpf], *, relative: bool) -> float:
    """The largest error; nan where a number is."""
    errors = [
        float(abs(mpmath.mpf(x) - y) / (abs(y) if relative else max(1, abs(y)))) if np.isfinite(x) else float("nan")
        for x, y in zip(got.detach().double().tolist(), truth, strict=True)
    ]
    return float(np.max(errors))


def accuracy(report: Report, n: int = 60, dim: int = 3) -> None:
    """Errors of distances and log-densities of the same draws, by radius."""
    tables: dict[str, list[list[str]]] = {"distance": [], "log q": [], "log p": []}
    for dtype in (torch.float32, F64):
        for chart, space in (("lorentz", Lorentz(dim).to(dtype)), ("poincare", Poincare(dim).to(dtype))):
            ours: dict[str, list[float]] = {key: [] for key in tables}
            usual: dict[str, list[float]] = {key: [] for key in tables}
            for radius in RADII:
                torch.manual_seed(0)
                mean = torch.nn.functional.normalize(torch.randn(n, dim, dtype=dtype), dim=-1) * radius
                scale, prior_scale = 0.2 + torch.rand(n, dim, dtype=dtype), torch.full((dim,), 2.0, dtype=dtype)
                q = WrappedNormal.from_tangent(space, mean, scale)
                p = WrappedNormal.at_origin(space, prior_scale)
                torch.manual_seed(1)
                z = q.rsample()
                torch.manual_seed(1)
                noise = torch.randn(n, dim, dtype=dtype)
                rows = list(zip(mean.tolist(), scale.tolist(), noise.tolist(), strict=True))
                v = [[mpmath.mpf(s) * mpmath.mpf(e) for s, e in zip(*row[1:], strict=True)] for row in rows]
                t = [exact_point(row[0], x) for row, x in zip(rows, v, strict=True)]
                truth = {
                    "distance": [mpmath.norm(x) for x in t],
                    "log q": [exact_log_prob(x, row[1]) for x, row in zip(v, rows, strict=True)],
                    "log p": [exact_log_prob(x, prior_scale.tolist()) for x in t],
                }
                other, prior = Usual(chart, mean, scale), Usual(chart, torch.zeros_like(mean), prior_scale)
                z_usual = other.rsample(noise)
                got = {
                    "distance": (tangent_coordinates(space, z).norm(dim=-1), other.distance(z_usual)),
                    "log q": (q.log_prob(z), other.log_prob(z_usual)),
                    "log p": (p.log_prob(z), prior.log_prob(z_usual)),
                }
                for key, (mine, theirs) in got.items():
                    ours[key].append(worst(mine, truth[key], relative=key == "distance"))
                    usual[key].append(worst(theirs, truth[key], relative=key == "distance"))
            for key, rows_of in tables.items():
                for name, errors in (("carried", ours), ("recovered, geoopt", usual)):
                    rows_of.append([str(dtype)[6:], chart, name, *(f"{error:.0e}" for error in errors[key])])
    heads = ["dtype", "chart", "tangent vectors", *(f"R = {radius:g}" for radius in RADII)]
    titles = {
        "distance": "Distance of a draw from the origin: largest relative error",
        "log q": "log q(z) of a draw: largest error, relative where |log q| > 1",
        "log p": "log p(z) of a draw under a prior at the origin: largest error, relative where |log p| > 1",
    }
    for key, title in titles.items():
        report.table(
            f"{title} (bar for float32, carried: 1e-4)", heads, tables[key], f"{n} draws a column in dimension {dim}."
        )


def radial_law(dim: int, radius: float, scale: float) -> Callable[[np.ndarray], np.ndarray]:
    """The distribution function of d(0, z) around a mean at a radius, by quadrature over the length of v."""
    x, weight = leggauss(400)
    b = scale * stats.chi(dim).ppf(1 - 1e-12) * (x + 1) / 2
    weight = weight * stats.chi(dim).pdf(b / scale)
    weight /= weight.sum()
    grid = np.linspace(max(0.0, radius - b.max()), radius + b.max(), 2000)
    # cosh(d) = cosh a cosh b + sinh a sinh b cos(theta), divided by exp(a + b).
    y, total = grid[:, None], radius + b
    high = (np.exp(y - total) + np.exp(-y - total)) / 2
    cosh = (1 + np.exp(-2 * radius)) * (1 + np.exp(-2 * b)) / 4
    sinh = (1 - np.exp(-2 * radius)) * (1 - np.exp(-2 * b)) / 4
    cosine = np.clip((high - cosh) / sinh, -1, 1)
    probability = stats.beta((dim - 1) / 2, (dim - 1) / 2).cdf((cosine + 1) / 2) @ weight
    return lambda d: np.interp(d, grid, probability)


def sampling(report: Report, draws: int) -> None:
    """Kolmogorov-Smirnov p-values of the distances of draws from the origin, and from their mean."""
    rows = []
    radii = [0.5, 2.0, 7.0, 20.0, 80.0]
    for dim in (2, 3, 10, 50):
        cells, at_mean = [], []
        for radius in radii:
            space, mean = Lorentz(dim), torch.eye(1, dim)[0] * radius
            z = WrappedNormal.from_tangent(space, mean, torch.full((dim,), 0.7)).sample((draws,))
            d = tangent_coordinates(space, z).double().norm(dim=-1).numpy()
            cells.append(f"{_ks(d, dim, radius):.3f}")
            if radius < 10:
                wide = Lorentz(dim).to(F64)
                q = WrappedNormal.from_tangent(wide, mean.double(), torch.full((dim,), 0.7, dtype=F64))
                away = wide.dist(q.loc, q.sample((draws,))).numpy()
                at_mean.append(f"{stats.kstest(away / 0.7, stats.chi(dim).cdf).pvalue:.3f}")
        rows.append([str(dim), *cells, *at_mean])
    heads = ["dim", *(f"origin, R = {radius:g}" for radius in radii), *(f"mean, R = {r:g}" for r in radii if r < 10)]
    note = (
        f"{draws} draws each, scale 0.7: distances from the origin in float32, from the mean in float64 by the points."
    )
    report.table("Sampling law: KS p-values (bar: each > 1e-4)", heads, rows, note)


def _ks(d: np.ndarray, dim: int, radius: float) -> float:
    return float(stats.kstest(radial_law(dim, radius, 0.7)(d), "uniform").pvalue)


def gradients(report: Report, draws: int) -> None:
    """Gradients of expectations in the plane next to quadrature, in float32."""
    x, weight = hermegauss(80)
    nodes = torch.from_numpy(np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2))
    weights = torch.from_numpy(np.outer(weight, weight).reshape(-1) / weight.sum() ** 2)
    rows = []
    for radius in (0.0, 1.0, 3.0, 7.0, 20.0, 40.0):
        for scale in (0.1, 0.5):
            inputs = [torch.tensor(x, dtype=F64) for x in ([radius * 0.8, radius * 0.6], [scale, 1.5 * scale])]
            exact_space, space = Lorentz(2).to(F64), Lorentz(2)
            target = torch.tensor([1.0, 1.0], dtype=F64)
            exact = [x.clone().requires_grad_() for x in inputs]
            t = exact_space.translate0(exact[0], exact[1] * nodes)
            truth = {
                "d(a, z)^2": weights @ exact_space.translate0(-target, t).square().sum(-1),
                "KL": _divergence(exact, t, exact[1] * nodes, weights),
            }
            n = 20 * draws
            leaves = [x.float().expand(n, 2).clone().requires_grad_() for x in inputs]
            q = WrappedNormal.from_tangent(space, *leaves)
            t = tangent_coordinates(space, q.rsample())
            estimates = {
                "d(a, z)^2": space.translate0(-target.float(), t).square().sum(-1),
                "KL": kl_divergence(q, WrappedNormal.at_origin(space, torch.ones(2))),
            }
            cells = []
            for key, value in truth.items():
                expected = torch.cat(torch.autograd.grad(value, exact, retain_graph=True))
                each = torch.cat(torch.autograd.grad(estimates[key].sum(), leaves, retain_graph=True), -1).double()
                errors = (each.mean(0) - expected).norm(), (each.std(0) / n**0.5).norm()
                cells += [f"{100 * float(error / expected.norm()):.3f} %" for error in errors]
            rows.append([f"{radius:g}", f"{scale:g}", *cells])
    heads = ["R", "scale", "d(a, z)^2: error", "its standard error", "KL: error", "its standard error"]
    note = f"{20 * draws} draws each. Norms of the gradient in mean and scale; the error of a right one is its noise."
    report.table("Gradients of expectations in float32, against quadrature", heads, rows, note)


def _divergence(parameters: list[torch.Tensor], t: torch.Tensor, v: torch.Tensor, weights: torch.Tensor) -> Any:
    """The divergence from the standard wrapped normal at the origin, by quadrature."""

    def log_sinhc(x: torch.Tensor) -> torch.Tensor:
        r = x.norm(dim=-1)
        return r + torch.log(-torch.expm1(-2 * r) / (2 * r))

    plain = t.square().sum(-1) / 2 + log_sinhc(t) - log_sinhc(v)
    return weights @ plain - 1 - parameters[1].log().sum()


def noise(report: Report, draws: int) -> None:
    """Standard deviations of the divergence from one draw, and of its gradient."""
    rows = []
    for dim in (2, 10):
        for radius in (0.01, 2.0, 6.0):
            for size in (0.05, 0.2, 1.0):
                space = Lorentz(dim).to(F64)
                mean = torch.zeros(draws, dim, dtype=F64)
                mean[:, 0] = radius
                mean, scale = mean.requires_grad_(), torch.full((draws, dim), size, dtype=F64, requires_grad=True)
                q, p = (
                    WrappedNormal.from_tangent(space, mean, scale),
                    WrappedNormal.at_origin(space, torch.ones(dim).to(F64)),
                )
                z = q.rsample()
                # The gradient of the first in the parameters of the density averages out, and can be left out.
                frozen = WrappedNormal.from_tangent(space, mean.detach(), scale.detach())
                kinds = (q.log_prob(z) - p.log_prob(z), frozen.log_prob(z) - p.log_prob(z), kl_divergence(q, p))
                cells = []
                for part in (mean, scale):
                    spread = [torch.autograd.grad(kl.sum(), part, retain_graph=True)[0].std(0).norm() for kl in kinds]
                    cells += [f"{float(x):.3f}" for x in spread]
                rows.append(
                    [
                        str(dim),
                        f"{radius:g}",
                        f"{size:g}",
                        *cells,
                        f"{float(kinds[0].detach().std()):.3f}",
                        f"{float(kinds[2].detach().std()):.3f}",
                    ]
                )
    names = ("log q - log p", "path only", "ours")
    heads = ["dim", "R", "scale", *(f"d mean: {x}" for x in names), *(f"d scale: {x}" for x in names)]
    report.table(
        "Noise of KL(q || p) from one draw: standard deviations of gradients and of values",
        [*heads, "value: log q - log p", "value: ours"],
        rows,
    )


def timed(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, np.ndarray]:
    """Medians of CPU time and clock over runs in turn, in microseconds."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for i in range(-5, repeats):
        for name, run in runs.items():
            # Once before, so that all find the memory of the processor as they leave it themselves.
            run()
            cpu, clock = time.process_time(), time.perf_counter()
            run()
            if i >= 0:
                times[name].append((time.process_time() - cpu, time.perf_counter() - clock))
    return {name: np.median(values, 0) * 1e6 for name, values in times.items()}


def speed(report: Report, repeats: int) -> None:
    """A draw and its divergence, forward and backward, next to a Gaussian's."""
    rows = []
    for n in (128, 10_000):
        for dim in (2, 10):
            mean = torch.randn(n, dim, requires_grad=True)
            log_scale, grad = (torch.randn(n, dim) / 10 - 1).requires_grad_(), torch.randn(n, dim)
            one, spaces = torch.ones(dim), {"Lorentz": Lorentz(dim), "Poincare": Poincare(dim)}

            def backward(value, kl, mean=mean, log_scale=log_scale, grad=grad):
                weight = grad if value.shape == grad.shape else torch.cat([grad[:, :1], grad], -1)
                torch.autograd.grad((value * weight).sum() + kl.sum(), (mean, log_scale))

            def gauss(mean=mean, log_scale=log_scale, one=one, backward=backward):
                q = Independent(Normal(mean, log_scale.exp(), validate_args=False), 1, validate_args=False)
                p = Independent(Normal(torch.zeros_like(one), one, validate_args=False), 1, validate_args=False)
                backward(q.rsample(), kl_divergence(q, p))

            def ours(space, points, mean=mean, log_scale=log_scale, one=one, backward=backward):
                q = WrappedNormal.from_tangent(space, mean, log_scale.exp(), validate_args=False)
                p = WrappedNormal.at_origin(space, one, validate_args=False)
                z = q.rsample()
                backward(z if points else tangent_coordinates(space, z), kl_divergence(q, p))

            def usual(chart, mean=mean, log_scale=log_scale, one=one, backward=backward):
                q, p = Usual(chart, mean, log_scale.exp()), Usual(chart, torch.zeros_like(mean), one)
                z = q.rsample(torch.randn_like(mean))
                backward(z, q.log_prob(z) - p.log_prob(z))

            runs: dict[str, Callable[[], object]] = {"Gaussian": gauss}
            for name, space in spaces.items():
                runs[f"{name}, tangent coordinates"] = lambda space=space: ours(space, False)
                runs[f"{name}, points"] = lambda space=space: ours(space, True)
                runs[f"{name}, the usual way (geoopt)"] = lambda name=name: usual(name.lower())
            medians = timed(runs, repeats if n < 1000 else max(repeats // 4, 20))
            for name, median in medians.items():
                ratios = [f"{x:.2f}" for x in median / medians["Gaussian"]]
                rows.append([name, str(n), str(dim), *(f"{x:.0f}" for x in median), *ratios])
    heads = ["draws of", "cells", "dim", "CPU us", "clock us", "ratio, CPU", "ratio, clock"]
    note = f"Medians of {repeats} runs in turn; ratios to the Gaussian, whose divergence is closed."
    report.table("rsample and KL, forward and backward, float32", heads, rows, note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--only-speed", action="store_true")
    add_markdown_option(parser, "wrapped_normal")
    options = parser.parse_args()
    torch.set_num_threads(1)
    report = Report("Accuracy and speed of the wrapped normal distribution", "python benchmarks/wrapped_normal.py")
    if not options.only_speed:
        accuracy(report)
        torch.manual_seed(0)
        sampling(report, options.draws)
        gradients(report, options.draws)
        noise(report, options.draws)
    speed(report, options.repeats)
    report.write(options.markdown)


if __name__ == "__main__":
    main()
