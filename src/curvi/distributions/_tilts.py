r"""The laws of a depth: what a density on the sphere that only depends on the depth below a pole is multiplied by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import pi
from typing import TYPE_CHECKING, Any, ClassVar

from curvi.distributions import _bessel, _beta
from curvi.distributions._arrays import LIMIT

if TYPE_CHECKING:
    from torch import Tensor


class Tilt(ABC):
    r"""Depths :math:`y = 1 - \langle\mu, z\rangle \in [0, 2]` with a density away from that of the uniform law.

    .. math::
        p(y) \propto e^{-\kappa U(y)} (y (2 - y))^{(m - 3) / 2}

    with a potential :math:`U` that grows from :math:`U(0) = 0`. All arrays are of the library ``xp``; ``m`` is the
    ambient dimension.
    """

    is_power: ClassVar[bool]
    """Which of the two laws that the compiled passes know."""

    @abstractmethod
    def known_of_potential(self, m: int, kappa: Tensor) -> tuple[Any, float, int]:
        """What the compiled passes make the mean potential of, on the CPU: numbers, an order and a count of steps."""

    @abstractmethod
    def mean_potential(self, m: int, kappa: Tensor) -> Tensor:
        """The expectation of the potential, in the shape and dtype of ``kappa``."""

    @abstractmethod
    def rise(self, xp: Any, y: Any, delta: Any) -> Any:
        """U(y + delta) - U(y); it may be ``delta`` itself."""

    @abstractmethod
    def envelope(self, xp: Any, m: int, kappa: Any) -> tuple[Any, Any, Any]:
        """The gamma in [0, 1) and the middle 1 - gamma of proposals middle (1 - r) / (1 + gamma r), and a factor.

        From the coordinate r of a uniform point such a proposal is a draw of the spherical Cauchy law. This gamma makes
        the ratio of the densities largest at r = 0, where the least of these maxima over gamma is.
        """

    @abstractmethod
    def gain(self, xp: Any, middle: Any, factor: Any, shape: Any) -> Any:
        """-kappa (U(y) - U(middle)) for the proposal y with ``shape`` r / (1 + gamma r)."""

    @abstractmethod
    def mode(self, xp: Any, m: int, kappa: Any) -> tuple[Any, Any]:
        """The depth of the mode in the angle, for m of at least 4, and the curvature of the log-density there."""

    @abstractmethod
    def end_on_the_circle(self, xp: Any, kappa: Any, angle: Any, reach: float) -> Any:
        """Up to which angle to integrate from ``angle``, on the circle, to reach so many standard deviations."""

    @abstractmethod
    def on_the_globe(self, xp: Any, kappa: Any, u: Any) -> Any:
        """The depth with probability ``u``, in [0, 1), on the globe."""

    @abstractmethod
    def slope_on_the_globe(self, xp: Any, kappa: Any, y: Any) -> Any:
        """The derivative of :meth:`on_the_globe` in kappa at the depth ``y``."""


class Exponential(Tilt):
    """The von Mises-Fisher law: the potential is the depth."""

    is_power = False

    def known_of_potential(self, m: int, kappa: Tensor) -> tuple[Any, float, int]:
        """The expansion."""
        return _bessel.expansion_of_shortfall(m, kappa.dtype)

    def mean_potential(self, m: int, kappa: Tensor) -> Tensor:
        """One less the mean resultant length."""
        return _bessel.shortfall(m, kappa)

    def rise(self, xp: Any, y: Any, delta: Any) -> Any:
        """The difference of the depths."""
        return delta

    def envelope(self, xp: Any, m: int, kappa: Any) -> tuple[Any, Any, Any]:
        """That of :cite:t:`Ulrich1984`."""
        d = m - 1
        b = d / (2 * kappa + xp.sqrt(4 * kappa * kappa + d * d))
        middle = 2 * b / (1 + b)
        return (1 - b) / (1 + b), middle, 2 * kappa * middle / (1 + b)

    def gain(self, xp: Any, middle: Any, factor: Any, shape: Any) -> Any:
        """Proportional to the shape."""
        return factor * shape

    def mode(self, xp: Any, m: int, kappa: Any) -> tuple[Any, Any]:
        """Where kappa sin^2 = (m - 2) cos."""
        d = m - 2
        root = xp.sqrt(4 * kappa * kappa + d * d)
        peak = (d + root) / 2
        return d * (1 + d / (root + 2 * kappa)) / (2 * peak), kappa * (kappa / peak) + peak

    def end_on_the_circle(self, xp: Any, kappa: Any, angle: Any, reach: float) -> Any:
        """Away from the mode."""
        return xp.clip(angle + reach / xp.sqrt(kappa + 1e-30), 0.0, pi)

    def on_the_globe(self, xp: Any, kappa: Any, u: Any) -> Any:
        """-log(1 - u (1 - exp(-2 kappa))) / kappa."""
        kappa = xp.clip(kappa, 1e-30, None)
        return xp.clip(-xp.log1p(u * xp.expm1(-2 * kappa)) / kappa, 0, 2)

    def slope_on_the_globe(self, xp: Any, kappa: Any, y: Any) -> Any:
        """(2 exp(-kappa (2 - y)) expm1(-kappa y) / expm1(-2 kappa) - y) / kappa, and its expansion near 0."""
        limit = xp.finfo(y.dtype).eps ** (1 / 3)
        k = xp.clip(kappa, limit, None)
        quotient = (2 * xp.exp(-k * (2 - y)) * xp.expm1(-k * y) / xp.expm1(-2 * k) - y) / k
        return xp.where(kappa > limit, quotient, y * (y - 2) * (0.5 + kappa * (y - 1) / 6))


class Power(Tilt):
    """The power spherical law: half the depth has a Beta law, and the potential is -log(1 - y / 2)."""

    is_power = True

    def known_of_potential(self, m: int, kappa: Tensor) -> tuple[Any, float, int]:
        """The mean potential itself."""
        return _beta.mean_potential(m, kappa.clamp_max(LIMIT)).double().numpy(), 0.0, 0

    def mean_potential(self, m: int, kappa: Tensor) -> Tensor:
        """The difference of two digamma functions."""
        return _beta.mean_potential(m, kappa)

    def rise(self, xp: Any, y: Any, delta: Any) -> Any:
        """-log(1 - delta / (2 - y)), with a little more than 2, which keeps it finite at the antipode."""
        return -xp.log1p(delta / (y - (2 + 4 * xp.finfo(delta.dtype).eps)))

    def envelope(self, xp: Any, m: int, kappa: Any) -> tuple[Any, Any, Any]:
        """The middle is the mean depth."""
        d = m - 1
        return kappa / (kappa + d), d / (kappa + d), kappa

    def gain(self, xp: Any, middle: Any, factor: Any, shape: Any) -> Any:
        """Kappa log((1 + r) / (1 + gamma r)), without cancellation at large kappa."""
        return factor * xp.log1p(middle * shape)

    def mode(self, xp: Any, m: int, kappa: Any) -> tuple[Any, Any]:
        """Where kappa tan^2(angle / 2) = (m - 2) (1 - tan^2(angle / 2)) / 2."""
        return (m - 2) / (kappa + (m - 2)), kappa + (m - 2)

    def end_on_the_circle(self, xp: Any, kappa: Any, angle: Any, reach: float) -> Any:
        """Away from the mode or, where the potential at the antipode would matter, back to it."""
        width = reach / xp.sqrt(kappa / 2 + 1e-30)
        return xp.where(angle * xp.sqrt(kappa + 1) < 2.8, 0.0, xp.clip(angle + width, 0.0, pi))

    def on_the_globe(self, xp: Any, kappa: Any, u: Any) -> Any:
        """2 (1 - (1 - u)^(1 / (1 + kappa)))."""
        return -2 * xp.expm1(xp.log1p(-u) / (1 + kappa))

    def slope_on_the_globe(self, xp: Any, kappa: Any, y: Any) -> Any:
        """(2 - y) log(1 - y / 2) / (1 + kappa)."""
        y = xp.clip(y, 0, 2 - 2 * xp.finfo(y.dtype).eps)
        return (2 - y) * xp.log1p(-y / 2) / (1 + kappa)


EXPONENTIAL, POWER = Exponential(), Power()
