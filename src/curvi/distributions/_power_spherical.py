"""The power spherical distribution, exact at every concentration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from curvi.distributions import _beta
from curvi.distributions._derivatives import with_derivatives
from curvi.distributions._hyperspherical_uniform import log_area
from curvi.distributions._tilts import POWER
from curvi.distributions._zonal import Zonal

if TYPE_CHECKING:
    from torch import Tensor


class PowerSpherical(Zonal):
    r"""The power spherical distribution :cite:p:`DeCao2020` on the unit sphere :math:`S^{m-1}` in :math:`\mathbb{R}^m`.

    .. math::
        q(z) = \frac{1}{\lvert S^{m-1} \rvert} \left(\frac{1 + \langle \mu, z \rangle}{2}\right)^\kappa e^{-F(\kappa)},
        \qquad
        F(\kappa) = \log \frac{\Gamma(\tfrac{m-1}{2} + \kappa)\, \Gamma(m - 1)}
                              {\Gamma(m - 1 + \kappa)\, \Gamma(\tfrac{m-1}{2})}

    with the mean direction :math:`\mu` and the concentration :math:`\kappa`: uniform at :math:`\kappa = 0`, without
    mass at the antipode of :math:`\mu` elsewhere, and close to a Gaussian of variance :math:`2 / \kappa` in the tangent
    space at :math:`\mu` where :math:`\kappa` is large. Half the depth, :math:`(1 - \langle \mu, z \rangle) / 2`, has
    the law :math:`\mathrm{Beta}(\tfrac{m-1}{2}, \tfrac{m-1}{2} + \kappa)`. Draws are exact, and differentiable in both
    parameters: in :math:`\mu` by rotation, in :math:`\kappa` by implicit reparameterisation :cite:p:`Figurnov2018`.
    Normaliser, entropy and divergences are computed in float64 and returned in the dtype of the parameters. Closed are
    the divergences from and of the uniform distribution, from a von Mises-Fisher distribution, and from another power
    spherical distribution with the same direction; for two directions one integral is left, which a quadrature computes
    to 1e-9 of its value.

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
    >>> q = PowerSpherical(torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 100.0]))
    >>> q.rsample().shape, q.mean_resultant_length
    (torch.Size([2, 3]), tensor([0.3333, 0.9804]))
    """

    tilt = POWER

    @property
    def terms(self) -> _beta.Terms:
        r""":math:`F` and its relatives at the concentration, in float64, computed once."""
        if self._known is None:
            self._known = _beta.terms(self._m, self.concentration)
        return self._known

    @property
    def mean_resultant_length(self) -> Tensor:
        r"""The length :math:`\kappa / (\kappa + m - 1)` of the mean, in [0, 1), shape ``(...)``."""
        return with_derivatives(self.terms.length, [self.concentration], [self.terms.slope])

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of unit rows ``value (..., m)`` with respect to the area of the sphere, shape ``(...)``.

        It has no lower bound near the antipode of the mean direction, which itself counts as the nearest number to it.
        """
        if self._validate_args:
            self._validate_sample(value)
        # log((1 + <mu, z>) / 2) by the distance to the nearer one of the mean direction and its antipode.
        away, back = (value - self.loc).square().sum(-1) / 4, (value + self.loc).square().sum(-1) / 4
        least = torch.finfo(back.dtype).tiny
        log = torch.where(away < 0.5, (-away.clamp_max(0.5)).log1p(), back.clamp_min(least).log())
        phi = with_derivatives(self.terms.phi, [self.concentration], [-self.terms.potential])
        return self.concentration * log - phi - log_area(self._m)

    def divergence_from_uniform(self) -> Tensor:
        r""":math:`\mathrm{KL}(q \parallel U) = \kappa F'(\kappa) - F(\kappa)` in nats, shape ``(...)``."""
        # All that training needs.
        known = self._known
        value, pull = known[:2] if known is not None else _beta.divergence(self._m, self.concentration)
        return with_derivatives(value, [self.concentration], [pull])
