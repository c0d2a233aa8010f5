"""Log-probabilities of sparse counts with analytic gradients; what vanishes at zero is computed elsewhere only."""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING, Any

import torch
from torch import Size, Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from curvi._recording import Function, recorded_whole
from curvi.likelihoods._binet import binet, binet_slope

if TYPE_CHECKING:
    from collections.abc import Callable


class _Gathered:
    """The non-zero counts as a list; best on a CPU, where the cost of a function is its number of evaluations."""

    def __init__(self, x: Tensor, index: Tensor) -> None:
        flat = x.reshape(-1)
        self.n_entries = flat.numel()
        self.index = index
        self.x = flat.index_select(0, index)
        self._wrapped = (self.n_entries, self.index)

    def take(self, values: Tensor) -> Tensor:
        """Entries at the non-zero counts: ``(n_nonzero,)``, or ``(n_repeats, n_nonzero)`` where ``x`` is broadcast."""
        if not self.index.numel():
            return values.new_empty(0)
        if values.numel() >= self.n_entries:
            return values.reshape(-1, self.n_entries).index_select(1, self.index)
        if values.numel() != self._wrapped[0]:
            self._wrapped = (values.numel(), self.index % values.numel())
        return values.reshape(-1).index_select(0, self._wrapped[1])

    def take_of(self, function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
        """Entries of an elementwise function, evaluated where there are fewer."""
        if values.numel() < self.index.numel():
            return self.take(function(values))
        return function(self.take(values))

    def put(self, base: Tensor, values: Tensor) -> Tensor:
        """``base``, which may be overwritten, with ``values`` at the non-zero counts."""
        if self.index.numel():
            base = base.contiguous()
            rows = base.view(-1, self.n_entries)
            rows.index_copy_(1, self.index, values.expand(len(rows), len(self.index)))
        return base


class _Everywhere:
    """The non-zero counts as a mask; best on an accelerator, where a list would have to wait for its own length."""

    def __init__(self, x: Tensor) -> None:
        self.mask = x > 0
        self.x = torch.where(self.mask, x, 1.0)

    def take(self, values: Tensor) -> Tensor:
        """The values as they are."""
        return values

    def take_of(self, function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
        """An elementwise function of the values."""
        return function(values)

    def put(self, base: Tensor, values: Tensor) -> Tensor:
        """``base`` with ``values`` at the non-zero counts."""
        return torch.where(self.mask, values, base)


@recorded_whole
def _index(x: Tensor) -> Tensor | None:
    """Where the counts are that are not zero, if a list of them is best."""
    # In half the time that it takes on floating-point numbers.
    return x.reshape(-1).bool().nonzero().squeeze(1) if x.is_cpu else None


def _spots(x: Tensor, index: Tensor | None) -> _Gathered | _Everywhere:
    return _Everywhere(x) if index is None else _Gathered(x, index)


def _log_ratio(gap: Tensor, low: Tensor) -> Tensor:
    """``log(a / b)`` from ``gap = a - b`` and ``low = min(a, b)``, exact to rounding also where they are close."""
    return (gap.abs() / low).log1p_().mul_(gap.sign())


class _NegativeBinomialLogProb(Function):
    r"""The saddle-point form of :cite:t:`Loader2000`, in which no two large terms cancel.

    With :math:`n = x + \theta` and Binet's function :math:`J`,

    .. math:: \theta \log\frac{n}{\mu + \theta} - x \log\frac{x (\mu + \theta)}{\mu n}
              + \tfrac12\log\frac{\theta}{2\pi x n} + J(n) - J(\theta) - J(x) \quad (x > 0), \qquad
              -\theta \log(1 + \mu / \theta) \quad (x = 0).
    """

    @staticmethod
    def forward(ctx: Any, mean: Tensor, theta: Tensor, x: Tensor, index: Tensor | None) -> Tensor:
        """``mean (..., n, f)``; the shapes of ``theta`` and counts end its; the value has the shape of ``mean``."""
        log_zero, spots = (mean / theta).log1p_(), _spots(x, index)
        x, mu, t = spots.x, spots.take(mean), spots.take(theta)
        n, gap, low = x + t, x - mu, torch.minimum(x, mu)
        log_total = _log_ratio(gap, t + low)
        ctx.save_for_backward(mean, theta, log_zero, mu, t, gap, log_total)
        ctx.spots = spots
        value = (t / (n * x)).mul_(0.5 / pi).log_().mul_(0.5)
        value = value + binet(n) - binet(x) - spots.take_of(binet, theta)
        value = value.addcmul(t, log_total).sub_(x * _log_ratio(t * gap, x * mu + t * low))
        return spots.put(-theta * log_zero, value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Gradients in mean and inverse dispersion; counts have none."""
        mean, theta, log_zero, mu, t, gap, log_total = ctx.saved_tensors
        spots = ctx.spots
        total, pull = mean + theta, gap / (mu + t)
        grad_mean = grad_theta = None
        if ctx.needs_input_grad[1]:
            n = spots.x + t
            slope = binet_slope(n) - spots.take_of(binet_slope, theta)
            slope = (log_total - pull).add_(spots.x / (t * n), alpha=0.5).add_(slope)
            grad_theta = spots.put((mean / total).sub_(log_zero), slope).mul_(grad).sum_to_size(theta.shape)
        if ctx.needs_input_grad[0]:
            grad_mean = spots.put(torch.div(-theta, total, out=total), t * pull / mu).mul_(grad)
        return grad_mean, grad_theta, None, None


class _PoissonLogProb(Function):
    r"""Saddle-point form: :math:`x - \mu - x \log(x / \mu) - \tfrac12\log 2\pi x - J(x)`, or :math:`-\mu` at 0."""

    @staticmethod
    def forward(ctx: Any, mean: Tensor, x: Tensor, index: Tensor | None) -> Tensor:
        """``mean (..., n, f)``; the shape of the counts ends its; the value has the shape of ``mean``."""
        ctx.save_for_backward(mean)
        ctx.spots = spots = _spots(x, index)
        x, mu = spots.x, spots.take(mean)
        gap = x - mu
        value = gap - x * _log_ratio(gap, torch.minimum(x, mu)) - 0.5 * (2.0 * pi * x).log_() - binet(x)
        return spots.put(-mean, value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """The gradient in the mean; counts have none."""
        (mean,) = ctx.saved_tensors
        mu = ctx.spots.take(mean)
        return ctx.spots.put(torch.full_like(mean, -1.0), (ctx.spots.x - mu) / mu).mul_(grad), None, None


class _ZeroInflation(Function):
    r"""A share :math:`\pi = \mathrm{sigmoid}(\ell)` of extra zeros, given the log-probability :math:`b` without.

    .. math:: b - \log(1 + e^\ell) \quad (x > 0), \qquad \log(e^\ell + e^b) - \log(1 + e^\ell) \quad (x = 0).
    """

    @staticmethod
    def forward(ctx: Any, log_prob: Tensor, logits: Tensor, x: Tensor, index: Tensor | None) -> Tensor:
        """``log_prob`` and ``logits`` in one shape ``(..., n, f)``, which that of the counts ends."""
        ctx.save_for_backward(log_prob, logits)
        ctx.spots = spots = _spots(x, index)
        remaining = -functional.softplus(logits)
        value = spots.take(log_prob) + spots.take(remaining)
        return spots.put(torch.logaddexp(logits, log_prob).add_(remaining), value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Gradients in both; the first is the probability that the count is no extra zero."""
        log_prob, logits = ctx.saved_tensors
        kept = ctx.spots.put((log_prob - logits).sigmoid_(), log_prob.new_ones(1))
        return kept * grad, (1.0 - kept).sub_(logits.sigmoid()).mul_(grad), None, None


def _compact(values: Tensor, shape: Size) -> Tensor:
    """``values`` without leading axes of length 1 if ``shape`` ends in what is left, else expanded to ``shape``."""
    while values.dim() and values.shape[0] == 1:
        values = values.squeeze(0)
    return values if shape[len(shape) - values.dim() :] == values.shape else values.expand(shape)


def _negative_binomial(
    mean: Tensor, theta: Tensor, x: Tensor, shape: Size
) -> tuple[Tensor, tuple[Tensor, Tensor | None]]:
    """The log-probability, and the counts with the places of those that are not zero."""
    theta, x = _compact(theta, shape), _compact(x, shape)
    x = x.expand(theta.shape) if x.dim() < theta.dim() else x
    counts = x, _index(x)
    return _NegativeBinomialLogProb.apply(mean.expand(shape).contiguous(), theta, *counts), counts


def negative_binomial_log_prob(mean: Tensor, inverse_dispersion: Tensor, x: Tensor) -> Tensor:
    """Elementwise log-probability of counts ``x`` under a negative binomial; the three are broadcast.

    ``inverse_dispersion`` is not copied to the common shape if that shape ends in its own, as ``(n_features,)`` does.
    """
    shape = torch.broadcast_shapes(mean.shape, inverse_dispersion.shape, x.shape)
    return _negative_binomial(mean, inverse_dispersion, x, shape)[0]


def zero_inflated_log_prob(mean: Tensor, inverse_dispersion: Tensor, zero_logits: Tensor, x: Tensor) -> Tensor:
    """Elementwise log-probability of counts ``x`` under a negative binomial with extra zeros; they are broadcast."""
    shape = torch.broadcast_shapes(mean.shape, inverse_dispersion.shape, zero_logits.shape, x.shape)
    log_prob, counts = _negative_binomial(mean, inverse_dispersion, x, shape)
    return _ZeroInflation.apply(log_prob, zero_logits.expand(shape), *counts)


def poisson_log_prob(mean: Tensor, x: Tensor) -> Tensor:
    """Elementwise log-probability of counts ``x`` under a Poisson distribution; the two are broadcast."""
    shape = torch.broadcast_shapes(mean.shape, x.shape)
    x = _compact(x, shape)
    return _PoissonLogProb.apply(mean.expand(shape).contiguous(), x, _index(x))
