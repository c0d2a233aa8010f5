"""Euclidean space with a diagonal Gaussian posterior and the standard normal prior."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Size, Tensor
from torch.distributions import Independent, Normal, kl_divergence, register_kl

from curvi._compiled import compiled
from curvi._recording import Function
from curvi.distributions._arrays import few, flat, row_by_row, shaped
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


@compiled(nogil=True)
def _divergences(loc: Any, scale: Any, value: Any) -> None:
    """The divergence of each row."""
    for i in range(len(loc)):
        total = 0.0
        for j in range(loc.shape[1]):
            mean, deviation = np.float64(loc[i, j]), np.float64(scale[i, j])
            total += 0.5 * (deviation * deviation - 1 + mean * mean) - log(deviation)
        value[i] = total


@compiled(nogil=True)
def _slopes(grad: Any, loc: Any, scale: Any, in_loc: Any, in_scale: Any) -> None:
    """Gradients of the divergence of each row, times ``grad``."""
    for i in range(len(loc)):
        for j in range(loc.shape[1]):
            in_loc[i, j] = grad[i] * loc[i, j]
            in_scale[i, j] = grad[i] * (scale[i, j] - 1 / scale[i, j])


class _Divergence(Function):
    r"""The divergence from the standard normal distribution, ``(...)``, of few rows on a CPU in a compiled pass.

    .. math:: \tfrac12 \sum_j (\sigma_j^2 + \mu_j^2 - 1) - \sum_j \log\sigma_j
    """

    @staticmethod
    def forward(ctx: Any, loc: Tensor, scale: Tensor) -> Tensor:
        """``loc`` and ``scale``, ``(..., dim)``."""
        ctx.save_for_backward(loc, scale)
        dim = loc.shape[-1]
        if not few(loc, loc.numel() // dim):
            return torch.addcmul(scale * scale - 1, loc, loc).mul_(0.5).sub_(scale.log()).sum(-1)
        value = np.empty(loc.numel() // dim, loc.detach().numpy().dtype)
        _divergences(row_by_row(loc, dim), row_by_row(scale, dim), value)
        return shaped(value, loc.shape[:-1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients in both."""
        loc, scale = ctx.saved_tensors
        dim = loc.shape[-1]
        if torch.is_grad_enabled() or not few(loc, loc.numel() // dim):
            grad = grads[0].unsqueeze(-1)
            return grad * loc, grad * (scale - scale.reciprocal())
        rows = row_by_row(loc, dim), row_by_row(scale, dim)
        slopes = np.empty_like(rows[0]), np.empty_like(rows[0])
        _slopes(flat(grads[0]), *rows, *slopes)
        in_loc, in_scale = (shaped(each, loc.shape) for each in slopes)
        return in_loc, in_scale


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
