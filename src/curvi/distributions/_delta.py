"""A single point as a distribution, and the flat prior that goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

if TYPE_CHECKING:
    from collections.abc import Sequence


class Delta(Distribution):
    r"""All mass at one point: :math:`q(z) = \delta(z - \mu)`.

    Parameters
    ----------
    loc
        The point :math:`\mu`, ``(..., m)``; the last dimension is the event.
    validate_args
        Whether arguments and values are checked.

    Examples
    --------
    >>> point = Delta(torch.tensor([1.0, 2.0]))
    >>> point.rsample(), point.log_prob(torch.tensor([1.0, 0.0]))
    (tensor([1., 2.]), tensor(-inf))
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"loc": constraints.real_vector}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, *, validate_args: bool | None = None) -> None:
        if loc.ndim < 1:
            raise ValueError("`loc` is a single number; expected a tensor (..., m) whose last dimension is the point.")
        self.loc = loc
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Delta | None = None) -> Delta:
        """The same distribution, its points broadcast to another batch shape."""
        new = self._get_checked_instance(Delta, _instance)
        new.loc = self.loc.expand(Size(batch_shape) + self.event_shape)
        Distribution.__init__(new, Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        """The point, ``(..., m)``."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The point, ``(..., m)``."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Zeros, ``(..., m)``."""
        return torch.zeros_like(self.loc)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """The point itself, with its gradient, ``(*sample_shape, ..., m)``."""
        return self.loc.expand(self._extended_shape(Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """0 at the point and minus infinity elsewhere, shape ``(...)``: a mass, not a density."""
        if self._validate_args:
            self._validate_sample(value)
        same = (value == self.loc).all(-1)
        return torch.where(same, 0.0, -torch.inf).to(self.loc.dtype)


class ImproperUniform(Distribution):
    r"""The flat measure on :math:`\mathbb{R}^m`, with density 1 everywhere; it has no total mass.

    The prior of a plain autoencoder, which prefers no point to another.

    Parameters
    ----------
    batch_shape
        Shape of independent copies.
    event_shape
        ``(m,)``.
    validate_args
        Whether values are checked.

    Examples
    --------
    >>> ImproperUniform(Size((2,)), Size((3,))).log_prob(torch.ones(2, 3))
    tensor([0., 0.])
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector

    def __init__(
        self,
        batch_shape: Sequence[int],
        event_shape: Sequence[int],
        *,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(Size(batch_shape), Size(event_shape), validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: ImproperUniform | None = None) -> ImproperUniform:
        """The same measure with another batch shape."""
        new = self._get_checked_instance(ImproperUniform, _instance)
        Distribution.__init__(new, Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Raises: there is nothing to draw from.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(
            "a plain autoencoder has no prior to draw from: its prior is flat over all of space and has no total mass. "
            "Choose a latent space with a proper prior, such as latent='normal' or latent='vmf', to generate new cells."
        )

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Raises as :meth:`rsample` does."""
        return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Zeros, shape ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        return value.new_zeros(torch.broadcast_shapes(value.shape[:-1], self.batch_shape))
