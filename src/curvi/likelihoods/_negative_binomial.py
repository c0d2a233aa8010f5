"""Negative binomial likelihood of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curvi.likelihoods._base import Likelihood
from curvi.likelihoods._counts import NegativeBinomial
from curvi.likelihoods._dispersion import Dispersion
from curvi.likelihoods._mean import CountMean
from curvi.likelihoods._observations import Counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class NegativeBinomialLikelihood(Likelihood, name="nb"):
    r"""Counts whose variance is more than their mean.

    .. math:: x_{ij} \sim \mathrm{NB}(\mu_{ij}, \theta_{ij}), \quad \mu_{ij} = s_i\, a(r_i)_j,
              \quad \mathrm{Var}[x] = \mu + \mu^2 / \theta

    Parameters
    ----------
    n_features, n_per_level
        As for :class:`Likelihood`.
    dispersion
        :math:`\theta` for each feature: ``"gene"``; ``"gene-batch"``, one for each category of a batch level;
        ``"gene-cell"``, from the decoder; ``"fixed"``, one number that is not learned.
    dispersion_level
        The index of the batch level that ``"gene-batch"`` refers to.
    inverse_dispersion
        :math:`\theta` before training, with ``"gene"`` and ``"gene-batch"`` times :math:`e^\varepsilon`,
        :math:`\varepsilon \sim N(0, 1)`.
    mean_activation
        ``"softmax"``, or ``"softplus"`` for size factors which are not totals of the cells; see :class:`CountMean`.

    Examples
    --------
    >>> import torch
    >>> likelihood = NegativeBinomialLikelihood(4)
    >>> px = likelihood(torch.zeros(2, 1, 4), torch.tensor([[8.0], [4.0]]))
    >>> px.log_prob(torch.ones(2, 4)).sum(-1).shape
    torch.Size([2])
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
        self.n_params = 1 + self.dispersion.n_params

    def forward(self, raw: Tensor, size_factor: Tensor, levels: Tensor | None = None) -> NegativeBinomial:
        """The distribution of counts for raw maps ``(..., n, n_params, n_features)``: mean, then dispersion."""
        mean, *rest = self.maps(raw)
        theta = self.dispersion(rest, levels)
        return NegativeBinomial(self.mean.deferred(mean, size_factor), theta, validate_args=False)

    def log_likelihood(self, px: NegativeBinomial, x: Tensor) -> Tensor:
        """The log-probability of each cell, ``(..., n)``, on a CPU in one pass over the features."""
        return px.log_likelihood(x)

    def rates(self, px: NegativeBinomial) -> Tensor:
        """Draws of the Gamma-distributed rates, ``(..., n, n_features)``."""
        return px.sample_rate()

    def parameters_of(self, px: NegativeBinomial) -> dict[str, Tensor]:
        """``mean`` and the inverse dispersion, ``dispersions``."""
        return {"mean": px.mean, "dispersions": px.inverse_dispersion}
