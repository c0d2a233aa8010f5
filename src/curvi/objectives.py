"""What training maximises and what evaluation reports, from per-cell numbers."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

if TYPE_CHECKING:
    from curvi.manifolds import Manifold


def divergence(posterior: Distribution, prior: Distribution) -> Tensor:
    r"""The divergence :math:`\mathrm{KL}(q(z \mid x) \,\|\, p(z))` of each cell, ``(n,)``.

    Raises
    ------
    ValueError
        If the pair's divergence is not one number a cell, as with a posterior whose event is a scalar.

    Examples
    --------
    >>> import torch
    >>> from curvi.distributions import HypersphericalUniform, VonMisesFisher
    >>> q = VonMisesFisher(torch.eye(3), torch.tensor([0.0, 1.0, 10.0]))
    >>> divergence(q, HypersphericalUniform(2)).shape
    torch.Size([3])
    """
    kl = kl_divergence(posterior, prior)
    if kl.shape != posterior.batch_shape or len(posterior.event_shape) != 1:
        raise ValueError(
            f"the divergence of {type(posterior).__name__} from {type(prior).__name__} has shape {tuple(kl.shape)}; "
            f"one number a cell, {tuple(posterior.batch_shape)}, was expected. Give both an event of one axis."
        )
    return kl


def importance_weighted_log_likelihood(log_weights: Tensor) -> Tensor:
    r"""The importance-weighted estimate of :math:`\log p(x)` from the log-weights of ``K`` draws.

    .. math:: \log \frac{1}{K} \sum_{k=1}^{K} \frac{p(x \mid z_k)\, p(z_k)}{q(z_k \mid x)}

    A lower bound in expectation that grows with ``K`` :cite:p:`Burda2016`; with one draw it is the ELBO.

    Parameters
    ----------
    log_weights
        :math:`\log p(x \mid z_k) + \log p(z_k) - \log q(z_k \mid x)`, ``(K, n)``.

    Returns
    -------
    Estimates, ``(n,)``.

    Examples
    --------
    >>> import torch
    >>> importance_weighted_log_likelihood(torch.full((10, 2), -3.0))
    tensor([-3., -3.])
    """
    return torch.logsumexp(log_weights, dim=0) - log(log_weights.shape[0])


def thinning_penalty(manifold: Manifold, loc: Tensor, thinned_loc: Tensor) -> Tensor:
    r"""The squared geodesic distance between where a cell and its thinned copy lie, ``(n,)``.

    It asks the encoder to place cells regardless of their sequencing depth :cite:p:`Ding2021`.

    Parameters
    ----------
    manifold
        The latent manifold.
    loc, thinned_loc
        Locations of the cells and of their thinned copies, ``(n, ambient_dim)``.

    Examples
    --------
    >>> import torch
    >>> from curvi.manifolds import Euclidean
    >>> thinning_penalty(Euclidean(2), torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    tensor([25.])
    """
    return manifold.dist(loc, thinned_loc).square()
