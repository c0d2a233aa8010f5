"""The hypersphere with a posterior of a mean direction and a concentration, and the uniform prior."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import log
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Size, Tensor
from torch.nn import functional

from curvi.distributions import HypersphericalUniform, PowerSpherical, VonMisesFisher, Zonal
from curvi.latent._base import LatentSpace, named_parameters
from curvi.latent._codes import Array, parameters_of
from curvi.latent._spherical_kernel import code_gradient_rows, code_rows
from curvi.manifolds import Sphere

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Directed = TypeVar("Directed", bound=Zonal)

# Beyond this the posterior is a point for float32, whose smallest angle apart from 1 is about 1e-3.5 = exp(-8).
_LOG_CONCENTRATION_RANGE = (log(1e-4), log(1e7))

# That of the original scPhere.
_MOST = 1e4


def _exponential(raw: Tensor, start: float) -> Tensor:
    # hardtanh is a clamp whose gradient costs one call.
    return torch.exp(functional.hardtanh(raw + log(start), *_LOG_CONCENTRATION_RANGE))


def _softplus(raw: Tensor, _start: float) -> Tensor:
    return (functional.softplus(raw) + 1.0).clamp(max=_MOST)


_SCALES: dict[str, Callable[[Tensor, float], Tensor]] = {"log": _exponential, "softplus": _softplus}


class SphericalLatent(LatentSpace[Directed], ABC):
    r"""Unit sphere :math:`S^d` in :math:`\mathbb{R}^{d+1}` with a mean direction and a concentration for each cell.

    The first ``dim + 1`` raw numbers are normalised to the mean direction :math:`\mu`; the last one is the
    concentration on a log scale, :math:`\kappa = \kappa_0 e^{r}`, limited to [1e-4, 1e7]. The prior is uniform on the
    sphere. The decoder is given the points times the radius, 1 by default.

    Parameters
    ----------
    dim
        Intrinsic dimension :math:`d \ge 1`: 1 is the circle, 2 the globe.
    concentration_scale
        ``"log"``, or ``"softplus"`` for :math:`\kappa = \min(\mathrm{softplus}(r) + 1, 10^4)` as in the original
        scPhere :cite:p:`Ding2021`. On the log scale Adam moves :math:`\kappa` by constant *ratios*, so that it reaches
        the hundreds and thousands which well-separated cells call for.
    initial_concentration
        :math:`\kappa_0 > 0`, what a raw 0 means on the log scale.
    curvature, learn_curvature
        Curvature :math:`c > 0` of the sphere, whose radius is :math:`1 / \sqrt{c}`, and whether it is learned. The
        points are unit rows whatever it is; distances are in its units. A decoder that normalises its first layer
        before the activation, as by default, does not notice the size of a sphere that is its only input; in a product
        the sizes of the parts count.
    """

    has_prior = True
    manifold: Sphere

    def __init__(
        self,
        dim: int,
        *,
        concentration_scale: str = "log",
        initial_concentration: float = 10.0,
        curvature: float = 1.0,
        learn_curvature: bool = False,
    ) -> None:
        super().__init__()
        if concentration_scale not in _SCALES:
            known = ", ".join(map(repr, _SCALES))
            raise ValueError(f"unknown `concentration_scale` {concentration_scale!r}; the known names are {known}.")
        if not initial_concentration > 0:
            raise ValueError(f"`initial_concentration` is {initial_concentration}; it must be positive.")
        self.manifold = Sphere(dim, curvature, learn_curvature=learn_curvature)
        self.n_params = dim + 2
        self.n_coordinates = dim + 1
        self.concentration_scale = concentration_scale
        self.initial_concentration = initial_concentration

    @abstractmethod
    def _posterior(self, loc: Tensor, concentration: Tensor) -> Directed:
        """The distribution around unit rows ``loc (..., dim + 1)`` with concentrations ``(...)``."""

    def forward(self, raw: Tensor) -> Directed:
        """The posterior of raw codes ``(..., dim + 2)``."""
        return self._posterior(*parameters_of(self, raw))

    def _by_operations(self, raw: Tensor, curvature: Tensor | None) -> tuple[Tensor, Tensor]:
        direction, size = raw.split([self.n_params - 1, 1], dim=-1)
        concentration = _SCALES[self.concentration_scale](size.squeeze(-1), self.initial_concentration)
        return self.manifold.project(direction), concentration

    def _by_rows(self, raw: Array, curvature: float) -> tuple[Array, Array, Any]:
        n, m = len(raw), self.n_params - 1
        loc, concentration = np.empty((n, m), raw.dtype), np.empty(n, raw.dtype)
        by_length, slope = np.empty((2, n))
        logarithmic = self.concentration_scale == "log"
        start = log(self.initial_concentration) if logarithmic else 1.0
        low, high = _LOG_CONCENTRATION_RANGE if logarithmic else (1.0, _MOST)
        code_rows(raw, logarithmic, start, low, high, loc, concentration, by_length, slope)
        return loc, concentration, (by_length, slope)

    def _back_by_rows(self, first: Array, kept: Any, in_first: Array, in_second: Array) -> tuple[Array, float]:
        in_raw = np.empty((len(first), self.n_params), in_first.dtype)
        code_gradient_rows(first, *kept, in_first, in_second[:, 0], in_raw)
        return in_raw, 0.0

    def prior(self, batch_shape: Size = Size()) -> HypersphericalUniform:
        """The uniform distribution on the sphere."""
        origin = self.manifold.origin
        return HypersphericalUniform(
            self.manifold.dim, batch_shape, dtype=origin.dtype, device=origin.device, validate_args=False
        )

    def location(self, posterior: Directed) -> Tensor:
        """The mean direction, ``(..., dim + 1)``."""
        return posterior.loc

    def posterior_parameters(self, posterior: Directed) -> dict[str, Tensor]:
        """``loc (..., dim + 1)`` and ``concentration (...)``."""
        return {"loc": posterior.loc, "concentration": posterior.concentration}

    def posterior(self, parameters: Mapping[str, Tensor]) -> Directed:
        """The posterior around unit rows ``loc (..., dim + 1)`` with ``concentration (...)``."""
        loc, concentration = named_parameters(parameters, "loc", "concentration")
        return self._posterior(loc, concentration)

    def coordinates(self, z: Tensor) -> Tensor:
        """The unit rows ``(..., dim + 1)`` times the radius."""
        return self.manifold.scaled(z)


class VonMisesFisherLatent(SphericalLatent[VonMisesFisher], name="vmf"):
    r"""Sphere with :math:`q(z \mid x) = \mathrm{vMF}(\mu, \kappa)`; the arguments are those of its base.

    Examples
    --------
    >>> import torch
    >>> space = VonMisesFisherLatent(2)
    >>> q = space(torch.randn(5, space.n_params))
    >>> q.rsample().shape, torch.distributions.kl_divergence(q, space.prior()).shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    def _posterior(self, loc: Tensor, concentration: Tensor) -> VonMisesFisher:
        return VonMisesFisher(loc, concentration, validate_args=False)


class PowerSphericalLatent(SphericalLatent[PowerSpherical], name="power_spherical"):
    r"""Sphere with a power spherical :math:`q(z \mid x) \propto (1 + \langle\mu, z\rangle)^\kappa`.

    A concentration :math:`\kappa` is about as narrow as half of it of a von Mises-Fisher distribution
    :cite:p:`DeCao2020`; the arguments are those of its base.

    Examples
    --------
    >>> import torch
    >>> space = PowerSphericalLatent(2, initial_concentration=20.0)
    >>> space(torch.randn(5, space.n_params)).rsample().shape
    torch.Size([5, 3])
    """

    def _posterior(self, loc: Tensor, concentration: Tensor) -> PowerSpherical:
        return PowerSpherical(loc, concentration, validate_args=False)
