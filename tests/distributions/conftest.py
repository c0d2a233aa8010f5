"""What the tests of the distributions share: two libraries, exact normalisers, the laws of a depth."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

import mpmath
import numpy as np
import pytest
import torch
from numpy.polynomial.legendre import leggauss

from curvi.distributions import _around, _arrays, _bessel, _beta, _depth
from curvi.distributions._tilts import EXPONENTIAL, POWER

if TYPE_CHECKING:
    from collections.abc import Callable

    from curvi.distributions._tilts import Tilt


@pytest.fixture(params=["compiled", "numpy", "torch"])
def library(request, monkeypatch) -> str:
    """All ways to compute: those of the CPU, with few numbers and with many, and that of other devices."""
    monkeypatch.setattr(_arrays, "FEW", sys.maxsize if request.param == "compiled" else 0)
    if request.param == "torch":
        for module in (_around, _arrays, _bessel, _beta, _depth):
            monkeypatch.setattr(module, "library", lambda _device: torch)
    return request.param


@pytest.fixture(params=["exponential", "power"])
def tilt(request) -> Tilt:
    """Each law of a depth."""
    return {"exponential": EXPONENTIAL, "power": POWER}[request.param]


@pytest.fixture(scope="session")
def depth_law() -> Callable[[Tilt, int, float], _DepthLaw]:
    """The law of y = 1 - <mu, z> for a tilt, a dimension and a concentration."""
    return cache(_DepthLaw)


@pytest.fixture(scope="session")
def exact() -> Callable[[int, float], dict[str, mpmath.mpf]]:
    """Phi, A and what belongs to them for a dimension and a concentration, to 60 digits."""
    return cache(_exact)


@pytest.fixture(scope="session")
def exact_power() -> Callable[[int, float], dict[str, mpmath.mpf]]:
    """F and what belongs to it for a dimension and a concentration, to 60 digits."""
    return cache(_exact_power)


class _DepthLaw:
    """The law of y = 1 - <mu, z> by quadrature in the angle, in float64."""

    def __init__(self, tilt: Tilt, m: int, kappa: float, n: int = 40_001) -> None:
        d = m - 2
        if tilt is EXPONENTIAL:
            peak = (d + np.sqrt(d * d + 4 * kappa * kappa)) / 2
            mode, curvature = np.arccos(kappa / peak), kappa * kappa / peak + (peak if d else 0)
            mean = float(_exact(m, kappa)["shortfall"])
        else:
            mode, curvature = 2 * np.arctan(np.sqrt(d / (d + 2 * kappa))), d + kappa if d else kappa / 2
            mean = float(_exact_power(m, kappa)["potential"])
        width = 14 / np.sqrt(curvature)
        self.tilt, self.m, self.kappa, self.mean_potential = tilt, m, kappa, mean
        # Denser towards the ends: at the antipode the potential may be infinite.
        low, high = max(1e-12, mode - width), min(np.pi - 1e-12, mode + width)
        self.angle = low + (high - low) * np.sin(np.linspace(0, np.pi / 2, n)) ** 2
        self.density = np.exp(self._log(self.angle) - self._log(self.angle).max())
        step = np.diff(self.angle)
        steps = (self.density[1:] + self.density[:-1]) / 2 * step
        self.density /= steps.sum()
        self.cdf = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()

    def potential(self, angle: np.ndarray) -> np.ndarray:
        """U at angles."""
        return 2 * np.sin(angle / 2) ** 2 if self.tilt is EXPONENTIAL else -2 * np.log(np.cos(angle / 2))

    def _log(self, angle: np.ndarray) -> np.ndarray:
        return -self.kappa * self.potential(angle) + (self.m - 2) * np.log(np.sin(angle))

    def mean(self, values: np.ndarray) -> float:
        """The expectation of values at the angles."""
        return float(np.trapezoid(values * self.density, self.angle))

    def probability(self, depth: np.ndarray) -> np.ndarray:
        """The distribution function at depths."""
        return np.interp(2 * np.arcsin(np.sqrt(np.minimum(depth / 2, 1))), self.angle, self.cdf)

    def slope(self, depth: np.ndarray) -> np.ndarray:
        """dy/dkappa at fixed probability, by a rule of 400 nodes on the side of each depth away from the mode."""
        angle = 2 * np.arcsin(np.sqrt(depth / 2))
        mode = self.angle[self.density.argmax()]
        end = np.where(angle > mode, self.angle[-1], self.angle[0])
        x, w = leggauss(400)
        # Denser towards the far end, where a logarithm may become infinite.
        x, w = (1 - ((1 - x) / 2) ** 3)[:, None], 3 * w / 2 * ((1 - x) / 2) ** 2
        nodes = angle + (end - angle) * x
        inner = (self.mean_potential - self.potential(nodes)) * np.exp(self._log(nodes) - self._log(angle))
        return np.sin(angle) * (w @ inner) * (end - angle)


def _exact(m: int, kappa: float) -> dict[str, mpmath.mpf]:
    with mpmath.workdps(90):
        k, nu = mpmath.mpf(kappa), mpmath.mpf(m) / 2 - 1
        i0 = mpmath.besseli(nu, k)
        a = mpmath.besseli(nu + 1, k) / i0
        phi = mpmath.log(i0) + mpmath.loggamma(nu + 1) - nu * mpmath.log(k / 2)
        slope = 1 - a * a - (m - 1) * a / k
        return {
            "phi": phi,
            "gap": k - phi,
            "length": a,
            "shortfall": 1 - a,
            "slope": slope,
            "divergence": k * a - phi,
            "pull": k * slope,
        }


def _exact_power(m: int, kappa: float) -> dict[str, mpmath.mpf]:
    with mpmath.workdps(90):
        k, c = mpmath.mpf(kappa), mpmath.mpf(m - 1) / 2
        phi = mpmath.loggamma(c + k) - mpmath.loggamma(2 * c + k) - mpmath.loggamma(c) + mpmath.loggamma(2 * c)
        potential = mpmath.psi(0, 2 * c + k) - mpmath.psi(0, c + k)
        start = mpmath.psi(0, 2 * c) - mpmath.psi(0, c)
        variance = mpmath.psi(1, c + k) - mpmath.psi(1, 2 * c + k)
        return {
            "phi": phi,
            "potential": potential,
            "divergence": -k * potential - phi,
            "pull": k * variance,
            "variance": variance,
            "reverse": phi + k * start,
            "drop": start - potential,
            "length": k / (k + 2 * c),
            "shortfall": 2 * c / (k + 2 * c),
            "slope": 2 * c / (k + 2 * c) ** 2,
        }
