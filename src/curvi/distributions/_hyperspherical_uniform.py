"""The uniform distribution on a sphere."""

from __future__ import annotations

from math import lgamma, log, pi
from operator import index
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

from curvi.distributions._constraints import unit_vector

if TYPE_CHECKING:
    from collections.abc import Sequence


def log_area(m: int) -> float:
    """The logarithm of the area of the unit sphere in m dimensions, 2 pi^(m/2) / Gamma(m/2)."""
    return log(2) + m / 2 * log(pi) - lgamma(m / 2)


class HypersphericalUniform(Distribution):
    r"""The uniform distribution on the unit sphere :math:`S^d` in :math:`\mathbb{R}^{d+1}`.

    .. math::
        p(z) = \frac{1}{\lvert S^d \rvert} = \frac{\Gamma((d + 1) / 2)}{2 \pi^{(d + 1) / 2}}

    Parameters
    ----------
    dim
        Intrinsic dimension :math:`d \ge 1`; an event is a unit row ``(dim + 1,)``.
    batch_shape
        Shape of independent copies.
    dtype
        Of the draws; the default dtype where it is not given.
    device
        Of the draws.
    validate_args
        Whether values are checked to have length 1.

    Raises
    ------
    ValueError
        If ``dim`` is below 1.

    Examples
    --------
    >>> globe = HypersphericalUniform(2)
    >>> globe.rsample((4,)).shape, round(float(globe.entropy()), 4)
    (torch.Size([4, 3]), 2.531)
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = unit_vector
    has_rsample = True

    def __init__(
        self,
        dim: int,
        batch_shape: Sequence[int] = Size(),
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if dim < 1:
            raise ValueError(f"`dim` is {dim}; the intrinsic dimension of a sphere must be at least 1.")
        self.dim = dim = index(dim)
        # One number that carries dtype and device, filled there.
        self._entropy = torch.full((), log_area(dim + 1), dtype=dtype, device=device)
        super().__init__(Size(batch_shape), Size((dim + 1,)), validate_args=validate_args)

    def expand(
        self, batch_shape: Sequence[int], _instance: HypersphericalUniform | None = None
    ) -> HypersphericalUniform:
        """The same distribution with another batch shape."""
        new = self._get_checked_instance(HypersphericalUniform, _instance)
        new.dim, new._entropy = self.dim, self._entropy
        Distribution.__init__(new, Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        """The origin of the ambient space, ``(*batch_shape, dim + 1)``."""
        return self._entropy.new_zeros(self.batch_shape + self.event_shape)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draws ``(*sample_shape, *batch_shape, dim + 1)``: Gaussian rows, scaled to length 1."""
        z = self._entropy.new_empty(self._extended_shape(Size(sample_shape))).normal_()
        return z / torch.linalg.vector_norm(z, dim=-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of unit rows ``value (..., dim + 1)``, shape ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        return -self._entropy.expand(torch.broadcast_shapes(value.shape[:-1], self.batch_shape))

    def entropy(self) -> Tensor:
        """The logarithm of the area, in nats, shape ``batch_shape``."""
        return self._entropy.expand(self.batch_shape)
