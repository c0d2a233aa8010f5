"""Euclidean space with a diagonal Gaussian posterior and the standard normal prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Size, Tensor
from torch.distributions import Independent, Normal, kl_divergence, register_kl

from curvi.latent._base import LatentSpace, named_parameters
from curvi.manifolds import Euclidean

if TYPE_CHECKING:
    from collections.abc import Mapping

# The least variance, as in scVI: it keeps the density of a draw finite.
_VARIANCE_FLOOR = 1e-4
# A standard deviation of 22,000 says no more about a cell than one of 100, and its square is far from overflow.
_LOG_VARIANCE_LIMIT = 20.0


class _StandardNormal(Independent):
    """The standard normal distribution, known as one by its type."""


class _Divergence(torch.autograd.Function):
    r"""The divergence from the standard normal distribution, ``(...)``.

    .. math:: \tfrac12 \sum_j (\sigma_j^2 + \mu_j^2 - 1) - \sum_j \log\sigma_j
    """

    @staticmethod
    def forward(ctx: Any, loc: Tensor, scale: Tensor) -> Tensor:
        """``loc`` and ``scale``, ``(..., dim)``."""
        ctx.save_for_backward(loc, scale)
        return torch.addcmul(scale * scale - 1, loc, loc).mul_(0.5).sub_(scale.log()).sum(-1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients in both."""
        loc, scale = ctx.saved_tensors
        grad = grads[0].unsqueeze(-1)
        return grad * loc, grad * (scale - scale.reciprocal())


@register_kl(Independent, _StandardNormal)
def _divergence(p: Independent, q: _StandardNormal) -> Tensor:
    normal = p.base_dist
    if isinstance(normal, Normal) and p.event_shape == q.event_shape and not q.batch_shape:
        return _Divergence.apply(normal.loc, normal.scale)
    return kl_divergence(p, Independent(q.base_dist, q.reinterpreted_batch_ndims))


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
        return _StandardNormal(Normal(loc, torch.ones_like(loc), validate_args=False), 1, validate_args=False)

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
