"""Mixtures with equal weights, of any number of components."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

from curvi.distributions._pairwise import pairwise_log_prob

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Bytes of a block of points by components; larger blocks leave the cache.
_BLOCK = 2**24


class Mixture(Distribution):
    r"""The mixture of distributions with equal weights.

    .. math:: q(z) = \frac{1}{m} \sum_{i=1}^{m} q_i(z)

    Of the posteriors of cells it is their aggregated posterior. Where the components have one batch axis only, the
    log-density of many points is computed a block of points at a time: memory grows with the number of points and with
    that of components, not with their product. For von Mises-Fisher, Gaussian and wrapped normal components, and joint
    distributions of them, a block is a matrix product in float64 where the device has it.

    Parameters
    ----------
    components
        Distributions with an event of one axis; the last axis of their batch shape, ``(..., m)``, is the mixture's.
    validate_args
        Whether values are checked.

    Raises
    ------
    ValueError
        If the components have no batch axis, none of them is left along the last, or their event has not one axis.

    Examples
    --------
    >>> from curvi.distributions import VonMisesFisher
    >>> q = Mixture(VonMisesFisher(torch.eye(3), torch.tensor([1.0, 10.0, 100.0])))
    >>> z = q.sample((1000,))
    >>> z.shape, q.log_prob(z).shape
    (torch.Size([1000, 3]), torch.Size([1000]))
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_rsample = False

    def __init__(self, components: Distribution, *, validate_args: bool | None = None) -> None:
        if len(components.event_shape) != 1:
            raise ValueError(
                f"`components`, {type(components).__name__}, have event shape {tuple(components.event_shape)}; "
                "expected one axis, (D,). `torch.distributions.Independent(q, 1)` makes one of a batch axis."
            )
        if len(components.batch_shape) == 0 or components.batch_shape[-1] == 0:
            raise ValueError(
                f"`components` have batch shape {tuple(components.batch_shape)}; expected (..., m) with at least one "
                "component along the last axis."
            )
        self.components = components
        super().__init__(components.batch_shape[:-1], components.event_shape, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Mixture | None = None) -> Mixture:
        """The same distribution, its components broadcast to another batch shape."""
        new = self._get_checked_instance(Mixture, _instance)
        new.components = self.components.expand(Size(batch_shape) + Size((self.n_components,)))
        Distribution.__init__(new, Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def n_components(self) -> int:
        """How many components there are."""
        return self.components.batch_shape[-1]

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self) -> constraints.Constraint | None:
        """That of the components."""
        return self.components.support

    @property
    def mean(self) -> Tensor:
        """The mean of the means, ``(..., D)``; ``NotImplementedError`` if the components have none."""
        return self.components.mean.mean(-2)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draws ``(*sample_shape, ..., D)``; each component is drawn from as often as its most frequent one at most."""
        shape, (event,) = Size(sample_shape), self.event_shape
        places, m = self.batch_shape.numel(), self.n_components
        which = torch.randint(m, (shape.numel(), places))
        turn = torch.stack([_turns(column, m) for column in which.unbind(1)], 1) if places else which
        draws = self.components.sample(Size((int(turn.max()) + 1 if turn.numel() else 0,)))
        draws = draws.reshape(-1, places, m, event)
        turn, place, which = (x.to(draws.device) for x in (turn, torch.arange(places), which))
        return draws[turn, place, which].reshape(shape + self.batch_shape + self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of ``value (..., D)`` with respect to the measure of the components, shape ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        if self.batch_shape:
            return torch.logsumexp(self.components.log_prob(value.unsqueeze(-2)), -1) - log(self.n_components)
        return self._by_blocks(value, None)

    def log_prob_without(self, value: Tensor, left_out: Tensor) -> Tensor:
        """Log-density of each value under the mixture of the other components, with one left out, shape ``(...)``.

        So a cell is compared with the other cells of its sample, and not with itself.

        Parameters
        ----------
        value
            ``(..., D)``; the mixture must have no batch axes.
        left_out
            The number of the component to leave out for each value, ``(...)``; -1 leaves out none.

        Raises
        ------
        ValueError
            If the mixture has batch axes or a single component, or a number is not that of a component.

        Examples
        --------
        >>> from curvi.distributions import VonMisesFisher
        >>> q = Mixture(VonMisesFisher(torch.eye(3), 1e4))
        >>> bool((q.log_prob_without(torch.eye(3), torch.arange(3)) < -1e3).all())
        True
        """
        if self.batch_shape or self.n_components < 2:
            raise ValueError(
                f"the mixture has batch shape {tuple(self.batch_shape)} and {self.n_components} components; to leave "
                "one out it takes no batch axes and at least two components."
            )
        if left_out.shape != value.shape[:-1] or bool(((left_out < -1) | (left_out >= self.n_components)).any()):
            raise ValueError(
                f"`left_out` has shape {tuple(left_out.shape)}; expected one number a value, "
                f"{tuple(value.shape[:-1])}, each that of a component, below {self.n_components}, or -1."
            )
        if self._validate_args:
            self._validate_sample(value)
        return self._by_blocks(value, left_out.reshape(-1))

    def _by_blocks(self, value: Tensor, left_out: Tensor | None) -> Tensor:
        """Log-densities of values ``(..., D)``, of which one component each may be left out, ``(n,)``."""
        points = value if value.ndim == 2 else value.reshape(-1, self.event_shape[0])
        table, parts = pairwise_log_prob(self.components, points), []
        for some in _blocks(len(points), self.n_components * (points.shape[1] + 2) * 8):
            block = table(some)
            if left_out is None:
                parts.append(torch.logsumexp(block, -1) - log(self.n_components))
                continue
            out = left_out[some, None]
            own = out.clamp_min(0)
            block = block.scatter(-1, own, torch.where(out < 0, block.gather(-1, own), -torch.inf))
            parts.append(torch.logsumexp(block, -1) - torch.log(self.n_components - (out[:, 0] >= 0).to(block.dtype)))
        found = torch.cat(parts) if parts else value.new_zeros(0)
        return found.to(value.dtype).reshape(value.shape[:-1])


def _blocks(n: int, bytes_each: int) -> Iterator[slice]:
    size = max(1, _BLOCK // bytes_each)
    return (slice(start, start + size) for start in range(0, n, size))


def _turns(which: Tensor, m: int) -> Tensor:
    """How often each of the numbers below ``m`` has come before in ``which (n,)``, ``(n,)``."""
    order = torch.argsort(which, stable=True)
    counts = torch.bincount(which, minlength=m)
    first = counts.cumsum(0) - counts
    turns = torch.empty_like(which)
    turns[order] = torch.arange(len(which)) - first[which[order]]
    return turns
