"""Functions of a radius, against 150 digits."""

from __future__ import annotations

import mpmath
import pytest
import torch

from curvi.manifolds._radial import log_sinhc, no_longer


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_log_of_sinh_over_r(dtype, tolerance):
    r = torch.tensor([0.0, 1e-30, 1e-9, 1e-3, 0.05, 0.0999, 0.1001, 0.5, 3.0, 30.0, 700.0, 1e5], dtype=dtype)
    r.requires_grad_()
    value = log_sinhc(r)
    (slope,) = torch.autograd.grad(value.sum(), r)
    for x, got, got_slope in zip(r.tolist(), value.tolist(), slope.tolist(), strict=True):
        with mpmath.workdps(150):
            truth = mpmath.log(mpmath.sinh(x) / x) if x else 0
            true_slope = mpmath.coth(x) - 1 / mpmath.mpf(x) if x else 0
        assert got == pytest.approx(float(truth), rel=10 * tolerance, abs=3 * tolerance if x > 0.1 else 1e-37)
        assert got_slope == pytest.approx(
            float(true_slope), rel=10 * tolerance, abs=3 * tolerance if x > 0.1 else 1e-37
        )


def test_only_what_is_too_long_is_shortened():
    x = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    torch.testing.assert_close(no_longer(x, 2.5), torch.tensor([[1.5, 2.0], [0.3, 0.4], [0.0, 0.0]]))
