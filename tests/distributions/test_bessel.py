"""The normaliser of the von Mises-Fisher distribution, against 60 digits."""

from __future__ import annotations

import mpmath
import pytest
import torch

from curvi.distributions import _bessel

DIMENSIONS = [2, 3, 4, 5, 6, 10, 11, 20, 30, 50, 100, 256, 512, 1024]
CONCENTRATIONS = [*(10.0**e for e in range(-6, 7)), 0.3, 2.5, 7.0, 10.5, 30.0, 3000.0]


def worst(exact, m: int, dtype: torch.dtype) -> dict[str, float]:
    """The largest relative error of each term over the concentrations."""
    kappa = torch.tensor(CONCENTRATIONS, dtype=dtype)
    computed = _bessel.terms(m, kappa)
    # These two alone are what training needs.
    divergence, pull = _bessel.divergence(m, kappa)
    alone = computed._replace(divergence=divergence, pull=pull)
    errors = dict.fromkeys(computed._fields, 0.0)
    for i, k in enumerate(kappa.tolist()):
        for name, truth in exact(m, k).items():
            # The result as it is given to the user, rounded to the dtype.
            for found in (computed, alone):
                got = mpmath.mpf(float(getattr(found, name)[i].to(dtype)))
                errors[name] = max(errors[name], float(abs(got / truth - 1)))
    return errors


@pytest.mark.parametrize("m", DIMENSIONS)
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 2e-7), (torch.float64, 5e-11)])
def test_terms_agree_with_sixty_digits(library, m, dtype, bar, exact):
    errors = worst(exact, m, dtype)
    assert max(errors.values()) < bar, errors


@pytest.mark.parametrize("m", DIMENSIONS)
def test_without_float64_five_digits_remain(monkeypatch, m, exact):
    monkeypatch.setattr(_bessel, "double", lambda _device: torch.float32)
    errors = worst(exact, m, torch.float32)
    assert max(errors.values()) < 1e-5, errors
    values = _bessel.terms(m, torch.tensor([0.0, 1e-38, 1e15, 1e19, 1e30]))
    assert all(bool(torch.isfinite(value).all()) for value in values)


@pytest.mark.parametrize("m", DIMENSIONS)
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 3e-6), (torch.float64, 1e-8)])
def test_the_fast_shortfall_agrees_too(library, m, dtype, bar, exact):
    kappa = torch.tensor(CONCENTRATIONS, dtype=dtype)
    for k, got in zip(kappa.tolist(), _bessel.shortfall(m, kappa).tolist(), strict=True):
        assert abs(got / exact(m, k)["shortfall"] - 1) < bar


@pytest.mark.parametrize("m", [2, 3, 11, 50, 1024])
def test_no_concentration_is_regular(library, m):
    zero = torch.zeros(3, dtype=torch.float64)
    terms = _bessel.terms(m, zero)
    for name in ("phi", "gap", "length", "divergence", "pull"):
        assert bool((getattr(terms, name) == 0).all()), name
    torch.testing.assert_close(terms.shortfall, zero + 1)
    torch.testing.assert_close(terms.slope, zero + 1 / m)
    torch.testing.assert_close(_bessel.shortfall(m, zero), zero + 1)


@pytest.mark.parametrize("m", [2, 3, 11, 1024])
def test_huge_concentrations_follow_the_asymptote(library, m):
    kappa = torch.tensor([1e9, 1e12, 1e20, 3e38])
    terms = _bessel.terms(m, kappa)
    exponent = (m - 1) / 2
    torch.testing.assert_close(terms.shortfall * kappa.double(), torch.full((4,), exponent).double(), rtol=1e-3, atol=0)
    # Phi = kappa - (m-1)/2 log(kappa) + constant.
    growth = (terms.gap[1:] - terms.gap[:-1]) / torch.log(kappa[1:].double() / kappa[:-1].double())
    torch.testing.assert_close(growth, torch.full((3,), exponent).double(), rtol=1e-3, atol=0)


def test_blocks_do_not_show():
    kappa = torch.logspace(-3, 5, 3000).view(2, 1500)
    whole = _bessel.terms(5, kappa)
    for name, value in whole._asdict().items():
        assert value.shape == kappa.shape
        torch.testing.assert_close(value[1, 7], getattr(_bessel.terms(5, kappa[1, 7]), name), rtol=1e-13, atol=0)


@pytest.mark.parametrize("m", [2, 3, 10, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_concentration_of_inverts_the_mean_length(m, dtype):
    kappa = torch.tensor([0.0, 1e-5, 0.1, 1.0, 20.0, 1e3, 1e5], dtype=dtype)
    length = _bessel.mean_length(m, kappa)
    # As accurate as the length is told from 1.
    relative = 4 * torch.finfo(dtype).eps * torch.clamp(kappa, 1, None)
    assert bool(((_bessel.concentration_of(m, length) - kappa).abs() <= relative * kappa).all())


def test_derivatives_agree_with_differences():
    kappa = torch.tensor([0.2, 3.0, 40.0], dtype=torch.float64, requires_grad=True)
    length = torch.tensor([0.1, 0.5, 0.97], dtype=torch.float64, requires_grad=True)
    for m in (2, 3, 7):
        assert torch.autograd.gradcheck(lambda k, m=m: _bessel.mean_length(m, k), kappa)
        assert torch.autograd.gradcheck(lambda r, m=m: _bessel.concentration_of(m, r), length)


def test_the_expansion_begins_as_in_the_handbook():
    # log(1 + U_1 x + ..) = U_1 x + ..; U_1 = (3p - 5p^3) / 24, DLMF 10.41.10.
    first = _bessel._expansion(2)[1]
    assert {power: float(c) for power, c in first.items()} == {1: 3 / 24, 3: -5 / 24}
