"""Are the distributions on the sphere exact, and what does a draw cost? All bars of both families, in one run.

Both the von Mises-Fisher (vMF) and the power spherical (PS) distribution: normalisers against mpmath (90 digits), the
sampling law by Kolmogorov and Smirnov against quadrature, gradients of expectations against quadrature, and the time of
a draw with its gradient next to that of a Gaussian: all run in turn, and ratios are those of their medians, of CPU time
and of time on the clock, with one thread.

Usage: ``python benchmarks/vmf_accuracy.py [--draws 100000] [--repeats 200] [--skip-speed | --only-speed] [--markdown]``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import torch
from _tables import Report, add_markdown_option
from numpy.polynomial.legendre import leggauss
from scipy import stats
from torch.distributions import Normal, kl_divergence

from curvi.distributions import HypersphericalUniform, PowerSpherical, VonMisesFisher

FAMILIES: dict[str, Any] = {"vMF": VonMisesFisher, "PS": PowerSpherical}
GRID = [2, 3, 5, 6, 10, 20, 50, 100, 256, 512, 1024]
KAPPA = [10.0**e for e in range(-6, 7)] + [0.3, 2.5, 7.0, 30.0]
FUNCTIONS: dict[str, tuple[Callable, Callable]] = {
    "w": (lambda w: w, lambda w: w * 0 + 1),
    "w^2": (lambda w: w * w, lambda w: 2 * w),
    "exp 3w": (lambda w: np.exp(3 * w), lambda w: 3 * np.exp(3 * w)),
}


def axis(m: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.eye(1, m, dtype=dtype)[0]


def exact(name: str, m: int, kappa: float) -> dict[str, mpmath.mpf]:
    """The closed forms of a family: that of the uniform law from it, the mean length, that from uniform, its slope."""
    with mpmath.workdps(90):
        k, c = mpmath.mpf(kappa), mpmath.mpf(m - 1) / 2
        if name == "vMF":
            nu = c - mpmath.mpf(1) / 2
            i0 = mpmath.besseli(nu, k)
            a = mpmath.besseli(nu + 1, k) / i0
            phi = mpmath.log(i0) + mpmath.loggamma(nu + 1) - nu * mpmath.log(k / 2)
            return {"KL(U, q)": phi, "E w": a, "KL": k * a - phi, "dKL/dkappa": k * (1 - a * a - 2 * c * a / k)}
        phi = mpmath.loggamma(c + k) - mpmath.loggamma(2 * c + k) - mpmath.loggamma(c) + mpmath.loggamma(2 * c)
        return {
            "KL(U, q)": phi - k * (mpmath.psi(0, c) - mpmath.psi(0, 2 * c)),
            "E w": k / (k + 2 * c),
            "KL": k * (mpmath.psi(0, c + k) - mpmath.psi(0, 2 * c + k)) - phi,
            "dKL/dkappa": k * (mpmath.psi(1, c + k) - mpmath.psi(1, 2 * c + k)),
        }


def accuracy(report: Report) -> None:
    """Largest relative errors over the grid of dimensions and concentrations."""
    rows = []
    for family, make in FAMILIES.items():
        for dtype, bar in ((torch.float32, 1e-6), (torch.float64, 1e-9)):
            errors = dict.fromkeys(exact(family, 3, 1.0), (0.0, 0, 0.0))
            regular = True
            for m in GRID:
                kappa = torch.tensor([0.0, *KAPPA], dtype=dtype, requires_grad=True)
                q, uniform = make(axis(m, dtype), kappa), HypersphericalUniform(m - 1, dtype=dtype)
                divergence = kl_divergence(q, uniform)
                (slope,) = torch.autograd.grad(divergence.sum(), kappa)
                values = kl_divergence(uniform, q), q.mean_resultant_length, divergence, slope
                got = {name: value.detach() for name, value in zip(errors, values, strict=True)}
                regular &= all(float(value[0]) == 0 and bool(torch.isfinite(value).all()) for value in got.values())
                for i, k in enumerate(kappa.tolist()[1:], 1):
                    for name, truth in exact(family, m, k).items():
                        error = float(abs(mpmath.mpf(float(got[name][i])) / truth - 1))
                        errors[name] = max(errors[name], (error, m, k))
            for name, (error, m, k) in errors.items():
                cells = [name, f"{error:.1e}", f"{bar:.0e}", f"m={m} kappa={k:.3g}", str(regular)]
                rows.append([family, str(dtype)[6:], *cells])
    heads = ["family", "dtype", "of", "error", "bar", "at", "finite, 0 at kappa=0"]
    report.table("Largest relative error", heads, rows)


class Law:
    """The law of the angle to the mean direction by quadrature."""

    def __init__(self, family: str, m: int, kappa: float, n: int = 100_001) -> None:
        d = m - 2
        if family == "vMF":
            peak = (d + np.sqrt(d * d + 4 * kappa * kappa)) / 2
            mode, curvature = np.arccos(kappa / peak), kappa * kappa / peak + (peak if d else 0)
            with mpmath.workdps(90):
                self.mean_potential = float(1 - exact(family, m, kappa)["E w"])
        else:
            mode, curvature = 2 * np.arctan(np.sqrt(d / (d + 2 * kappa))), d + kappa if d else kappa / 2
            self.mean_potential = float(mpmath.psi(0, m - 1 + kappa) - mpmath.psi(0, (m - 1) / 2 + kappa))
        width = 14 / np.sqrt(curvature)
        self.family, self.m, self.kappa, self.mode = family, m, kappa, mode
        low, high = max(1e-12, mode - width), min(np.pi - 1e-12, mode + width)
        # Denser towards the ends: at the antipode the potential may be infinite.
        self.angle = low + (high - low) * np.sin(np.linspace(0, np.pi / 2, n)) ** 2
        density = np.exp(self.log(self.angle) - self.log(self.angle).max())
        steps = (density[1:] + density[:-1]) / 2 * np.diff(self.angle)
        self.density, self.cdf = density / steps.sum(), np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()

    def potential(self, angle: np.ndarray) -> np.ndarray:
        return 2 * np.sin(angle / 2) ** 2 if self.family == "vMF" else -2 * np.log(np.cos(angle / 2))

    def log(self, angle: np.ndarray) -> np.ndarray:
        return -self.kappa * self.potential(angle) + (self.m - 2) * np.log(np.sin(angle))

    def mean(self, values: np.ndarray) -> float:
        return float(np.trapezoid(values * self.density, self.angle))

    def slope(self, depth: np.ndarray) -> np.ndarray:
        """dw/dkappa at fixed probability, with 200 nodes on the side away from the mode, denser at its end."""
        angle = 2 * np.arcsin(np.sqrt(depth / 2))
        end = np.where(angle > self.mode, self.angle[-1], self.angle[0])
        x, w = leggauss(200)
        left = (1 - x) / 2
        nodes = angle + (end - angle) * (1 - left[:, None] ** 3)
        inner = (self.mean_potential - self.potential(nodes)) * np.exp(self.log(nodes) - self.log(angle))
        return -np.sin(angle) * (3 * w / 2 * left**2 @ inner) * (end - angle)


def angles(z: torch.Tensor, loc: torch.Tensor) -> np.ndarray:
    return 2 * np.arcsin(np.minimum((z.double() - loc.double()).norm(dim=-1).numpy() / 2, 1))


def sampling(report: Report, draws: int) -> None:
    """Kolmogorov-Smirnov p-values of the sampling law, and the lengths of the draws."""
    rows, kappas = [], [0.01, 1.0, 10.5, 100.0, 1e3, 1e4, 1e6]
    for family, make in FAMILIES.items():
        for m in (2, 3, 5, 6, 10, 11, 50, 512):
            n, loc, p_values, length = min(draws, 10_000_000 // m), axis(m), [], 0.0
            for kappa in kappas:
                law, z = Law(family, m, kappa), make(loc, kappa).sample((n,))
                p_values.append(stats.kstest(np.interp(angles(z, loc), law.angle, law.cdf), "uniform").pvalue)
                length = max(length, float((z.double().norm(dim=-1) - 1).abs().max()))
            rows.append([family, str(m), str(n), *(f"{p:.3f}" for p in p_values), f"{length:.1e}"])
    heads = ["family", "m", "draws", *(f"kappa={kappa:g}" for kappa in kappas), "length - 1"]
    report.table("Sampling law in float32: KS p-values (bar: each > 1e-4), lengths (bar: 1e-6)", heads, rows)


def bias_in_kappa(family: str, draws: int) -> list[list[str]]:
    """Gradients of expectations in kappa, on the sampler's draws: its own next to that by quadrature at each draw."""
    rows = []
    for m in (2, 3, 5, 10, 50):
        worst = dict.fromkeys(FUNCTIONS, 0.0)
        for concentration in (0.1, 1.0, 10.5, 100.0, 1e4, 1e6):
            kappa = torch.full((min(draws, 20_000),), concentration, requires_grad=True)
            z = FAMILIES[family](axis(m), kappa).rsample()
            (got,) = torch.autograd.grad(z[:, 0].sum(), kappa)
            depth = 2 * np.sin(np.clip(angles(z.detach(), axis(m)), 1e-12, np.pi - 1e-6) / 2) ** 2
            truth = Law(family, m, concentration).slope(depth)
            for name, (_, derivative) in FUNCTIONS.items():
                weight = derivative(1 - depth)
                # w^2 has a gradient near 0 where kappa is small: its parts are added in size.
                error = abs((weight * (got.double().numpy() - truth)).sum()) / np.abs(weight * truth).sum()
                worst[name] = max(worst[name], float(error))
        rows.append([family, "kappa", str(m), *(f"{100 * error:.4f} %" for error in worst.values()), ""])
    return rows


def bias_in_mu(family: str, draws: int) -> list[list[str]]:
    """Gradients of E f(<a, z>) as the mean direction turns towards a, next to quadrature; with a standard error."""
    rows, alpha = [], 0.9
    for m in (2, 3, 5, 10, 50):
        kappa, n, cells = 2.0 * m, 20 * draws // m + draws, []
        law = Law(family, m, kappa, 2001)
        w, sine = np.cos(law.angle)[:, None], np.sin(law.angle)[:, None]
        # The first coordinate of a uniform direction across: two values on the circle, else a Gegenbauer law.
        x, weight = leggauss(400)
        t = np.sin(x * np.pi / 2)
        weight = weight * np.cos(x * np.pi / 2) ** (m - 3)
        if m == 2:
            t, weight = np.array([-1.0, 1.0]), np.ones(2)
        weight /= weight.sum()
        loc, e = axis(m), torch.eye(2, m)[1]
        a = np.cos(alpha) * loc + np.sin(alpha) * e
        pole = loc.clone().requires_grad_()
        height = FAMILIES[family](pole, kappa).rsample((n,)) @ a
        error = 0.0
        for name, (function, derivative) in FUNCTIONS.items():
            inner = derivative(w * np.cos(alpha) + sine * t * np.sin(alpha)) * (
                w * np.sin(alpha) - sine * t * np.cos(alpha)
            )
            truth = law.mean(inner @ weight)
            value = torch.exp(3 * height) if name == "exp 3w" else function(height)
            (gradient,) = torch.autograd.grad(value.mean(), pole, retain_graph=True)
            spread = np.sqrt(max(law.mean(inner**2 @ weight) - truth**2, 0.0) / n)
            error = max(error, spread / abs(truth))
            cells.append(f"{100 * abs(float(gradient @ e) / truth - 1):.4f} %")
        rows.append([family, "mu", str(m), *cells, f"{100 * error:.4f} %"])
    return rows


def timed(runs: list[Callable[[], object]], repeats: int) -> np.ndarray:
    """Medians over runs in turn: rows CPU time and clock, columns the runs; in microseconds."""
    times = np.empty((repeats, 2, len(runs)))
    for i in range(-5, repeats):
        for j, run in enumerate(runs):
            cpu, clock = time.process_time(), time.perf_counter()
            run()
            if i >= 0:
                times[i, :, j] = time.process_time() - cpu, time.perf_counter() - clock
    return np.median(times, 0) * 1e6


def speed(report: Report, n: int, repeats: int) -> None:
    """Draws with their gradients next to a Gaussian's, and a whole latent step."""
    bars, rows = {3: "5", 5: "10", 10: "10", 50: "2"}, []
    for m in (2, 3, 4, 5, 6, 10, 11, 20, 50):
        grad = torch.randn(n, m)
        loc = torch.nn.functional.normalize(torch.randn(n, m), dim=-1).requires_grad_()
        kappa = torch.logspace(0, 3, n)[torch.randperm(n)].requires_grad_()
        mean, scale = torch.randn(n, m, requires_grad=True), torch.rand(n, m).add_(0.1).requires_grad_()
        few = [x[:128].detach().requires_grad_() for x in (loc, kappa)]
        prior = HypersphericalUniform(m - 1, validate_args=False)

        def draw(make, loc=loc, kappa=kappa, grad=grad):
            torch.autograd.grad(make(loc, kappa, validate_args=False).rsample(), (loc, kappa), grad)

        def gauss(mean=mean, scale=scale, grad=grad):
            torch.autograd.grad(Normal(mean, scale, validate_args=False).rsample(), (mean, scale), grad)

        def latent(make, few=few, grad=grad[:128], prior=prior):
            q = make(*few, validate_args=False)
            torch.autograd.grad((q.rsample() * grad).sum() + kl_divergence(q, prior).sum(), few)

        families = FAMILIES.values()
        medians = timed([gauss, *(lambda make=make: draw(make) for make in families)], repeats)
        steps = timed([lambda make=make: latent(make) for make in families], repeats)[1]
        for i, family in enumerate(FAMILIES):
            ratios = medians[:, 1 + i] / medians[:, 0]
            cells = [f"{medians[0, 1 + i]:.0f}", f"{medians[0, 0]:.0f}", *(f"{x:.2f}" for x in ratios)]
            rows.append([family, str(m), *cells, bars.get(m, ""), f"{steps[i] / 1000:.2f}"])
    heads = ["family", "m", "us", "Gaussian us", "ratio, CPU", "ratio, clock", "bar", "draw + KL of 128, ms"]
    report.table(f"Forward and backward of {n} draws, medians of {repeats} runs in turn", heads, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--skip-speed", action="store_true")
    parser.add_argument("--only-speed", action="store_true")
    add_markdown_option(parser, "vmf_accuracy")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    report = Report("Accuracy and speed of the distributions on the sphere", "python benchmarks/vmf_accuracy.py")
    if not options.only_speed:
        accuracy(report)
        sampling(report, options.draws)
        heads = ["family", "in", "m", *FUNCTIONS, "standard error"]
        rows = [
            row for family in FAMILIES for bias in (bias_in_kappa, bias_in_mu) for row in bias(family, options.draws)
        ]
        report.table("Bias of the gradient of E f(w), worst over kappa, float32 (bar: 0.5 %)", heads, rows)
    if not options.skip_speed:
        speed(report, 10_000, options.repeats)
    report.write(options.markdown)


if __name__ == "__main__":
    main()
