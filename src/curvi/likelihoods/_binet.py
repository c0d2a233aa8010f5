"""Binet's function, which is what is left of the log-gamma function once its large terms are written out."""

from __future__ import annotations

import torch
from torch import Tensor

# Coefficients of Stirling's series for J in 1/z, 1/z^3, ... and for -J' in 1/z^2, 1/z^4, ...
_VALUE = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
_SLOPE = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160)

# How far z is moved up before the series is used and how many of its terms are, so that the rest is below rounding.
_EFFORT = {torch.float64: (8, 8)}
_SINGLE = (3, 4)


def _polynomial(coefficients: tuple[float, ...], w: Tensor) -> Tensor:
    value = w * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        value.add_(coefficient).mul_(w)
    return value.add_(coefficients[0])


def binet(z: Tensor) -> Tensor:
    r"""Binet's function :math:`J(z) = \log\Gamma(z) - (z - \tfrac12)\log z + z - \tfrac12\log 2\pi`.

    It falls from infinity at 0 to 0 as :math:`1/(12z)`. Differences of :math:`\log\Gamma` at large arguments cancel in
    floating point; written with :math:`J`, the cancelling terms can be joined by hand first.

    Parameters
    ----------
    z
        Positive numbers, ``(...)``.

    Returns
    -------
    Values, ``(...)``, with an absolute error of a few units of rounding of 1. No gradient: see :func:`binet_slope`.

    Examples
    --------
    >>> binet(torch.tensor([0.5, 1.0, 1e6], dtype=torch.float64))
    tensor([1.5343e-01, 8.1061e-02, 8.3333e-08], dtype=torch.float64)
    """
    shift, n_terms = _EFFORT.get(z.dtype, _SINGLE)
    top = z + shift
    ratio = z / top
    for k in range(1, shift):
        ratio.mul_(z + k).div_(top)
    inverse = top.reciprocal()
    tail = _polynomial(_VALUE[:n_terms], inverse * inverse).mul_(inverse)
    return tail.addcmul_(z - 0.5, (shift / z).log1p_()).sub_(shift).sub_(ratio.log_())


def binet_slope(z: Tensor) -> Tensor:
    r"""The derivative :math:`J'(z) = \psi(z) - \log z + \tfrac{1}{2z}` of :func:`binet`.

    Parameters
    ----------
    z
        Positive numbers, ``(...)``.

    Returns
    -------
    Values, ``(...)``, always negative, rising to 0 as :math:`-1/(12z^2)`.

    Examples
    --------
    >>> binet_slope(torch.tensor([0.5, 1.0, 1e3], dtype=torch.float64))
    tensor([-2.7036e-01, -7.7216e-02, -8.3333e-08], dtype=torch.float64)
    """
    shift, n_terms = _EFFORT.get(z.dtype, _SINGLE)
    inverse = (z + shift).reciprocal()
    w = inverse * inverse
    slope = (shift / z).log1p_().addcmul_(_polynomial(_SLOPE[:n_terms], w), w, value=-1.0).sub_(inverse, alpha=0.5)
    slope.sub_(z.reciprocal(), alpha=0.5)
    for k in range(1, shift):
        slope.sub_((z + k).reciprocal_())
    return slope
