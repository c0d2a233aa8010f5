"""Densities on manifolds, as subclasses of :class:`torch.distributions.Distribution` with one event dimension."""

from curvi.distributions import _divergence  # noqa: F401
from curvi.distributions._delta import Delta, ImproperUniform
from curvi.distributions._hyperspherical_uniform import HypersphericalUniform
from curvi.distributions._joint import Joint, split_draws
from curvi.distributions._mixture import Mixture
from curvi.distributions._power_spherical import PowerSpherical
from curvi.distributions._von_mises_fisher import VonMisesFisher
from curvi.distributions._wrapped_normal import WrappedNormal, tangent_coordinates
from curvi.distributions._zonal import Zonal

__all__ = [
    "Delta",
    "HypersphericalUniform",
    "ImproperUniform",
    "Joint",
    "Mixture",
    "PowerSpherical",
    "VonMisesFisher",
    "WrappedNormal",
    "Zonal",
    "split_draws",
    "tangent_coordinates",
]
