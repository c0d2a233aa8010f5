"""Poisson likelihood of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curvi.likelihoods._base import Likelihood
from curvi.likelihoods._counts import Poisson
from curvi.likelihoods._mean import CountMean
from curvi.likelihoods._observations import Counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class PoissonLikelihood(Likelihood, name="poisson"):
    r"""Counts whose variance is their mean.

    .. math:: x_{ij} \sim \mathrm{Poisson}(\mu_{ij}), \quad \mu_{ij} = s_i\, a(r_i)_j

    Parameters
    ----------
    n_features, n_per_level
        As for :class:`Likelihood`.
    mean_activation
        ``"softmax"``, or ``"softplus"`` for size factors which are not totals of the cells; see :class:`CountMean`.

    Examples
    --------
    >>> import torch
    >>> likelihood = PoissonLikelihood(4)
    >>> likelihood(torch.zeros(2, 1, 4), torch.tensor([[8.0], [4.0]])).mean
    tensor([[2., 2., 2., 2.],
            [1., 1., 1., 1.]])
    """

    observations = Counts()
    n_params = 1

    def __init__(self, n_features: int, n_per_level: Sequence[int] = (), *, mean_activation: str = "softmax") -> None:
        super().__init__()
        self.n_features = n_features
        self.mean = CountMean(mean_activation)

    def forward(self, raw: Tensor, size_factor: Tensor, levels: Tensor | None = None) -> Poisson:
        """The distribution of counts for raw maps ``(..., n, 1, n_features)``."""
        (mean,) = self.maps(raw)
        return Poisson(self.mean.deferred(mean, size_factor), validate_args=False)

    def log_likelihood(self, px: Poisson, x: Tensor) -> Tensor:
        """The log-probability of each cell, ``(..., n)``, on a CPU in one pass over the features."""
        return px.log_likelihood(x)

    def rates(self, px: Poisson) -> Tensor:
        """The means themselves, ``(..., n, n_features)``."""
        return px.mean
