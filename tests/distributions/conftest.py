"""What the tests of the distributions share: two libraries, exact normalisers, the law of a von Mises-Fisher depth."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import mpmath
import numpy as np
import pytest
import torch
from numpy.polynomial.legendre import leggauss

from curvi.distributions import _around, _arrays, _bessel, _depth

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=["numpy", "torch"])
def library(request, monkeypatch) -> str:
    """Both ways to compute: that of the CPU, and that of other devices."""
    if request.param == "torch":
        for module in (_around, _arrays, _bessel, _depth):
            monkeypatch.setattr(module, "library", lambda _device: torch)
    return request.param


@pytest.fixture(scope="session")
def depth_law() -> Callable[[int, float], _DepthLaw]:
    """The law of y = 1 - <mu, z> for a dimension and a concentration."""
    return cache(_DepthLaw)


@pytest.fixture(scope="session")
def exact() -> Callable[[int, float], dict[str, mpmath.mpf]]:
    """Phi, A and what belongs to them for a dimension and a concentration, to 60 digits."""
    return cache(_exact)


class _DepthLaw:
    """The law of y = 1 - <mu, z> by quadrature in the angle, in float64."""

    def __init__(self, m: int, kappa: float, n: int = 40_001) -> None:
        d = m - 2
        peak = (d + np.sqrt(d * d + 4 * kappa * kappa)) / 2
        mode = np.arccos(kappa / peak)
        width = 14 / np.sqrt(kappa * kappa / peak + (peak if d else 0))
        self.m, self.kappa = m, kappa
        self.angle = np.linspace(max(1e-12, mode - width), min(np.pi - 1e-12, mode + width), n)
        self.density = np.exp(self._log(self.angle) - self._log(self.angle).max())
        step = np.diff(self.angle)
        steps = (self.density[1:] + self.density[:-1]) / 2 * step
        self.density /= steps.sum()
        self.cdf = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()

    def _log(self, angle: np.ndarray) -> np.ndarray:
        return -2 * self.kappa * np.sin(angle / 2) ** 2 + (self.m - 2) * np.log(np.sin(angle))

    def mean(self, function) -> float:
        """The expectation of a function of w = <mu, z>."""
        return float(np.trapezoid(function(np.cos(self.angle)) * self.density, self.angle))

    def probability(self, depth: np.ndarray) -> np.ndarray:
        """The distribution function at depths."""
        return np.interp(2 * np.arcsin(np.sqrt(np.minimum(depth / 2, 1))), self.angle, self.cdf)

    def slope(self, depth: np.ndarray, shortfall: float) -> np.ndarray:
        """dy/dkappa at fixed probability, by a rule of 200 nodes on the side of each depth away from the mode."""
        angle = 2 * np.arcsin(np.sqrt(depth / 2))
        mode = self.angle[self.density.argmax()]
        end = np.where(angle > mode, self.angle[-1], self.angle[0])
        x, w = leggauss(200)
        nodes = angle + (end - angle) * (x[:, None] + 1) / 2
        inner = (shortfall - 2 * np.sin(nodes / 2) ** 2) * np.exp(self._log(nodes) - self._log(angle))
        return np.sin(angle) * (w @ inner) / 2 * (end - angle)


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
