"""The von Mises-Fisher distribution, exact at every concentration."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Size, Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.distributions import Distribution, constraints

from curvi.distributions import _bessel
from curvi.distributions._around import meridians, place, pull_back
from curvi.distributions._arrays import broadcast, enter, leave, rows
from curvi.distributions._constraints import unit_vector
from curvi.distributions._depth import depth_slope, sample_depth
from curvi.distributions._hyperspherical_uniform import log_area

if TYPE_CHECKING:
    from collections.abc import Sequence


class VonMisesFisher(Distribution):
    r"""The von Mises-Fisher distribution on the unit sphere :math:`S^{m-1}` in :math:`\mathbb{R}^m`.

    .. math::
        q(z) = \frac{e^{\kappa \langle \mu, z \rangle - \Phi(\kappa)}}{\lvert S^{m-1} \rvert}, \qquad
        \Phi(\kappa) = \log \mathbb{E}_{u \sim U(S^{m-1})} e^{\kappa u_1}

    with the mean direction :math:`\mu` and the concentration :math:`\kappa`: uniform at :math:`\kappa = 0`, and close
    to a Gaussian of variance :math:`1 / \kappa` in the tangent space at :math:`\mu` where :math:`\kappa` is large.
    Draws are exact, and differentiable in both parameters: in :math:`\mu` by rotation, in :math:`\kappa` by implicit
    reparameterisation :cite:p:`Figurnov2018`. Normaliser, entropy and divergences are computed in float64 and returned
    in the dtype of the parameters.

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

    Examples
    --------
    >>> q = VonMisesFisher(torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 100.0]))
    >>> q.rsample().shape, q.mean_resultant_length
    (torch.Size([2, 3]), tensor([0.3130, 0.9900]))
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "loc": unit_vector,
        "concentration": constraints.nonnegative,
    }
    support = unit_vector
    has_rsample = True

    def __init__(self, loc: Tensor, concentration: Tensor | float, *, validate_args: bool | None = None) -> None:
        if loc.ndim < 1 or loc.shape[-1] < 2:
            raise ValueError(f"`loc` has shape {tuple(loc.shape)}; expected unit rows (..., m) with m at least 2.")
        if not isinstance(concentration, Tensor):
            concentration = loc.new_tensor(concentration)
        if loc.dtype != concentration.dtype:
            dtype = torch.promote_types(loc.dtype, concentration.dtype)
            loc, concentration = loc.to(dtype), concentration.to(dtype)
        batch_shape = broadcast(loc.shape[:-1], concentration.shape)
        self.loc = loc.expand(batch_shape + loc.shape[-1:])
        self.concentration = concentration.expand(batch_shape)
        self._known: _bessel.Terms | None = None
        super().__init__(batch_shape, loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: VonMisesFisher | None = None) -> VonMisesFisher:
        """The same distribution, its parameters broadcast to another batch shape."""
        new = self._get_checked_instance(VonMisesFisher, _instance)
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
    def terms(self) -> _bessel.Terms:
        r""":math:`\Phi`, :math:`A` and their relatives at the concentration, in float64, computed once."""
        if self._known is None:
            self._known = _bessel.terms(self._m, self.concentration)
        return self._known

    @property
    def mean_resultant_length(self) -> Tensor:
        r"""The length :math:`A(\kappa)` of the mean, in [0, 1), shape ``(...)``."""
        return _bessel.with_derivatives(self.terms.length, [self.concentration], [self.terms.slope])

    @property
    def mean(self) -> Tensor:
        r""":math:`A(\kappa) \mu`, a point inside the sphere, ``(..., m)``."""
        return self.mean_resultant_length[..., None] * self.loc

    @property
    def mode(self) -> Tensor:
        r""":math:`\mu`, ``(..., m)``."""
        return self.loc

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draws ``(*sample_shape, ..., m)`` of length 1, differentiable in both parameters."""
        return _Draw.apply(self.loc, self.concentration, Size(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of unit rows ``value (..., m)`` with respect to the area of the sphere, shape ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        # 1 - <mu, z> and kappa - Phi, each without cancellation at large kappa.
        depth = (value - self.loc).square().sum(-1) / 2
        gap = _bessel.with_derivatives(self.terms.gap, [self.concentration], [self.terms.shortfall])
        return gap - self.concentration * depth - log_area(self._m)

    def entropy(self) -> Tensor:
        """The differential entropy in nats, shape ``(...)``; that of the uniform distribution less the divergence."""
        return log_area(self._m) - self.divergence_from_uniform()

    def divergence_from_uniform(self) -> Tensor:
        r""":math:`\mathrm{KL}(q \parallel U) = \kappa A(\kappa) - \Phi(\kappa)` in nats, shape ``(...)``."""
        return _bessel.with_derivatives(self.terms.divergence, [self.concentration], [self.terms.pull])


class _Draw(Function):
    """Unit rows, from mean directions ``(..., m)`` and concentrations ``(...)``."""

    @staticmethod
    def forward(ctx: Any, loc: Tensor, concentration: Tensor, sample_shape: Size) -> Tensor:
        at = meridians(loc, sample_shape + concentration.shape)
        depth = sample_depth(len(at.pole), concentration, leave(at.xp, at.cosine))
        z = place(at, depth)
        ctx.xp = at.xp
        ctx.save_for_backward(concentration, depth, leave(at.xp, at.pole), leave(at.xp, z))
        return leave(at.xp, rows(at.xp, z)).to(loc.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        concentration, depth, *components = ctx.saved_tensors
        pole, z = (enter(ctx.xp, x) for x in components)
        grad_loc, grad_depth = pull_back(ctx.xp, pole, depth, z, grad)
        grad_loc = grad_loc.to(grad.dtype).sum_to_size(*concentration.shape, len(pole))
        if not ctx.needs_input_grad[1]:
            return grad_loc, None, None
        grad_depth *= depth_slope(len(pole), concentration, depth)
        return grad_loc, grad_depth.to(grad.dtype).sum_to_size(concentration.shape), None
