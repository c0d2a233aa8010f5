"""Distributions over counts, given by their mean: Poisson, negative binomial, and the latter with extra zeros."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

from curvi._compressed import dense
from curvi.likelihoods._log_prob import negative_binomial_log_prob, poisson_log_prob, zero_inflated_log_prob
from curvi.likelihoods._mean import Shares
from curvi.likelihoods._row_kernel import negative_binomial_rows
from curvi.likelihoods._row_kernel_poisson import poisson_rows
from curvi.likelihoods._row_kernel_zero_inflated import zero_inflated_rows
from curvi.likelihoods._row_pass import pass_log_likelihood, takes_pass

if TYPE_CHECKING:
    from torch.distributions.constraints import Constraint
    from torch.types import _size


class Poisson(Distribution):
    r"""Poisson distribution :math:`p(x) = \mu^x e^{-\mu} / x!`, elementwise.

    Parameters
    ----------
    mean
        :math:`\mu \ge 0`, ``(...)``, or what makes it when it is asked for. At 0 all mass is at a count of 0.
    validate_args
        Whether arguments and values are checked.

    Notes
    -----
    ``log_prob`` is accurate to rounding at any mean. It has a gradient in the mean, not in the counts.

    Examples
    --------
    >>> Poisson(torch.tensor([1.0, 2.0])).log_prob(torch.tensor([0.0, 2.0]))
    tensor([-1.0000, -1.3069])
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"mean": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, mean: Tensor | Shares, validate_args: bool | None = None) -> None:
        self._given = mean
        super().__init__(mean.shape, validate_args=validate_args)

    @cached_property
    def _mean(self) -> Tensor:
        return self._given.means if isinstance(self._given, Shares) else self._given

    @property
    def mean(self) -> Tensor:
        r""":math:`\mu`, ``(...)``."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        r""":math:`\mu`, ``(...)``."""
        return self._mean

    def expand(self, batch_shape: _size, _instance: Any = None) -> Poisson:
        """The same distribution with its parameters expanded to ``batch_shape``."""
        return Poisson(self._mean.expand(batch_shape), validate_args=False)

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        """Counts, ``sample_shape + (...)``."""
        with torch.no_grad():
            return torch.poisson(self._mean.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of counts that broadcast with the mean, ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        return poisson_log_prob(self._mean, value.to(self._mean.dtype))

    def log_likelihood(self, value: Tensor) -> Tensor:
        """The sum of :meth:`log_prob` over the last axis, as :meth:`NegativeBinomial.log_likelihood`."""
        shares = self._given
        if isinstance(shares, Shares) and takes_pass(shares.size_factor, value, shares.raw):
            return pass_log_likelihood(poisson_rows, shares.size_factor, value, shares.raw)
        return self.log_prob(dense(value)).sum(-1)


class NegativeBinomial(Distribution):
    r"""Negative binomial distribution: a Poisson distribution whose mean is Gamma-distributed, elementwise.

    .. math:: p(x) = \frac{\Gamma(x + \theta)}{\Gamma(\theta)\, x!}
              \left(\frac{\theta}{\theta + \mu}\right)^{\theta} \left(\frac{\mu}{\theta + \mu}\right)^{x},
              \qquad \mathrm{Var}[x] = \mu + \mu^2 / \theta

    Parameters
    ----------
    mean
        :math:`\mu \ge 0`, ``(...)``, or what makes it when it is asked for. At 0 all mass is at a count of 0.
    inverse_dispersion
        :math:`\theta > 0`, any shape that broadcasts with the mean. It is kept in that shape: one number a feature,
        ``(n_features,)``, costs one number a feature, in memory and in the gradient. Towards infinity the distribution
        becomes Poisson.
    validate_args
        Whether arguments and values are checked.

    Notes
    -----
    ``log_prob`` uses the saddle-point form of :cite:t:`Loader2000`, accurate to rounding for any mean and any inverse
    dispersion in [1e-7, 1e7], with analytic gradients in both; there is none in the counts, and no second gradient.
    On a CPU the special functions are evaluated at the non-zero counts only.

    Examples
    --------
    >>> px = NegativeBinomial(torch.tensor([1.0, 10.0]), torch.tensor(2.0))
    >>> px.variance
    tensor([ 1.5000, 60.0000])
    >>> px.log_prob(torch.tensor([0.0, 5.0]))
    tensor([-0.8109, -2.7034])
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "mean": constraints.nonnegative,
        "inverse_dispersion": constraints.positive,
    }
    support = constraints.nonnegative_integer

    def __init__(self, mean: Tensor | Shares, inverse_dispersion: Tensor, validate_args: bool | None = None) -> None:
        self._given = mean
        self._dtype = torch.promote_types(mean.dtype, inverse_dispersion.dtype)
        self.inverse_dispersion = inverse_dispersion.to(self._dtype)
        by_feature = inverse_dispersion.shape == mean.shape[-1:]
        shape = mean.shape if by_feature else torch.broadcast_shapes(mean.shape, inverse_dispersion.shape)
        super().__init__(shape, validate_args=validate_args)

    @cached_property
    def _mean(self) -> Tensor:
        return (self._given.means if isinstance(self._given, Shares) else self._given).to(self._dtype)

    @property
    def mean(self) -> Tensor:
        r""":math:`\mu`, ``(...)``."""
        return self._mean.expand(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        r""":math:`\mu + \mu^2 / \theta`, ``(...)``."""
        return self._mean + self._mean.square() / self.inverse_dispersion

    def expand(self, batch_shape: _size, _instance: Any = None) -> NegativeBinomial:
        """The same distribution with its mean expanded to ``batch_shape``; the inverse dispersion keeps its shape."""
        return NegativeBinomial(self._mean.expand(batch_shape), self.inverse_dispersion, validate_args=False)

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        """Counts, ``sample_shape + (...)``."""
        return torch.poisson(self.sample_rate(sample_shape))

    def sample_rate(self, sample_shape: _size = Size()) -> Tensor:
        """The Poisson rates that counts are drawn from, Gamma-distributed, ``sample_shape + (...)``."""
        with torch.no_grad():
            theta = self.inverse_dispersion.expand(self._extended_shape(sample_shape))
            return torch._standard_gamma(theta) * (self._mean / self.inverse_dispersion)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of counts that broadcast with the parameters, ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        return negative_binomial_log_prob(self._mean, self.inverse_dispersion, value.to(self._dtype))

    def log_likelihood(self, value: Tensor) -> Tensor:
        """The sum of :meth:`log_prob` over the last axis, of counts ``(n, n_features)``, dense or compressed rows.

        Where the means are shares of a total that nothing has asked for, in float32 on a CPU, they are not made at all:
        one pass over the features gives the sum and its gradients.
        """
        shares = self._given
        theta = self.inverse_dispersion
        if isinstance(shares, Shares) and takes_pass(shares.size_factor, value, shares.raw, theta):
            return pass_log_likelihood(negative_binomial_rows, shares.size_factor, value, shares.raw, theta)
        return self.log_prob(dense(value)).sum(-1)


class ZeroInflatedNegativeBinomial(Distribution):
    r"""A negative binomial whose counts are replaced by 0 with a probability of their own, elementwise.

    .. math:: p(x) = \pi\, [x = 0] + (1 - \pi)\, \mathrm{NB}(x; \mu, \theta), \qquad \pi = \mathrm{sigmoid}(\ell)

    Parameters
    ----------
    mean
        :math:`\mu \ge 0` of the negative binomial, ``(...)``, or what makes it when it is asked for.
    inverse_dispersion
        :math:`\theta > 0`, any shape that broadcasts with the mean.
    zero_logits
        :math:`\ell`, the log-odds of an extra zero, any shape that broadcasts with the mean.
    validate_args
        Whether arguments and values are checked.

    Attributes
    ----------
    negative_binomial
        The component without extra zeros; its mean is :math:`\mu`, that of the mixture :math:`(1 - \pi)\mu`.

    Examples
    --------
    >>> px = ZeroInflatedNegativeBinomial(torch.tensor(4.0), torch.tensor(2.0), torch.tensor(0.0))
    >>> px.mean, px.negative_binomial.mean
    (tensor(2.), tensor(4.))
    >>> px.log_prob(torch.tensor(0.0)).exp()
    tensor(0.5556)
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"zero_logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(
        self,
        mean: Tensor | Shares,
        inverse_dispersion: Tensor,
        zero_logits: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        self._given = mean
        self.negative_binomial = NegativeBinomial(mean, inverse_dispersion, validate_args=validate_args)
        self.zero_logits = zero_logits
        shape = torch.broadcast_shapes(self.negative_binomial.batch_shape, zero_logits.shape)
        super().__init__(shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        r""":math:`(1 - \pi) \mu`, ``(...)``."""
        return torch.sigmoid(-self.zero_logits) * self.negative_binomial.mean

    @property
    def variance(self) -> Tensor:
        r""":math:`(1 - \pi)(\mathrm{Var}_\mathrm{NB} + \pi \mu^2)`, ``(...)``."""
        component = self.negative_binomial
        extra = torch.sigmoid(self.zero_logits) * component.mean.square()
        return torch.sigmoid(-self.zero_logits) * (component.variance + extra)

    def expand(self, batch_shape: _size, _instance: Any = None) -> ZeroInflatedNegativeBinomial:
        """The same distribution with its mean expanded to ``batch_shape``; the other parameters keep their shapes."""
        component = self.negative_binomial
        return ZeroInflatedNegativeBinomial(
            component.mean.expand(batch_shape), component.inverse_dispersion, self.zero_logits, validate_args=False
        )

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        """Counts, ``sample_shape + (...)``."""
        with torch.no_grad():
            counts = self.negative_binomial.expand(self.batch_shape).sample(sample_shape)
            kept = torch.sigmoid(-self.zero_logits).expand(counts.shape).bernoulli()
            return counts * kept

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of counts that broadcast with the parameters, ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        component = self.negative_binomial
        x = value.to(component.mean.dtype)
        return zero_inflated_log_prob(component.mean, component.inverse_dispersion, self.zero_logits, x)

    def log_likelihood(self, value: Tensor) -> Tensor:
        """The sum of :meth:`log_prob` over the last axis, as :meth:`NegativeBinomial.log_likelihood`."""
        shares = self._given
        theta, logits = self.negative_binomial.inverse_dispersion, self.zero_logits
        if isinstance(shares, Shares) and takes_pass(shares.size_factor, value, shares.raw, theta, logits):
            return pass_log_likelihood(zero_inflated_rows, shares.size_factor, value, shares.raw, theta, logits)
        return self.log_prob(dense(value)).sum(-1)
