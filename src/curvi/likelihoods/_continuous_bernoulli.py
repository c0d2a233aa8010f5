"""Continuous Bernoulli likelihood of grey values: the Bernoulli formula, normalised over the unit interval."""

from __future__ import annotations

from math import tau
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from scipy.special import zeta
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

from curvi._recording import Function
from curvi.likelihoods._base import Likelihood
from curvi.likelihoods._fold import fold
from curvi.likelihoods._observations import UnitInterval
from curvi.likelihoods._row_kernel_continuous_bernoulli import continuous_bernoulli_rows
from curvi.likelihoods._unit_pass import unit_log_likelihood

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.distributions.constraints import Constraint
    from torch.types import _size

# Below this size of a logit 1/a - 1/(exp(a) - 1) cancels; its series is used there, whose terms fall by (a / 2 pi)^2.
_NEAR = 1.0
_N_TERMS = {torch.float64: 10}
_N_SINGLE = 5
# Bernoulli number 2k over (2k)!, from the zeta function.
_SERIES = tuple((-1) ** (k + 1) * 2 * float(zeta(2 * k)) / tau ** (2 * k) for k in range(1, 11))


def _power_series(coefficients: Sequence[float], w: Tensor) -> Tensor:
    value = torch.full_like(w, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * w + coefficient
    return value


def _split(a: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """Where the series holds, the argument for it, the argument for the closed form, and the number of terms."""
    near = a < _NEAR
    harmless = torch.full_like(a, _NEAR)
    return near, torch.where(near, a, harmless), torch.where(near, harmless, a), _N_TERMS.get(a.dtype, _N_SINGLE)


def _mean_gap(a: Tensor) -> Tensor:
    r"""How far the mean is from the bound that the logit points to, :math:`t(a) = 1/a - 1/(e^a - 1)`, ``(...)``.

    It falls from 1/2 at 0 as :math:`1/a`.
    """
    near, small, large, n_terms = _split(a)
    series = 0.5 - small * _power_series(_SERIES[:n_terms], small * small)
    decayed = torch.exp(-large)
    return torch.where(near, series, 1 / large - decayed / (1 - decayed))


def _spread(a: Tensor) -> Tensor:
    r"""The variance :math:`-t'(a) = 1/a^2 - e^a/(e^a - 1)^2`, ``(...)``; it falls from 1/12 at 0 as :math:`1/a^2`."""
    near, small, large, n_terms = _split(a)
    coefficients = [(2 * k + 1) * coefficient for k, coefficient in enumerate(_SERIES[:n_terms])]
    series = _power_series(coefficients, small * small)
    decayed = torch.exp(-large)
    return torch.where(near, series, large**-2 - decayed / (1 - decayed) ** 2)


class _LogIntegral(Function):
    r"""The logarithm of :math:`\int_0^1 e^{-a d}\,\mathrm{d}d = (1 - e^{-a}) / a` for :math:`a \ge 0`."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        ctx.save_for_backward(a)
        ratio = -torch.expm1(-a) / a
        return torch.where(a > 0, ratio, torch.ones_like(a)).log_()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        return -grads[0] * _mean_gap(a)


class ContinuousBernoulli(Distribution):
    r"""Continuous Bernoulli distribution on :math:`[0, 1]` :cite:p:`LoaizaGanem2019`, elementwise.

    .. math:: \log p(x) = \eta x - \log\frac{e^\eta - 1}{\eta}
              = -a\,d - \log\frac{1 - e^{-a}}{a}, \qquad a = |\eta|

    where :math:`d` is the distance of :math:`x` from the bound that the logit points to. It is uniform at a logit of 0
    and an exponential distribution from that bound at large ones, with mean :math:`d` of :math:`1/a`.

    Parameters
    ----------
    logits
        :math:`\eta = \log\frac{\lambda}{1 - \lambda}`, ``(...)``. :math:`\lambda` is not the mean.
    validate_args
        Whether arguments and values are checked.

    Notes
    -----
    ``log_prob``, ``mean``, ``variance`` and first and second gradients are right to a few roundings at every logit, 0
    included. Draws have no gradient.

    Examples
    --------
    >>> px = ContinuousBernoulli(torch.tensor([0.0, 1e-4, 1e4]))
    >>> px.mean
    tensor([0.5000, 0.5000, 0.9999])
    >>> ContinuousBernoulli(torch.tensor([-5.0, 5.0])).log_prob(torch.tensor(1.0))
    tensor([-3.3838,  1.6162])
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"logits": constraints.real}
    support = constraints.unit_interval

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        r""":math:`\frac{1}{1 - e^{-\eta}} - \frac{1}{\eta}`, ``(...)``; 1/2 at a logit of 0."""
        size, _ = fold(self.logits, self.logits)
        gap = _mean_gap(size)
        return torch.where(self.logits >= 0, 1 - gap, gap)

    @property
    def variance(self) -> Tensor:
        r""":math:`\frac{1}{\eta^2} - \frac{1}{4\sinh^2(\eta/2)}`, ``(...)``; 1/12 at a logit of 0."""
        return _spread(fold(self.logits, self.logits)[0])

    def expand(self, batch_shape: _size, _instance: Any = None) -> ContinuousBernoulli:
        """The same distribution with its logits expanded to ``batch_shape``."""
        return ContinuousBernoulli(self.logits.expand(batch_shape), validate_args=False)

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        """Values in [0, 1] by inversion of the distribution function, ``sample_shape + (...)``."""
        with torch.no_grad():
            logits = self.logits.expand(self._extended_shape(sample_shape))
            a = logits.abs()
            u = torch.rand_like(a)
            away = torch.where(a > 0, -torch.log1p(u * torch.expm1(-a)) / a, u).clamp(0, 1)
            return torch.where(logits >= 0, 1 - away, away)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of values in [0, 1] that broadcast with the logits, ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        size, away = fold(self.logits, value)
        return -size * away - _LogIntegral.apply(size)


class ContinuousBernoulliLikelihood(Likelihood, name="continuous_bernoulli"):
    r"""Grey values in [0, 1] with the normalised form of the Bernoulli formula.

    .. math:: p(x_{ij}) = \frac{\eta_{ij}}{e^{\eta_{ij}} - 1}\, e^{\eta_{ij} x_{ij}}, \qquad \eta_{ij} = r_{ij}

    Parameters
    ----------
    n_features, n_per_level
        As for :class:`Likelihood`.

    Examples
    --------
    >>> likelihood = ContinuousBernoulliLikelihood(3)
    >>> likelihood(torch.tensor([[[-10.0, 0.0, 10.0]]]), torch.ones(1, 1)).mean
    tensor([[0.1000, 0.5000, 0.9000]])
    """

    observations = UnitInterval()
    n_params = 1

    def __init__(self, n_features: int, n_per_level: Sequence[int] = ()) -> None:
        super().__init__()
        self.n_features = n_features

    def forward(self, raw: Tensor, size_factor: Tensor, levels: Tensor | None = None) -> ContinuousBernoulli:
        """The distribution of values for raw maps ``(..., n, 1, n_features)``: logits."""
        (logits,) = self.maps(raw)
        return ContinuousBernoulli(logits, validate_args=False)

    def log_likelihood(self, px: ContinuousBernoulli, x: Tensor) -> Tensor:
        """The log-probability of each cell, ``(..., n)``, on a CPU in one pass over the features."""
        return unit_log_likelihood(px, px.logits, x, continuous_bernoulli_rows)
