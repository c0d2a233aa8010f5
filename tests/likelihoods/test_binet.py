from __future__ import annotations

import mpmath
import pytest
import torch

from curvi.likelihoods._binet import binet, binet_slope

# From where exp(parameters) may go to the largest sums of a count and an inverse dispersion.
Z = torch.logspace(-7, 8, 151, dtype=torch.float64)


def _binet(z):
    z = mpmath.mpf(z)
    return mpmath.loggamma(z) - (z - 0.5) * mpmath.log(z) + z - mpmath.log(2 * mpmath.pi) / 2


def _slope(z):
    z = mpmath.mpf(z)
    return mpmath.psi(0, z) - mpmath.log(z) + 1 / (2 * z)


@pytest.fixture(autouse=True)
def forty_digits():
    with mpmath.workdps(40):
        yield


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 6e-8), (torch.float64, 1.2e-16)])
def test_agrees_with_forty_digits(dtype, rounding):
    z = Z.to(dtype)
    expected = torch.tensor([float(_binet(v)) for v in z.tolist()], dtype=torch.float64)
    # Both are used next to terms of order one or of their own size.
    error = (binet(z).double() - expected).abs()
    assert (error <= 20 * rounding * expected.clamp(min=1.0)).all(), error.max()


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 6e-8), (torch.float64, 1.2e-16)])
def test_slope_agrees_with_forty_digits(dtype, rounding):
    z = Z.to(dtype)
    expected = torch.tensor([float(_slope(v)) for v in z.tolist()], dtype=torch.float64)
    # The gradient on the log scale is z times the slope, next to terms of order one.
    error = (binet_slope(z).double() - expected).abs() * z.double()
    assert (error <= 20 * rounding).all(), error.max()


def test_leaves_its_argument_alone():
    z = torch.tensor([0.5, 2.0])
    binet(z)
    binet_slope(z)
    assert z.tolist() == [0.5, 2.0]
