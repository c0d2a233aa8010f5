"""Bernoulli likelihood of pixels and other values in the unit interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid

from curvi.likelihoods._base import Likelihood
from curvi.likelihoods._observations import UnitInterval
from curvi.likelihoods._row_kernel_bernoulli import bernoulli_rows
from curvi.likelihoods._unit_pass import unit_log_likelihood

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.distributions.constraints import Constraint
    from torch.types import _size


class Bernoulli(Distribution):
    r"""Bernoulli distribution, elementwise, which also takes values between 0 and 1.

    .. math:: \log p(x) = x \log\pi + (1 - x) \log(1 - \pi), \qquad \pi = \mathrm{sigmoid}(\eta)

    Parameters
    ----------
    logits
        :math:`\eta`, the log-odds of a 1, ``(...)``.
    validate_args
        Whether arguments and values are checked.

    Notes
    -----
    For a grey value :math:`x` the formula is the expected log-probability of a binary pixel that is 1 with probability
    :math:`x`. Over :math:`[0, 1]` it is no density: its integral is below 1, by a factor that depends on the logit
    :cite:p:`LoaizaGanem2019`. :class:`ContinuousBernoulli` is.

    Examples
    --------
    >>> Bernoulli(torch.tensor([0.0, 20.0])).log_prob(torch.tensor([0.3, 1.0]))
    tensor([-6.9315e-01, -2.0612e-09])
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"logits": constraints.real}
    support = constraints.unit_interval

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        r""":math:`\pi`, ``(...)``."""
        return torch.sigmoid(self.logits)

    @property
    def variance(self) -> Tensor:
        r""":math:`\pi (1 - \pi)` of the binary draws, ``(...)``."""
        return torch.sigmoid(self.logits) * torch.sigmoid(-self.logits)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Bernoulli:
        """The same distribution with its logits expanded to ``batch_shape``."""
        return Bernoulli(self.logits.expand(batch_shape), validate_args=False)

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        """Zeros and ones, ``sample_shape + (...)``."""
        with torch.no_grad():
            return torch.bernoulli(self.mean.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of values in [0, 1] that broadcast with the logits, ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        # Neither term is positive: nothing cancels, and probable values keep their relative precision.
        return value * logsigmoid(self.logits) + (1 - value) * logsigmoid(-self.logits)


class BernoulliLikelihood(Likelihood, name="bernoulli"):
    r"""Binary values, or grey values taken as probabilities of binary ones, :math:`x_{ij} \sim \mathrm{Bernoulli}`.

    .. math:: \log p(x_{ij}) = x_{ij} \log\pi_{ij} + (1 - x_{ij}) \log(1 - \pi_{ij}),
              \qquad \pi_{ij} = \mathrm{sigmoid}(r_{ij})

    Parameters
    ----------
    n_features, n_per_level
        As for :class:`Likelihood`.

    Examples
    --------
    >>> likelihood = BernoulliLikelihood(3)
    >>> likelihood(torch.tensor([[[-20.0, 0.0, 20.0]]]), torch.ones(1, 1)).mean
    tensor([[2.0612e-09, 5.0000e-01, 1.0000e+00]])
    """

    observations = UnitInterval()
    n_params = 1

    def __init__(self, n_features: int, n_per_level: Sequence[int] = ()) -> None:
        super().__init__()
        self.n_features = n_features

    def forward(self, raw: Tensor, size_factor: Tensor, levels: Tensor | None = None) -> Bernoulli:
        """The distribution of values for raw maps ``(..., n, 1, n_features)``: logits."""
        (logits,) = self.maps(raw)
        return Bernoulli(logits, validate_args=False)

    def log_likelihood(self, px: Bernoulli, x: Tensor) -> Tensor:
        """The log-probability of each cell, ``(..., n)``, on a CPU in one pass over the features."""
        return unit_log_likelihood(px, px.logits, x, bernoulli_rows)
