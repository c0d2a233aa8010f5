"""Hyperbolic space with a wrapped normal posterior and the standard wrapped normal prior, in two charts."""

from __future__ import annotations

from abc import ABC
from math import log
from typing import TYPE_CHECKING, Any

import torch
from torch import Size, Tensor, nn
from torch.nn import functional

from curvi.distributions import WrappedNormal, tangent_coordinates
from curvi.latent._base import LatentSpace, named_parameters
from curvi.manifolds import Lorentz, Poincare
from curvi.manifolds._kernel import Kernel, dot, evaluate
from curvi.manifolds._radial import asinh

if TYPE_CHECKING:
    from collections.abc import Mapping

    from curvi.manifolds import Hyperbolic

# In units of the radius of curvature: up to here float32 keeps distances between points to 1e-4.
_REACH = 7.0
# The least variance keeps the density of a draw finite, the greatest leaves draws where float32 has points.
_VARIANCE_FLOOR = 1e-4
_LOG_VARIANCE_LIMIT = 2 * log(2.0)


def _within_reach(xp: Any, dtype: torch.dtype, v: Any) -> Any:
    share = (1 + dot(xp, v, v) / _REACH**2) ** -0.5
    return (share * v,), (v, share)


def _within_reach_backward(xp: Any, v: Any, share: Any, g: Any) -> Any:
    return (share * g - (share**3 * dot(xp, g, v) / _REACH**2) * v,)


_WITHIN_REACH = Kernel(_within_reach, _within_reach_backward)


class WrappedNormalLatent(LatentSpace[WrappedNormal], ABC):
    r"""Hyperbolic space :math:`\mathbb{H}^d` with a wrapped normal posterior for each cell.

    The first ``dim`` raw numbers are the tangent coordinates of the location at the origin, their length limited
    smoothly, :math:`r / \sqrt{1 + (r / 7)^2}` in units of the radius of curvature, to where float32 keeps distances;
    the others are :math:`\log(\sigma^2 - 10^{-4})`, limited to a standard deviation of 2. The prior is the wrapped
    normal of scale 1 at the origin :cite:p:`Nagano2019`. There is no closed divergence between the two: it is estimated
    from the draw that is decoded.

    The decoder is given tangent coordinates at the origin, and how far the point lies from learned hyperplanes,
    :math:`\operatorname{arsinh}(\sqrt{c} \langle w, z \rangle) / \sqrt{c}` with the point on the hyperboloid: what
    linear functions are to flat space :cite:p:`Ganea2018,Mathieu2019`. Tangent coordinates alone crowd far points
    together, whose angles hardly differ.

    Parameters
    ----------
    manifold
        The space in one of its charts.
    n_hyperplanes
        How many hyperplanes there are; 0 leaves tangent coordinates only.
    """

    has_prior = True
    manifold: Hyperbolic
    _one: Tensor

    def __init__(self, manifold: Hyperbolic, n_hyperplanes: int) -> None:
        super().__init__()
        if n_hyperplanes < 0:
            raise ValueError(f"`n_hyperplanes` is {n_hyperplanes}; it must be 0 or more.")
        self.manifold = manifold
        self.n_params = 2 * manifold.dim
        self.n_coordinates = manifold.dim + n_hyperplanes
        self.register_buffer("_one", torch.ones(manifold.dim), persistent=False)
        # Normal vectors in all directions, the distances from the origin to either side of it and about 1/2.
        orientation = torch.randn(n_hyperplanes, manifold.dim) / manifold.dim**0.5
        self.hyperplanes = nn.Parameter(torch.cat([torch.randn(n_hyperplanes, 1) / 2, orientation], -1))

    def forward(self, raw: Tensor) -> WrappedNormal:
        """The posterior of raw codes ``(..., 2 dim)``."""
        code, log_variance = raw.chunk(2, dim=-1)
        mean = evaluate(_WITHIN_REACH, self.manifold.curvature, code)
        scale = torch.sqrt(torch.exp(log_variance.clamp_max(_LOG_VARIANCE_LIMIT)) + _VARIANCE_FLOOR)
        return self.posterior({"tangent_loc": mean, "scale": scale})

    def prior(self, batch_shape: Size = Size()) -> WrappedNormal:
        """The wrapped normal distribution of scale 1 at the origin."""
        scale = self._one.expand(*batch_shape, self.manifold.dim)
        return WrappedNormal.at_origin(self.manifold, scale, validate_args=False)

    def location(self, posterior: WrappedNormal) -> Tensor:
        """The point that the tangent normal is wrapped around, ``(..., ambient_dim)``."""
        return posterior.loc

    def posterior_parameters(self, posterior: WrappedNormal) -> dict[str, Tensor]:
        """``loc (..., ambient_dim)``, ``tangent_loc (..., dim)`` and ``scale (..., dim)``.

        The second are the coordinates of the first at the origin, which the posterior is made of: a point in float32
        does not say them to the last digit.
        """
        return {"loc": posterior.loc, "tangent_loc": posterior.tangent_loc, "scale": posterior.scale}

    def posterior(self, parameters: Mapping[str, Tensor]) -> WrappedNormal:
        """The posterior around the point of coordinates ``tangent_loc (..., dim)``, with ``scale (..., dim)``."""
        mean, scale = named_parameters(parameters, "tangent_loc", "scale")
        return WrappedNormal.from_tangent(self.manifold, mean, scale, validate_args=False)

    def coordinates(self, z: Tensor) -> Tensor:
        """Tangent coordinates at the origin and distances to the hyperplanes, ``(..., n_coordinates)``."""
        tangent = tangent_coordinates(self.manifold, z)
        if len(self.hyperplanes) == 0:
            return tangent
        radius = self.manifold.radius
        height = functional.linear(self.manifold.to_lorentz(z), self.hyperplanes / radius)
        return torch.cat([tangent, radius * asinh(height)], -1)


class LorentzLatent(WrappedNormalLatent, name="lorentz"):
    r"""Hyperbolic space on the hyperboloid, points ``(..., dim + 1)``.

    Parameters
    ----------
    dim
        Intrinsic dimension :math:`d \ge 1`.
    curvature, learn_curvature
        The magnitude :math:`c > 0` of the curvature :math:`-c`, and whether it is learned.
    n_hyperplanes
        Hyperplanes whose distances the decoder is given, at least 0.

    Examples
    --------
    >>> import torch
    >>> space = LorentzLatent(2)
    >>> space(torch.randn(5, space.n_params)).rsample().shape
    torch.Size([5, 3])
    """

    def __init__(
        self, dim: int, *, curvature: float = 1.0, learn_curvature: bool = False, n_hyperplanes: int = 64
    ) -> None:
        super().__init__(Lorentz(dim, curvature, learn_curvature=learn_curvature), n_hyperplanes)


class PoincareLatent(WrappedNormalLatent, name="poincare"):
    r"""Hyperbolic space in the Poincare ball, points ``(..., dim)``: in two dimensions, a disk to look at.

    Parameters
    ----------
    dim
        Intrinsic dimension :math:`d \ge 1`.
    curvature, learn_curvature
        The magnitude :math:`c > 0` of the curvature :math:`-c`, and whether it is learned.
    n_hyperplanes
        Hyperplanes whose distances the decoder is given, at least 0.

    Examples
    --------
    >>> import torch
    >>> space = PoincareLatent(2)
    >>> space(torch.randn(5, space.n_params)).rsample().shape
    torch.Size([5, 2])
    """

    def __init__(
        self, dim: int, *, curvature: float = 1.0, learn_curvature: bool = False, n_hyperplanes: int = 64
    ) -> None:
        super().__init__(Poincare(dim, curvature, learn_curvature=learn_curvature), n_hyperplanes)
