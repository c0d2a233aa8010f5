"""The von Mises-Fisher distribution, exact at every concentration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curvi.distributions import _bessel
from curvi.distributions._derivatives import with_derivatives
from curvi.distributions._hyperspherical_uniform import log_area
from curvi.distributions._tilts import EXPONENTIAL
from curvi.distributions._zonal import Zonal

if TYPE_CHECKING:
    from torch import Tensor


class VonMisesFisher(Zonal):
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
    >>> import torch
    >>> q = VonMisesFisher(torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 100.0]))
    >>> q.rsample().shape, q.mean_resultant_length
    (torch.Size([2, 3]), tensor([0.3130, 0.9900]))
    """

    tilt = EXPONENTIAL

    @property
    def terms(self) -> _bessel.Terms:
        r""":math:`\Phi`, :math:`A` and their relatives at the concentration, in float64, computed once."""
        if self._known is None:
            self._known = _bessel.terms(self._m, self.concentration)
        return self._known

    @property
    def mean_resultant_length(self) -> Tensor:
        r"""The length :math:`A(\kappa)` of the mean, in [0, 1), shape ``(...)``."""
        return with_derivatives(self.terms.length, [self.concentration], [self.terms.slope])

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of unit rows ``value (..., m)`` with respect to the area of the sphere, shape ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        # 1 - <mu, z> and kappa - Phi, each without cancellation at large kappa.
        depth = (value - self.loc).square().sum(-1) / 2
        gap = with_derivatives(self.terms.gap, [self.concentration], [self.terms.shortfall])
        return gap - self.concentration * depth - log_area(self._m)

    def divergence_from_uniform(self) -> Tensor:
        r""":math:`\mathrm{KL}(q \parallel U) = \kappa A(\kappa) - \Phi(\kappa)` in nats, shape ``(...)``."""
        # All that training needs.
        known = self._known
        value, pull = (
            _bessel.divergence(self._m, self.concentration) if known is None else (known.divergence, known.pull)
        )
        return with_derivatives(value, [self.concentration], [pull])
