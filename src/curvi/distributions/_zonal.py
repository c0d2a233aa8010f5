"""What the distributions share whose density depends on the distance to one direction only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from operator import index
from typing import TYPE_CHECKING, Any, ClassVar, Self

from torch import Size, Tensor, promote_types
from torch.autograd.function import once_differentiable
from torch.distributions import Distribution, constraints

from curvi._recording import Function
from curvi.distributions._around import meridians, place, pull_back
from curvi.distributions._around_rows import place_by_rows, pull_back_by_rows, row_meridians
from curvi.distributions._arrays import broadcast, enter, few, leave, rows
from curvi.distributions._constraints import unit_vector
from curvi.distributions._depth import depth_slope, sample_depth
from curvi.distributions._globe import GLOBE, draw_on_globe, pull_back_on_globe
from curvi.distributions._hyperspherical_uniform import log_area

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curvi.distributions._tilts import Tilt


class Zonal(Distribution, ABC):
    r"""A density on the unit sphere that falls with the distance to a mean direction, and the faster, the larger kappa.

    Draws are exact, and differentiable in both parameters: in :math:`\mu` by rotation, in :math:`\kappa` by implicit
    reparameterisation :cite:p:`Figurnov2018`. At :math:`\kappa = 0` the law is uniform.

    Parameters
    ----------
    loc
        Mean direction :math:`\mu`, unit rows ``(..., m)``, m at least 2.
    concentration
        :math:`\kappa \ge 0`, shape ``(...)``; broadcasts against the leading dimensions of ``loc``.
    validate_args
        Whether arguments and values are checked.

    Raises
    ------
    ValueError
        If ``loc`` has fewer than two numbers a row, or, where arguments are checked, is not of length 1 or
        ``concentration`` is negative.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "loc": unit_vector,
        "concentration": constraints.nonnegative,
    }
    support = unit_vector
    has_rsample = True
    tilt: ClassVar[Tilt]
    """The law of the depth below the mean direction."""

    def __init__(self, loc: Tensor, concentration: Tensor | float, *, validate_args: bool | None = None) -> None:
        if loc.ndim < 1 or loc.shape[-1] < 2:
            raise ValueError(f"`loc` has shape {tuple(loc.shape)}; expected unit rows (..., m) with m at least 2.")
        if not isinstance(concentration, Tensor):
            concentration = loc.new_tensor(concentration)
        if loc.dtype != concentration.dtype:
            dtype = promote_types(loc.dtype, concentration.dtype)
            loc, concentration = loc.to(dtype), concentration.to(dtype)
        batch_shape = broadcast(loc.shape[:-1], concentration.shape)
        # Each view would be a step of the backward pass.
        self.loc = loc if loc.shape[:-1] == batch_shape else loc.expand(batch_shape + loc.shape[-1:])
        self.concentration = concentration if concentration.shape == batch_shape else concentration.expand(batch_shape)
        self._known: Any = None
        super().__init__(batch_shape, loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Self | None = None) -> Self:
        """The same distribution, its parameters broadcast to another batch shape."""
        new = self._get_checked_instance(type(self), _instance)
        new.loc = self.loc.expand(Size(batch_shape) + self.event_shape)
        new.concentration = self.concentration.expand(Size(batch_shape))
        new._known = None
        Distribution.__init__(new, Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def _m(self) -> int:
        # A graph that is being compiled is made for one dimension: a number, not a symbol.
        return index(self.event_shape[0])

    @property
    @abstractmethod
    def mean_resultant_length(self) -> Tensor:
        """The length of the mean, in [0, 1), shape ``(...)``."""

    @abstractmethod
    def divergence_from_uniform(self) -> Tensor:
        r""":math:`\mathrm{KL}(q \parallel U)` in nats, shape ``(...)``."""

    @property
    def mean(self) -> Tensor:
        r""":math:`\mathbb{E} z`, a point inside the sphere in the direction :math:`\mu`, ``(..., m)``."""
        return self.mean_resultant_length[..., None] * self.loc

    @property
    def mode(self) -> Tensor:
        r""":math:`\mu`, ``(..., m)``."""
        return self.loc

    def entropy(self) -> Tensor:
        """The differential entropy in nats, shape ``(...)``; that of the uniform distribution less the divergence."""
        return log_area(self._m) - self.divergence_from_uniform()

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draws ``(*sample_shape, ..., m)`` of length 1, differentiable in both parameters."""
        return _Draw.apply(self.loc, self.concentration, Size(sample_shape), self.tilt, self._m)


class _Draw(Function):
    """Unit rows, from mean directions ``(..., m)`` and concentrations ``(...)``."""

    @staticmethod
    def forward(ctx: Any, loc: Tensor, concentration: Tensor, sample_shape: Size, tilt: Tilt, m: int) -> Tensor:
        ctx.tilt, ctx.m, shape = tilt, m, sample_shape + concentration.shape
        ctx.few = few(loc, shape.numel())
        if ctx.few:
            return _draw_few(ctx, loc, concentration, shape)
        at = meridians(loc, shape)
        depth = sample_depth(tilt, m, concentration, leave(at.xp, at.cosine))
        z = place(at, depth)
        ctx.xp = at.xp
        ctx.save_for_backward(concentration, depth, leave(at.xp, at.pole), leave(at.xp, z))
        return leave(at.xp, rows(at.xp, z)).to(loc.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        concentration, depth, pole, z = ctx.saved_tensors
        needed = ctx.needs_input_grad[1]
        if ctx.few and ctx.m == GLOBE:
            grad_loc, grad_concentration = pull_back_on_globe(ctx.tilt, concentration, depth, pole, z, grad)
        else:
            if ctx.few:
                grad_loc, grad_concentration = pull_back_by_rows(pole, depth, z, grad)
            else:
                grad_loc, grad_concentration = pull_back(ctx.xp, enter(ctx.xp, pole), depth, enter(ctx.xp, z), grad)
            if needed:
                grad_concentration *= depth_slope(ctx.tilt, ctx.m, concentration, depth)
        grad_loc = _summed(grad_loc, grad, concentration.shape + grad.shape[-1:])
        return grad_loc, _summed(grad_concentration, grad, concentration.shape) if needed else None, None, None, None


def _draw_few(ctx: Any, loc: Tensor, concentration: Tensor, shape: Size) -> Tensor:
    if ctx.m == GLOBE:
        z, depth, pole = draw_on_globe(ctx.tilt, loc, concentration, shape)
    else:
        at = row_meridians(loc, shape)
        pole, depth = at.pole, sample_depth(ctx.tilt, ctx.m, concentration, at.cosine)
        z = place_by_rows(at, depth)
    ctx.save_for_backward(concentration, depth, pole, z)
    return z


def _summed(gradient: Tensor, like: Tensor, shape: Size) -> Tensor:
    """A gradient in the dtype of another, summed to the shape of what was repeated."""
    gradient = gradient.to(like.dtype)
    return gradient if gradient.shape == shape else gradient.sum_to_size(shape)
