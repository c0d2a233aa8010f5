"""Zero-inflated negative binomial likelihood of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from curvi.likelihoods._base import Likelihood
from curvi.likelihoods._counts import ZeroInflatedNegativeBinomial
from curvi.likelihoods._dispersion import Dispersion
from curvi.likelihoods._mean import CountMean
from curvi.likelihoods._observations import Counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class ZeroInflatedNegativeBinomialLikelihood(Likelihood, name="zinb"):
    r"""Counts from a negative binomial with extra zeros.

    .. math:: x_{ij} \sim \pi_{ij}\, \delta_0 + (1 - \pi_{ij})\, \mathrm{NB}(\mu_{ij}, \theta_{ij})

    The log-odds of :math:`\pi` for each feature of each cell come from the decoder.

    Parameters
    ----------
    n_features, n_per_level
        As for :class:`Likelihood`.
    dispersion, dispersion_level, inverse_dispersion, mean_activation
        As for :class:`NegativeBinomialLikelihood`.

    Examples
    --------
    >>> import torch
    >>> likelihood = ZeroInflatedNegativeBinomialLikelihood(4, dispersion="gene-cell")
    >>> px = likelihood(torch.zeros(2, likelihood.n_params, 4), torch.tensor([[8.0], [4.0]]))
    >>> px.mean
    tensor([[1.0000, 1.0000, 1.0000, 1.0000],
            [0.5000, 0.5000, 0.5000, 0.5000]])
    """

    observations = Counts()

    def __init__(
        self,
        n_features: int,
        n_per_level: Sequence[int] = (),
        *,
        dispersion: str = "gene",
        dispersion_level: int = 0,
        inverse_dispersion: float = 1.0,
        mean_activation: str = "softmax",
    ) -> None:
        super().__init__()
        self.n_features = n_features
        self.mean = CountMean(mean_activation)
        self.dispersion = Dispersion.named(dispersion)(
            n_features, n_per_level, level=dispersion_level, start=inverse_dispersion, jitter=1.0
        )
        self.n_params = 2 + self.dispersion.n_params

    def forward(self, raw: Tensor, size_factor: Tensor, levels: Tensor | None = None) -> ZeroInflatedNegativeBinomial:
        """The distribution of counts for raw maps ``(..., n, n_params, n_features)``: mean, log-odds, dispersion."""
        mean, zero_logits, *rest = self.maps(raw)
        theta = self.dispersion(rest, levels)
        deferred = self.mean.deferred(mean, size_factor)
        return ZeroInflatedNegativeBinomial(deferred, theta, zero_logits, validate_args=False)

    def log_likelihood(self, px: ZeroInflatedNegativeBinomial, x: Tensor) -> Tensor:
        """The log-probability of each cell, ``(..., n)``, on a CPU in one pass over the features."""
        return px.log_likelihood(x)

    def expression(self, px: ZeroInflatedNegativeBinomial) -> Tensor:
        """The mean of the counts without extra zeros, ``(..., n, n_features)``."""
        return px.negative_binomial.mean

    def rates(self, px: ZeroInflatedNegativeBinomial) -> Tensor:
        """Draws of the Gamma-distributed rates, without extra zeros, ``(..., n, n_features)``."""
        return px.negative_binomial.sample_rate()

    def parameters_of(self, px: ZeroInflatedNegativeBinomial) -> dict[str, Tensor]:
        """``mean`` and ``dispersions`` of the counts without extra zeros, and the probability of those, ``dropout``."""
        component = px.negative_binomial
        return {
            "mean": component.mean,
            "dispersions": component.inverse_dispersion,
            "dropout": torch.sigmoid(px.zero_logits),
        }
