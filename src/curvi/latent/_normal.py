"""Euclidean space with a diagonal Gaussian posterior and the standard normal prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Size, Tensor
from torch.distributions import Independent, Normal

from curvi.latent._base import LatentSpace, named_parameters
from curvi.manifolds import Euclidean

if TYPE_CHECKING:
    from collections.abc import Mapping

# The least variance, as in scVI: it keeps the density of a draw finite.
_VARIANCE_FLOOR = 1e-4
# A standard deviation of 22,000 says no more about a cell than one of 100, and its square is far from overflow.
_LOG_VARIANCE_LIMIT = 20.0


class NormalLatent(LatentSpace[Independent], name="normal"):
    r"""Euclidean space :math:`\mathbb{R}^d` with :math:`q(z \mid x) = \mathcal{N}(\mu, \mathrm{diag}(\sigma^2))`.

    The first ``dim`` raw numbers are :math:`\mu`, the others :math:`\log(\sigma^2 - 10^{-4})`, as in scVI
    :cite:p:`Lopez2018`, but limited to at most 20. The prior is the standard normal distribution.

    Parameters
    ----------
    dim
        Dimension :math:`d \ge 1`.

    Examples
    --------
    >>> import torch
    >>> space = NormalLatent(10)
    >>> space(torch.randn(5, space.n_params)).rsample().shape
    torch.Size([5, 10])
    """

    has_prior = True

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.manifold = Euclidean(dim)
        self.n_params = 2 * dim
        self.n_coordinates = dim

    def forward(self, raw: Tensor) -> Independent:
        """The posterior of raw codes ``(..., 2 dim)``."""
        loc, log_variance = raw.chunk(2, dim=-1)
        scale = torch.sqrt(torch.exp(log_variance.clamp_max(_LOG_VARIANCE_LIMIT)) + _VARIANCE_FLOOR)
        return self.posterior({"loc": loc, "scale": scale})

    def prior(self, batch_shape: Size = Size()) -> Independent:
        """The standard normal distribution."""
        origin = self.manifold.origin
        loc = torch.zeros(*batch_shape, self.manifold.dim, dtype=origin.dtype, device=origin.device)
        return Independent(Normal(loc, torch.ones_like(loc), validate_args=False), 1, validate_args=False)

    def location(self, posterior: Independent) -> Tensor:
        """The mean, ``(..., dim)``."""
        return posterior.mean

    def posterior_parameters(self, posterior: Independent) -> dict[str, Tensor]:
        """``loc (..., dim)`` and ``scale (..., dim)``."""
        # Its own `stddev` would be the root of a square.
        return {"loc": posterior.mean, "scale": posterior.base_dist.stddev}

    def posterior(self, parameters: Mapping[str, Tensor]) -> Independent:
        """The posterior of mean ``loc (..., dim)`` and standard deviations ``scale (..., dim)``."""
        loc, scale = named_parameters(parameters, "loc", "scale")
        return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)

    def coordinates(self, z: Tensor) -> Tensor:
        """The points themselves, ``(..., dim)``."""
        return z
