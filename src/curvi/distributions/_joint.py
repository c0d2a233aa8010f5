"""Independent distributions on the factors of a product space, as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints, kl_divergence, register_kl

from curvi.distributions._drawn import Drawn

if TYPE_CHECKING:
    from collections.abc import Sequence


class Joint(Distribution):
    r"""Independent distributions, whose events are put next to each other: the law on a product of manifolds.

    .. math:: q(z_1, \dots, z_K) = \prod_k q_k(z_k)

    Log-probabilities and entropies are sums over the parts, and so is the divergence between two of them whose parts
    have one. Parts that remember their draws (:class:`WrappedNormal`) recognise them in a joint draw.

    Parameters
    ----------
    parts
        Distributions with an event of one axis each; others are wrapped in ``torch.distributions.Independent`` first.
        Their batch shapes broadcast.
    validate_args
        Whether values are checked.

    Raises
    ------
    TypeError
        If a part is not a distribution.
    ValueError
        If there are no parts, if the event of a part does not have one axis, or if the batch shapes do not broadcast.

    Examples
    --------
    >>> from curvi.distributions import VonMisesFisher
    >>> from torch.distributions import Independent, Normal
    >>> q = Joint(
    ...     [
    ...         VonMisesFisher(torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 100.0])),
    ...         Independent(Normal(torch.zeros(2, 4), 1.0), 1),
    ...     ]
    ... )
    >>> q.batch_shape, q.event_shape, q.log_prob(q.rsample()).shape
    (torch.Size([2]), torch.Size([7]), torch.Size([2]))
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, parts: Sequence[Distribution], *, validate_args: bool | None = None) -> None:
        parts = tuple(parts)
        if not parts:
            raise ValueError("`parts` is empty; a joint distribution needs at least one part.")
        for i, part in enumerate(parts):
            if not isinstance(part, Distribution):
                raise TypeError(f"`parts[{i}]` is of type {type(part).__name__}; expected a torch Distribution.")
            if len(part.event_shape) != 1:
                raise ValueError(
                    f"`parts[{i}]`, {type(part).__name__}, has event shape {tuple(part.event_shape)}; expected one "
                    "axis, (m,). Make batch axes part of the event with `torch.distributions.Independent(part, 1)`."
                )
        shapes = [part.batch_shape for part in parts]
        shape = shapes[0]
        if any(other != shape for other in shapes):
            try:
                shape = torch.broadcast_shapes(*shapes)
            except RuntimeError as error:
                raise ValueError(
                    f"the batch shapes of `parts`, {', '.join(str(tuple(shape)) for shape in shapes)}, do not "
                    "broadcast; give each part one row a cell, or one for all cells."
                ) from error
        self.parts = tuple(part if part.batch_shape == shape else part.expand(shape) for part in parts)
        super().__init__(shape, Size((sum(self.sizes),)), validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Joint | None = None) -> Joint:
        """The same distribution, its parts broadcast to another batch shape."""
        new = self._get_checked_instance(Joint, _instance)
        new.parts = tuple(part.expand(Size(batch_shape)) for part in self.parts)
        Distribution.__init__(new, Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers the event of each part has."""
        return tuple(part.event_shape[0] for part in self.parts)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether draws are differentiable, which takes all parts."""
        return all(part.has_rsample for part in self.parts)

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self) -> constraints.Constraint:
        """Rows of which each part supports its share."""
        return _Supports(self)

    @property
    def mean(self) -> Tensor:
        """The means of the parts, ``(..., m)``; ``NotImplementedError`` if one has none."""
        return torch.cat([part.mean for part in self.parts], -1)

    @property
    def mode(self) -> Tensor:
        """The modes of the parts, ``(..., m)``; ``NotImplementedError`` if one has none."""
        return torch.cat([part.mode for part in self.parts], -1)

    @property
    def variance(self) -> Tensor:
        """The variances of the parts, ``(..., m)``; ``NotImplementedError`` if one has none."""
        return torch.cat([part.variance for part in self.parts], -1)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draws ``(*sample_shape, ..., m)``, differentiable in the parameters of all parts."""
        return self._put_together([part.rsample(Size(sample_shape)) for part in self.parts])

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draws ``(*sample_shape, ..., m)`` without gradient."""
        return self._put_together([part.sample(Size(sample_shape)) for part in self.parts])

    def _put_together(self, draws: list[Tensor]) -> Tensor:
        z = torch.cat(draws, -1)
        _SHARES.remember(z, tuple(draws))
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum over the parts of their log-probabilities of rows ``value (..., m)``, shape ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        shares = zip(self.parts, split_draws(value, self.sizes), strict=True)
        terms = [part.log_prob(share) for part, share in shares]
        return _sum(terms)

    def entropy(self) -> Tensor:
        """The sum of the entropies, shape ``(...)``; ``NotImplementedError`` if a part has none."""
        return _sum([part.entropy() for part in self.parts])


class _Supports(constraints.Constraint):
    """Rows of which each part of a joint distribution supports its share."""

    event_dim = 1

    def __init__(self, joint: Joint) -> None:
        self.joint = joint
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        """Whether all parts support their shares of ``value (..., m)``, shape ``(...)``."""
        shares = zip(self.joint.parts, split_draws(value, self.joint.sizes), strict=True)
        checks = [part.support.check(share) for part, share in shares if part.support is not None]
        return torch.stack(torch.broadcast_tensors(*checks)).all(0)


# The shares that joint draws were made from.
_SHARES: Drawn[tuple[Tensor, ...]] = Drawn()


def split_draws(points: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """The shares of points ``(..., m)`` of a product space; of joint draws the very tensors they were made from.

    So that what the distributions of the parts know of their draws is found again.

    Parameters
    ----------
    points
        ``(..., sum(sizes))``.
    sizes
        How many numbers each share has.

    Raises
    ------
    ValueError
        If the points do not have as many numbers as the sizes sum to.

    Examples
    --------
    >>> [share.shape for share in split_draws(torch.zeros(5, 7), (3, 4))]
    [torch.Size([5, 3]), torch.Size([5, 4])]
    """
    shares = _SHARES.recall(points)
    if shares is not None and [share.shape[-1] for share in shares] == list(sizes):
        return shares
    if points.ndim < 1 or points.shape[-1] != sum(sizes):
        raise ValueError(
            f"points have shape {tuple(points.shape)}; expected {sum(sizes)} numbers a row, the sum of the sizes "
            f"{tuple(sizes)} of the parts."
        )
    return points.split(list(sizes), -1)


def _sum(terms: list[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


@register_kl(Joint, Joint)
def _joint_joint(p: Joint, q: Joint) -> Tensor:
    if p.sizes != q.sizes:
        raise ValueError(
            f"a divergence needs two distributions on one space; got parts of sizes {p.sizes} and {q.sizes}."
        )
    return _sum([kl_divergence(a, b) for a, b in zip(p.parts, q.parts, strict=True)])
