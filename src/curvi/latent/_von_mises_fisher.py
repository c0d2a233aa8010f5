"""The hypersphere with a von Mises-Fisher posterior and the uniform prior."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import torch
from torch import Size, Tensor
from torch.nn import functional

from curvi.distributions import HypersphericalUniform, VonMisesFisher
from curvi.latent._base import LatentSpace
from curvi.manifolds import Sphere

if TYPE_CHECKING:
    from collections.abc import Callable


# Beyond this the posterior is a point for float32, whose smallest angle apart from 1 is about 1e-3.5 = exp(-8).
_LOG_CONCENTRATION_RANGE = (log(1e-4), log(1e7))


def _exponential(raw: Tensor, start: float) -> Tensor:
    return torch.exp((raw + log(start)).clamp(*_LOG_CONCENTRATION_RANGE))


def _softplus(raw: Tensor, _start: float) -> Tensor:
    return (functional.softplus(raw) + 1.0).clamp(max=1e4)


_SCALES: dict[str, Callable[[Tensor, float], Tensor]] = {"log": _exponential, "softplus": _softplus}


class VonMisesFisherLatent(LatentSpace[VonMisesFisher], name="vmf"):
    r"""Unit sphere :math:`S^d` in :math:`\mathbb{R}^{d+1}` with :math:`q(z \mid x) = \mathrm{vMF}(\mu, \kappa)`.

    The first ``dim + 1`` raw numbers are normalised to the mean direction :math:`\mu`; the last one is the
    concentration on a log scale, :math:`\kappa = \kappa_0 e^{r}`, limited to [1e-4, 1e7]. The prior is uniform on the
    sphere.

    Parameters
    ----------
    dim
        Intrinsic dimension :math:`d \ge 1`: 1 is the circle, 2 the globe.
    concentration_scale
        ``"log"``, or ``"softplus"`` for :math:`\kappa = \min(\mathrm{softplus}(r) + 1, 10^4)` as in the original
        scPhere :cite:p:`Ding2021`. On the log scale Adam moves :math:`\kappa` by constant *ratios*, so that it
        reaches the
        hundreds and thousands which well-separated cells call for.
    initial_concentration
        :math:`\kappa_0 > 0`, what a raw 0 means on the log scale.

    Examples
    --------
    >>> import torch
    >>> space = VonMisesFisherLatent(2)
    >>> q = space(torch.randn(5, space.n_params))
    >>> q.rsample().shape, torch.distributions.kl_divergence(q, space.prior()).shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    has_prior = True

    def __init__(self, dim: int, *, concentration_scale: str = "log", initial_concentration: float = 10.0) -> None:
        super().__init__()
        if concentration_scale not in _SCALES:
            known = ", ".join(map(repr, _SCALES))
            raise ValueError(f"unknown `concentration_scale` {concentration_scale!r}; the known names are {known}.")
        if not initial_concentration > 0:
            raise ValueError(f"`initial_concentration` is {initial_concentration}; it must be positive.")
        self.manifold = Sphere(dim)
        self.n_params = dim + 2
        self.n_coordinates = dim + 1
        self.concentration_scale = concentration_scale
        self.initial_concentration = initial_concentration

    def forward(self, raw: Tensor) -> VonMisesFisher:
        """The posterior of raw codes ``(..., dim + 2)``."""
        loc = self.manifold.project(raw[..., :-1])
        concentration = _SCALES[self.concentration_scale](raw[..., -1], self.initial_concentration)
        return VonMisesFisher(loc, concentration, validate_args=False)

    def prior(self, batch_shape: Size = Size()) -> HypersphericalUniform:
        """The uniform distribution on the sphere."""
        origin = self.manifold.origin
        return HypersphericalUniform(
            self.manifold.dim, batch_shape, dtype=origin.dtype, device=origin.device, validate_args=False
        )

    def location(self, posterior: VonMisesFisher) -> Tensor:
        """The mean direction, ``(..., dim + 1)``."""
        return posterior.loc

    def posterior_parameters(self, posterior: VonMisesFisher) -> dict[str, Tensor]:
        """``loc (..., dim + 1)`` and ``concentration (...)``."""
        return {"loc": posterior.loc, "concentration": posterior.concentration}

    def coordinates(self, z: Tensor) -> Tensor:
        """The unit vectors themselves, ``(..., dim + 1)``."""
        return z
