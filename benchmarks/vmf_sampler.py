"""What does a draw on the sphere cost, with its gradient, and is it right? Ours next to those that others publish.

Each sampler makes 10,000 draws around 10,000 directions with concentrations from 1 to 1000, forward and backward; all
run in turn with one thread, and times are medians. A Gaussian of the same shape is the measure. Beside the speed stands
what the draws are worth: the error of the mean depth E[1 - w], w = <mu, z>, and of its gradient in the concentration,
against the closed forms, worst over concentrations; errors below three standard errors are noise.

Others take part where they are installed: ``scipy.stats.vonmises_fisher`` (one direction and one concentration a call,
no gradient), ``power_spherical`` (PyPI), ``hyperspherical_vae`` (github.com/nicola-decao/s-vae-pytorch) and
TensorFlow Probability on JAX. geoopt has no distribution of this kind.

Usage: ``python benchmarks/vmf_sampler.py [--draws 10000] [--repeats 100] [--check 100000] [--markdown]``
"""

from __future__ import annotations

import argparse
import importlib
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from _tables import Report, add_markdown_option
from scipy import stats
from torch.distributions import Normal

from curvi.distributions import PowerSpherical, VonMisesFisher

DIMENSIONS = [2, 3, 5, 10, 50]
CHECKED = [1.0, 10.5, 100.0, 1e4, 1e6]


class Sampler(ABC):
    """A way to draw; ``law`` is the one of ours with the same law, ``None`` for the Gaussian."""

    name: str
    law: Any = None
    gradient = True

    @abstractmethod
    def draw(self, loc: torch.Tensor, kappa: torch.Tensor) -> torch.Tensor:
        """A draw for each row of ``loc (n, m)`` and number of ``kappa (n,)``."""


class Gaussian(Sampler):
    """What a Euclidean latent space costs."""

    name = "torch Normal"

    def draw(self, loc: torch.Tensor, kappa: torch.Tensor) -> torch.Tensor:
        return Normal(loc, kappa[:, None], validate_args=False).rsample()


class Ours(Sampler):
    """A distribution of this package."""

    def __init__(self, law: Any) -> None:
        self.name, self.law = f"curvi {law.__name__}", law

    def draw(self, loc: torch.Tensor, kappa: torch.Tensor) -> torch.Tensor:
        return self.law(loc, kappa, validate_args=False).rsample()


class Scipy(Sampler):
    """Rejection in numpy, one law a call."""

    name, law, gradient = f"scipy {version('scipy')} vonmises_fisher", VonMisesFisher, False

    def draw(self, loc: torch.Tensor, kappa: torch.Tensor) -> torch.Tensor:
        law = stats.vonmises_fisher(loc[0].double().numpy(), float(kappa.median()))
        return torch.from_numpy(np.atleast_2d(law.rvs(len(loc), random_state=np.random.default_rng(0))))


class PowerSphericalPackage(Sampler):
    """The package of the authors of the power spherical distribution, by a Beta draw and a reflection."""

    name, law = "power_spherical", PowerSpherical

    def __init__(self) -> None:
        self._make = importlib.import_module("power_spherical").PowerSpherical
        self.name = f"power_spherical {version('power_spherical')}"

    def draw(self, loc: torch.Tensor, kappa: torch.Tensor) -> torch.Tensor:
        return self._make(loc, kappa, validate_args=False).rsample()


class HypersphericalVae(Sampler):
    """The package of the hyperspherical autoencoder, by rejection and a reflection."""

    name, law = "hyperspherical_vae", VonMisesFisher

    def __init__(self) -> None:
        self._make = importlib.import_module("hyperspherical_vae.distributions").VonMisesFisher

    def draw(self, loc: torch.Tensor, kappa: torch.Tensor) -> torch.Tensor:
        return self._make(loc, kappa[:, None], validate_args=False).rsample()


class TensorflowProbability(Sampler):
    """The substrate of TensorFlow Probability on JAX, compiled."""

    name, law, gradient = "TFP on JAX, vMF", VonMisesFisher, False

    def __init__(self) -> None:
        self._jax = importlib.import_module("jax")
        tfp = importlib.import_module("tensorflow_probability.substrates.jax")

        def sample(loc: Any, kappa: Any, key: Any) -> Any:
            return tfp.distributions.VonMisesFisher(loc, kappa).sample(seed=key)

        self._sample, self._calls = self._jax.jit(sample), 0

    def draw(self, loc: torch.Tensor, kappa: torch.Tensor) -> torch.Tensor:
        self._calls += 1
        key = self._jax.random.PRNGKey(self._calls)
        return torch.from_numpy(np.array(self._sample(loc.numpy(), kappa.numpy(), key)))


def samplers() -> list[Sampler]:
    """All that are installed."""
    found: list[Sampler] = [Gaussian(), Ours(VonMisesFisher), Ours(PowerSpherical)]
    for peer in (Scipy, PowerSphericalPackage, HypersphericalVae, TensorflowProbability):
        try:
            found.append(peer())
        except ImportError as missing:
            print(f"{peer.name}: left out, {missing}")
    return found


def run(sampler: Sampler, n: int, m: int) -> Callable[[], object]:
    """Draws with their gradients, where there are any."""
    loc = torch.nn.functional.normalize(torch.randn(n, m), dim=-1)
    kappa, grad = torch.logspace(0, 3, n)[torch.randperm(n)], torch.randn(n, m)
    if not sampler.gradient:
        return lambda: sampler.draw(loc, kappa)
    inputs = loc.requires_grad_(), kappa.requires_grad_()
    return lambda: torch.autograd.grad(sampler.draw(*inputs), inputs, grad)


def speed(report: Report, found: list[Sampler], n: int, repeats: int) -> None:
    """Medians of times in turn, and their ratios."""
    rows = []
    for m in DIMENSIONS:
        works, runs = [], []
        for sampler in found:
            try:
                work = run(sampler, n, m)
                work()
            except (ValueError, RuntimeError, NotImplementedError) as refused:
                print(f"{sampler.name}: left out at m = {m}, {str(refused).splitlines()[0]}")
                continue
            works.append(sampler)
            runs.append(work)
        seconds = np.empty((repeats, len(runs)))
        for i in range(-3, repeats):
            for j, work in enumerate(runs):
                start = time.perf_counter()
                work()
                if i >= 0:
                    seconds[i, j] = time.perf_counter() - start
        medians = dict(zip((sampler.name for sampler in works), np.median(seconds, 0), strict=True))
        for sampler in works:
            taken = medians[sampler.name]
            over_ours = f"{taken / medians[f'curvi {sampler.law.__name__}']:.2f}" if sampler.law else ""
            both = "forward + backward" if sampler.gradient else "forward only"
            over_gauss = f"{taken / medians[Gaussian.name]:.2f}"
            rows.append([str(m), sampler.name, both, f"{taken * 1e6:.0f}", over_gauss, over_ours])
    heads = ["m", "sampler", "what", "us", "over the Gaussian", "over ours of this law"]
    report.table(f"{n} draws, medians of {repeats} runs in turn", heads, rows)


def check(report: Report, found: list[Sampler], n: int) -> None:
    """Errors of the mean depth, of its gradient and of the lengths, worst over concentrations."""
    rows = []
    for m in DIMENSIONS:
        for sampler in found:
            if sampler.law is None:
                continue
            # By the number of standard errors: what is largest may be noise.
            depth, slope, length, finite = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0, True
            for concentration in CHECKED:
                loc = torch.nn.functional.normalize(torch.randn(1, m), dim=-1).expand(n, m)
                kappa = torch.full((n,), concentration, requires_grad=sampler.gradient)
                try:
                    z = sampler.draw(loc, kappa)
                except (ValueError, RuntimeError, NotImplementedError):
                    finite = False
                    continue
                exact = sampler.law(loc[0].double(), concentration)
                y = (z.detach().double() - loc.double()).square().sum(-1) / 2
                depth = max(depth, _error(y, float(exact.terms.shortfall)), key=lambda e: abs(e[2]))
                length = max(length, float((z.detach().double().norm(dim=-1) - 1).abs().max()))
                finite &= bool(torch.isfinite(z).all())
                if sampler.gradient:
                    (gradient,) = torch.autograd.grad((z * loc).sum(), kappa)
                    slope = max(slope, _error(gradient.double(), float(exact.terms.slope)), key=lambda e: abs(e[2]))
            cells = [f"{100 * depth[0]:+.2f} %", f"{depth[2]:+.1f}"]
            cells += [f"{100 * slope[0]:+.2f} %", f"{slope[2]:+.1f}"] if sampler.gradient else ["none", ""]
            rows.append([str(m), sampler.name, *cells, f"{length:.0e}", "yes" if finite else "no"])
    heads = ["m", "sampler", "E[1 - w]", "in s.e.", "its gradient", "in s.e.", "length - 1", "all finite"]
    title = f"Errors in float32, of {n} draws, worst over kappa = {', '.join(f'{k:g}' for k in CHECKED)}"
    report.table(title, heads, rows, "Within three standard errors (s.e.) an error is noise.")


def _error(values: torch.Tensor, truth: float) -> tuple[float, float, float]:
    """The relative error of a mean, its standard error, and their ratio."""
    error, spread = float(values.mean()) / truth - 1, float(values.std()) / len(values) ** 0.5 / truth
    return error, spread, error / spread if spread > 0 else float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--check", type=int, default=100_000, help="draws behind the errors")
    add_markdown_option(parser, "vmf_sampler")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    report = Report("Samplers on the sphere", "python benchmarks/vmf_sampler.py")
    found = samplers()
    speed(report, found, options.draws, options.repeats)
    check(report, found, options.check)
    report.write(options.markdown)


if __name__ == "__main__":
    main()
