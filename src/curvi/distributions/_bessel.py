r"""The normaliser of the von Mises-Fisher distribution against the uniform law, accurate at every concentration.

With :math:`m` the ambient dimension and :math:`\nu = m/2 - 1`,

.. math::
    \Phi(\kappa) = \log \mathbb{E}_{u \sim U(S^{m-1})} e^{\kappa u_1}
                 = \log {}_0F_1(; \nu + 1; \kappa^2 / 4), \qquad
    A(\kappa) = \Phi'(\kappa) = I_{\nu+1}(\kappa) / I_\nu(\kappa).

Both come from the uniform expansion of :math:`I_\nu` for large orders :cite:p:`DLMF` (10.41.3), started at an order
:math:`\nu^* \ge V` and stepped down by its continued fraction (10.29.1), with the Stirling series of the Gamma function
cancelled by hand, so that nothing overflows and all of them vanish at 0 with full relative accuracy.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from curvi._recording import recorded_whole
from curvi.distributions._arrays import enter, few, flat, in_blocks, kept, leave, powers, shaped, single
from curvi.distributions._derivatives import with_derivatives
from curvi.distributions._row_kernel import bessel_rows, divergence_rows
from curvi.manifolds._device import double, library

if TYPE_CHECKING:
    from torch import Tensor

# (V, K): the least order at which the expansion starts, and its number of terms. Over m from 2 to 1024 and kappa from
# 1e-6 to 1e6 the relative errors of Phi, A, A' and KL stay below 6e-8 (single) and 4e-11 (double), that of 1 - A alone
# below 3e-7 (fast).
_FAST, _SINGLE, _DOUBLE = (5, 4), (8, 7), (14, 10)
_CPU = torch.device("cpu")


class Terms(NamedTuple):
    r"""What all quantities are made of, each in the shape of :math:`\kappa`."""

    phi: Tensor
    r""":math:`\Phi(\kappa)`."""
    gap: Tensor
    r""":math:`\kappa - \Phi(\kappa)`, without cancellation at large :math:`\kappa`."""
    length: Tensor
    r""":math:`A(\kappa)`."""
    shortfall: Tensor
    r""":math:`1 - A(\kappa)`, without cancellation at large :math:`\kappa`."""
    slope: Tensor
    r""":math:`A'(\kappa)`."""
    divergence: Tensor
    r""":math:`\kappa A - \Phi`, the divergence from the uniform law."""
    pull: Tensor
    r""":math:`\kappa A'(\kappa)`, the slope of the divergence."""


@cache
def _expansion(order: int) -> list[dict[int, Fraction]]:
    """Polynomials D_1 .. D_order, exponent to coefficient, with log(1 + sum_k U_k(p) x^k) = sum_k D_k(p) x^k."""
    u: list[dict[int, Fraction]] = [{0: Fraction(1)}]
    for _ in range(order):
        # DLMF 10.41.9: U_{k+1} = p^2 (1 - p^2) U_k' / 2 + (1/8) int_0^p (1 - 5 t^2) U_k(t) dt.
        following: dict[int, Fraction] = {}
        for i, c in u[-1].items():
            following[i + 1] = following.get(i + 1, Fraction(0)) + c * (Fraction(i, 2) + Fraction(1, 8 * (i + 1)))
            following[i + 3] = following.get(i + 3, Fraction(0)) - c * (Fraction(i, 2) + Fraction(5, 8 * (i + 3)))
        u.append(following)
    d: list[dict[int, Fraction]] = [{}]
    for k in range(1, order + 1):
        total = dict(u[k])
        for j in range(1, k):
            for a, x in d[j].items():
                for b, y in u[k - j].items():
                    total[a + b] = total.get(a + b, Fraction(0)) - Fraction(j, k) * x * y
        d.append(total)
    return d


@cache
def _coefficients(twice_order: int, order: int) -> list[list[float]]:
    """For the order nu* = twice_order / 2: rows of p Y0, Y1 and Y2, columns p, p^2, .. p^(3 order)."""
    rows = [[Fraction(0)] * (3 * order) for _ in range(3)]
    for k, polynomial in enumerate(_expansion(order)):
        scale = Fraction(2, twice_order) ** k
        for i, c in polynomial.items():
            # (D(1) - D(p)) / (1 - p) turns p^i into 1 + p + ... + p^(i-1), exactly.
            for j in range(i):
                rows[0][j] += c * scale
            rows[1][i - 1] += i * c * scale
            rows[2][i - 1] += i * i * c * scale
    return [[float(c) for c in row] for row in rows]


class _Plan(NamedTuple):
    """The constants of one ambient dimension, as arrays of one library on one device."""

    xp: Any
    """The library, ``numpy`` or ``torch``."""
    nu: float
    """nu*, the order at which the expansion starts."""
    steps: int
    """How many steps lead from nu* down to nu."""
    table: Any
    """Coefficients of p Y0, Y1 and Y2, ``(3, 3 order)``."""
    divisors: Any
    """What the rows of the logarithms of Phi are divided by, ``(steps + 2, 1)``."""
    weights: Any
    """How often each of these logarithms counts, ``(steps + 2,)``."""
    descending: list[float]
    """Coefficients of Y1, from that of the highest power."""


@torch.compiler.assume_constant_result
def _constants(m: int, least: int, order: int) -> tuple[list[list[float]], list[list[float]], list[float]]:
    steps = _steps(m, least)
    nu = m / 2 - 1 + steps
    divisors = [[2 * nu], [nu], *([2 * (nu - step)] for step in range(steps))]
    return _coefficients(round(2 * nu), order), divisors, [-nu, -0.5, *([1.0] * steps)]


def _steps(m: int, least: int) -> int:
    return max(0, ceil(least + 1 - m / 2))


@kept
def _plan(m: int, least: int, order: int, xp: Any, dtype: torch.dtype, device: torch.device) -> _Plan:
    steps = _steps(m, least)
    constants = _constants(m, least, order)
    table, divisors, weights = (enter(xp, torch.tensor(values, dtype=dtype, device=device)) for values in constants)
    return _Plan(xp, m / 2 - 1 + steps, steps, table, divisors, weights, constants[0][1][::-1])


@recorded_whole
def terms(m: int, kappa: Tensor) -> Terms:
    r""":math:`\Phi`, :math:`A` and what belongs to them at ``kappa (...)``, in float64 where the device has it.

    Parameters
    ----------
    m
        Ambient dimension, at least 2.
    kappa
        Concentrations of any shape, at least 0.
    """
    xp, dtype = library(kappa.device), double(kappa.device)
    plan = _plan(m, *(_DOUBLE if kappa.dtype == torch.float64 else _SINGLE), xp, dtype, kappa.device)
    if dtype == torch.float64 and few(kappa, kappa.numel()):
        out = np.empty((len(Terms._fields), kappa.numel()))
        bessel_rows(flat(kappa), plan.nu, plan.steps, plan.table, out)
        return Terms(*(shaped(row, kappa.shape) for row in out))
    return Terms(*in_blocks(lambda k: _evaluate(plan, k), dtype, kappa))


@recorded_whole
def divergence(m: int, kappa: Tensor) -> tuple[Tensor, Tensor]:
    """The divergence from the uniform law and its slope alone, in the dtype of ``kappa``."""
    if double(kappa.device) != torch.float64 or not few(kappa, kappa.numel()):
        known = terms(m, kappa)
        return known.divergence.to(kappa.dtype), known.pull.to(kappa.dtype)
    plan = _plan(m, *(_DOUBLE if kappa.dtype == torch.float64 else _SINGLE), np, torch.float64, kappa.device)
    k = flat(kappa)
    value, pull = np.empty((2, len(k)), k.dtype)
    divergence_rows(k, plan.nu, plan.steps, plan.table, value, pull)
    return shaped(value, kappa.shape), shaped(pull, kappa.shape)


def shortfall(m: int, kappa: Tensor) -> Tensor:
    r""":math:`1 - A(\kappa)` alone, computed in the dtype of ``kappa``; in float32 good to 1e-6, up to 1e18."""
    xp, dtype = library(kappa.device), single(kappa.dtype)
    plan = _plan(m, *(_SINGLE if dtype == torch.float64 else _FAST), xp, dtype, kappa.device)
    return leave(xp, _evaluate_shortfall(plan, enter(xp, kappa, dtype))).to(kappa.dtype)


def expansion_of_shortfall(m: int, dtype: torch.dtype) -> tuple[Any, float, int]:
    """Of numbers of ``dtype`` on the CPU: the coefficients of Y1, the order that they belong to, and the steps."""
    plan = _plan(m, *(_SINGLE if dtype == torch.float64 else _FAST), np, torch.float64, _CPU)
    return plan.table[1], plan.nu, plan.steps


def _evaluate(plan: _Plan, kappa: Any) -> Any:
    xp, nu = plan.xp, plan.nu
    s = xp.sqrt(kappa * kappa + nu * nu)
    wide, high = s + nu, s + kappa
    first, r, p = kappa / wide, kappa / s, nu / s
    t = kappa * first
    y0, y1, y2 = plan.table @ powers(xp, p, plan.table.shape[1])
    g = y1 + 0.5
    bend = g * r / s
    length = first - bend
    shortfall = nu * (1 + nu / high) / wide + bend
    slope = p / wide + ((r - p) * (r + p) * g + r * r * y2) / (s * s)
    # Phi is a sum of log1p: two of the expansion, and one of x = kappa A / (2j) a step.
    lengths = [first, first]
    if plan.steps > 0:
        # 2j - kappa (1 - A) and 2j - kappa^2 A' stay positive and accurate for ever.
        left, right = 2 * nu - kappa * shortfall, 2 * nu - kappa * kappa * slope
        for step in range(1, plan.steps):
            lengths.append(length)
            length = kappa / (kappa + left)
            left, right = 2 * (nu - step) - length * left, 2 * (nu - step) - length * length * right
        lengths.append(length)
        below = kappa + left
        length, shortfall, slope = kappa / below, left / below, right / (below * below)
    rest = plan.weights @ xp.log1p(xp.stack(lengths) * kappa / plan.divisors) - t / nu * y0
    # kappa - t = nu (t + kappa) / (s + kappa).
    phi, gap = t + rest, nu * (t + kappa) / high - rest
    divergence = xp.where(kappa > nu, gap - kappa * shortfall, kappa * length - phi)
    return xp.stack([phi, gap, length, shortfall, slope, divergence, kappa * slope])


def _evaluate_shortfall(plan: _Plan, kappa: Any) -> Any:
    nu = plan.nu
    s = plan.xp.sqrt(kappa * kappa + nu * nu)
    p = nu / s
    y1 = plan.descending[0] * p
    for c in plan.descending[1:]:
        y1 = (y1 + c) * p
    value = nu * (1 + nu / (s + kappa)) / (s + nu) + kappa * (y1 + 0.5) / (s * s)
    if plan.steps == 0:
        return value
    left = 2 * nu - kappa * value
    for step in range(1, plan.steps):
        left = 2 * (nu - step) - kappa / (kappa + left) * left
    return left / (kappa + left)


def mean_length(m: int, kappa: Tensor) -> Tensor:
    r"""The mean resultant length :math:`A(\kappa) \in [0, 1)`, in the shape of ``kappa``; differentiable once."""
    known = terms(m, kappa)
    return with_derivatives(known.length, [kappa], [known.slope])


def concentration_of(m: int, length: Tensor) -> Tensor:
    r"""The concentration :math:`\kappa = A^{-1}(r)` of mean resultant lengths ``length``; differentiable once.

    Newton's method from :math:`r (m - r^2) / (1 - r^2)` :cite:p:`Banerjee2005`.

    Parameters
    ----------
    m
        Ambient dimension, at least 2.
    length
        :math:`r \in [0, 1)`, of any shape.
    """
    r = length.detach().to(double(length.device))
    kappa = r * (m - r.square()) / (1 - r.square())
    known = terms(m, kappa)
    for _ in range(8):
        # A - r is accurate for small r, the difference of the distances to 1 for large r.
        excess = torch.where(r < 0.5, known.length - r, (1 - r) - known.shortfall)
        kappa = (kappa - excess / known.slope).clamp_min(0.0)
        known = terms(m, kappa)
    return with_derivatives(kappa, [length], [known.slope.reciprocal()])
