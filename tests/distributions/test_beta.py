"""The normaliser of the power spherical distribution, against 60 digits."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from numpy.polynomial.legendre import leggauss

from curvi.distributions import _beta

DIMENSIONS = [2, 3, 4, 5, 6, 10, 11, 20, 30, 50, 100, 256, 512, 1024]
CONCENTRATIONS = [*(10.0**e for e in range(-6, 7)), 1e-9, 0.3, 2.5, 7.0, 10.5, 30.0, 3000.0, 1e9]


def worst(exact_power, m: int, dtype: torch.dtype) -> dict[str, float]:
    """The largest relative error of each term over the concentrations."""
    kappa = torch.tensor(CONCENTRATIONS, dtype=dtype)
    # These two alone are what training needs.
    divergence, pull = _beta.divergence(m, kappa)
    computed = _beta.terms(m, kappa)._replace(divergence=divergence, pull=pull)
    errors = dict.fromkeys(computed._fields, 0.0)
    for i, k in enumerate(kappa.tolist()):
        for name, truth in exact_power(m, k).items():
            # The result as it is given to the user, rounded to the dtype.
            got = mpmath.mpf(float(getattr(computed, name)[i].to(dtype)))
            errors[name] = max(errors[name], float(abs(got / truth - 1)))
    return errors


@pytest.mark.parametrize("m", DIMENSIONS)
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 1e-7), (torch.float64, 1e-14)])
def test_terms_agree_with_sixty_digits(library, m, dtype, bar, exact_power):
    errors = worst(exact_power, m, dtype)
    assert max(errors.values()) < bar, errors


@pytest.mark.parametrize("m", DIMENSIONS)
def test_without_float64_five_digits_remain(library, monkeypatch, m, exact_power):
    monkeypatch.setattr(_beta, "double", lambda _device: torch.float32)
    errors = worst(exact_power, m, torch.float32)
    assert max(errors.values()) < 1e-5, errors
    values = _beta.terms(m, torch.tensor([0.0, 1e-38, 1e15, 1e19, 1e30]))
    assert all(bool(torch.isfinite(value).all()) for value in values)


@pytest.mark.parametrize("m", DIMENSIONS)
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 2e-6), (torch.float64, 1e-14)])
def test_the_potential_alone_agrees_too(library, m, dtype, bar, exact_power):
    kappa = torch.tensor(CONCENTRATIONS, dtype=dtype)
    for k, got in zip(kappa.tolist(), _beta.mean_potential(m, kappa).tolist(), strict=True):
        assert abs(got / exact_power(m, k)["potential"] - 1) < bar


@pytest.mark.parametrize("m", [2, 3, 11, 50])
def test_the_divergence_alone_is_that_of_all_terms(library, m):
    kappa = torch.logspace(-9, 9, 60, dtype=torch.float64)
    terms = _beta.terms(m, kappa)
    for got, expected in zip(_beta.divergence(m, kappa), (terms.divergence, terms.pull), strict=True):
        torch.testing.assert_close(got, expected, rtol=2e-14, atol=0)


@pytest.mark.parametrize("m", [2, 3, 11, 50, 1024])
def test_no_concentration_is_regular(library, m):
    zero = torch.zeros(3, dtype=torch.float64)
    terms = _beta.terms(m, zero)
    for name in ("phi", "divergence", "pull", "reverse", "drop", "length"):
        assert bool((getattr(terms, name) == 0).all()), name
    c = (m - 1) / 2
    torch.testing.assert_close(terms.potential, zero + float(mpmath.psi(0, 2 * c) - mpmath.psi(0, c)))
    torch.testing.assert_close(terms.variance, zero + float(mpmath.psi(1, c) - mpmath.psi(1, 2 * c)))
    torch.testing.assert_close(_beta.mean_potential(m, zero), terms.potential)


@pytest.mark.parametrize("m", [2, 3, 11, 1024])
def test_huge_concentrations_follow_the_asymptote(library, m):
    kappa = torch.tensor([1e9, 1e12, 1e20, 3e38])
    terms = _beta.terms(m, kappa)
    c = (m - 1) / 2
    torch.testing.assert_close(terms.potential * kappa.double(), torch.full((4,), c).double(), rtol=1e-5, atol=0)
    # F = -c log(kappa) + constant.
    fall = -(terms.phi[1:] - terms.phi[:-1]) / torch.log(kappa[1:].double() / kappa[:-1].double())
    torch.testing.assert_close(fall, torch.full((3,), c).double(), rtol=1e-5, atol=0)


def test_on_the_globe_it_is_elementary():
    # Gamma(1 + kappa) Gamma(2) / (Gamma(2 + kappa) Gamma(1)) = 1 / (1 + kappa).
    kappa = torch.logspace(-8, 8, 50, dtype=torch.float64)
    torch.testing.assert_close(_beta.terms(3, kappa).phi, -kappa.log1p(), rtol=1e-14, atol=0)


def test_blocks_do_not_show():
    kappa = torch.logspace(-3, 5, 3000).view(2, 1500)
    whole = _beta.terms(5, kappa)
    for name, value in whole._asdict().items():
        assert value.shape == kappa.shape
        torch.testing.assert_close(value[1, 7], getattr(_beta.terms(5, kappa[1, 7]), name), rtol=1e-13, atol=0)


def test_the_bernoulli_numbers_are_those_of_the_handbook():
    known = [(1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730)]
    assert _beta._bernoulli(12)[2::2] == [Fraction(*x) for x in known]


@pytest.mark.parametrize("m", [3, 4, 6, 20])
@pytest.mark.parametrize(("kappa", "cosine"), [(0.7, 0.3), (5.0, -0.5), (30.0, 0.8)])
def test_the_potential_of_another_pole_is_its_integral_over_the_sphere(library, m, kappa, cosine):
    # Over the angle to the pole of the law, and over that of the direction across.
    x, w = leggauss(1000)
    angle, around = (x + 1)[:, None] * np.pi / 2, (x + 1) * np.pi / 2
    density = w * (np.sin(angle) ** (m - 2) * np.cos(angle / 2) ** (2 * kappa))[:, 0]
    across = w * np.sin(around) ** (m - 3)
    height = np.cos(angle) * cosine + np.sin(angle) * np.sqrt(1 - cosine**2) * np.cos(around)
    potential = -np.log((1 + height) / 2) @ across / across.sum() + np.log((1 + np.cos(angle[:, 0])) / 2)
    arguments = (torch.tensor([x], dtype=torch.float64) for x in (kappa, 1 - cosine))
    got = float(_beta.potential_aside(m, *arguments)[0])
    # The rule is not made for the point where the potential is infinite.
    assert got == pytest.approx(density @ potential / density.sum(), rel=2e-6)


@pytest.mark.parametrize("m", [2, 3, 5, 50, 512])
def test_the_potential_of_another_pole_to_forty_digits(library, m):
    for kappa in (1e-6, 0.3, 100.0, 1e6):
        for s in (1e-9, 0.1, 0.9, 1.0):
            depth = torch.tensor([2 * s], dtype=torch.float64)
            got = float(_beta.potential_aside(m, torch.tensor([kappa], dtype=torch.float64), depth)[0])
            assert got == pytest.approx(float(_aside(m, kappa, s)), rel=2e-10)


def _aside(m: int, kappa: float, s: float) -> mpmath.mpf:
    """The same integral by another rule, and by digamma functions where the poles are opposite."""
    with mpmath.workdps(30):
        c, k, s_ = mpmath.mpf(m - 1) / 2, mpmath.mpf(kappa), mpmath.mpf(s)
        if s == 1:
            # Opposite poles: the means of two logarithms of one Beta law.
            return mpmath.psi(0, c + k) - mpmath.psi(0, c)

        def integrand(t: mpmath.mpf) -> mpmath.mpf:
            w = mpmath.exp(t)
            return mpmath.exp(-(c + k) * mpmath.log1p(w)) * mpmath.expm1(k * mpmath.log1p(s_ * w))

        scale = -mpmath.log(c + k)
        return mpmath.quad(integrand, sorted([scale - 80, scale - 20, scale, scale + 10, 25, 200 / c]))


def test_the_potential_of_another_pole_is_that_of_the_own_where_they_agree(library):
    kappa = torch.tensor([0.0, 1e-3, 1.0, 1e3, 1e9], dtype=torch.float64)
    for m in (2, 3, 50):
        excess, in_kappa, in_depth = _beta.potential_aside(m, kappa, 0 * kappa)
        assert bool((excess == 0).all())
        assert bool((in_kappa == 0).all())
        assert bool(torch.isfinite(in_depth).all())
        assert all(float(x[0]) == 0 for x in _beta.potential_aside(m, kappa, 0 * kappa + 1)[::2])
