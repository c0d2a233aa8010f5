from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from curvi.likelihoods import Counts, RealValues, UnitInterval

FORMATS = {
    "numpy": np.asarray,
    "csr_matrix": sparse.csr_matrix,
    "csc_matrix": sparse.csc_matrix,
    "csr_array": sparse.csr_array,
    "coo_matrix": sparse.coo_matrix,
}


@pytest.fixture(params=FORMATS)
def as_format(request):
    return FORMATS[request.param]


@pytest.fixture
def counts():
    x = np.zeros((5, 4), dtype=np.float32)
    x[:, 0] = 1
    x[2, 3] = 7
    return x


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
def test_counts_pass(as_format, counts, dtype):
    Counts().check(as_format(counts.astype(dtype)), "nb", 0)
    RealValues().check(as_format(counts.astype(dtype)), "normal", 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, bool])
def test_pixels_pass(as_format, counts, dtype):
    UnitInterval().check(as_format((counts > 0).astype(dtype)), "bernoulli", 0)
    UnitInterval().check(as_format(counts / 7), "bernoulli", 0)
    UnitInterval().check(as_format(np.zeros((0, 4))), "bernoulli", 0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            -1.5,
            r"`X` has negative values \(smallest -1.5 in row 13\); likelihood 'nb' needs counts. Choose likelihood='no",
        ),
        (
            0.25,
            r"`X` has fractional values \(first 0.25 in row 13\); likelihood 'nb' needs counts. Choose likelihood='no",
        ),
        (np.nan, r"`X` has missing or infinite values \(first nan in row 13\); likelihood 'nb' needs counts"),
        (np.inf, r"`X` has missing or infinite values \(first inf in row 13\); likelihood 'nb' needs counts"),
    ],
)
def test_what_is_no_count(as_format, counts, value, message):
    counts[3, 1] = value
    with pytest.raises(ValueError, match=message):
        Counts().check(as_format(counts), "nb", 10)


def test_the_smallest_of_several_negative_values(as_format, counts):
    counts[1, 2], counts[4, 0] = -1, -3
    with pytest.raises(ValueError, match=r"smallest -3 in row 4"):
        Counts().check(as_format(counts.astype(np.int32)), "nb", 0)


def test_empty_cells(as_format, counts):
    counts[[1, 4]] = 0
    with pytest.raises(
        ValueError, match=r"`X` has empty cells \(2 in rows 0 to 4, the first in row 1\); .*filter_cells"
    ):
        Counts().check(as_format(counts), "poisson", 0)


def test_an_explicit_zero_makes_no_cell_full():
    x = sparse.csr_matrix((np.array([1.0, 0.0]), ([0, 1], [0, 0])), shape=(2, 3))
    with pytest.raises(ValueError, match="1 in rows 0 to 1, the first in row 1"):
        Counts().check(x, "nb", 0)


def test_empty_genes_are_fine(as_format, counts):
    assert (counts.sum(0) == 0).any()
    Counts().check(as_format(counts), "nb", 0)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_what_is_no_real_value(as_format, counts, value):
    counts[3, 1] = value
    with pytest.raises(
        ValueError, match=rf"`X` has missing or infinite values \(first {value} in row 3\); .* 'normal' needs"
    ):
        RealValues().check(as_format(counts), "normal", 0)


def test_real_values_may_be_negative_and_fractional(as_format, counts):
    RealValues().check(as_format(counts - 0.5), "normal", 0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            -0.5,
            r"`X` has values outside \[0, 1\] \(-0.5 in row 13\); likelihood 'bernoulli' needs numbers from 0 to 1. ",
        ),
        (
            255,
            r"`X` has values outside \[0, 1\] \(255 in row 13\); .* `curvi.data.from_images`, or divide 8-bit .* 255",
        ),
        (np.nan, r"`X` has missing or infinite values \(first nan in row 13\); likelihood 'bernoulli' needs numbers"),
        (np.inf, r"`X` has missing or infinite values \(first inf in row 13\); likelihood 'bernoulli' needs numbers"),
    ],
)
def test_what_is_no_pixel(as_format, counts, value, message):
    pixels = counts / 7
    pixels[3, 1] = value
    with pytest.raises(ValueError, match=message):
        UnitInterval().check(as_format(pixels), "bernoulli", 10)


def test_bytes_are_no_pixels(as_format, counts):
    with pytest.raises(ValueError, match=r"outside \[0, 1\] \(7 in row 2\)"):
        UnitInterval().check(as_format(counts.astype(np.uint8)), "bernoulli", 0)


def test_what_is_no_number():
    with pytest.raises(ValueError, match="`X` has entries of type <U1; it must be a matrix of numbers"):
        RealValues().check(np.array([["a"]]), "normal", 0)


def test_what_networks_see():
    x = torch.tensor([[0.0, 1.0, 3.0], [2.0, 0.0, 0.0]])
    torch.testing.assert_close(Counts().encoder_input(x), x.log1p())
    torch.testing.assert_close(Counts().size_factor(x), torch.tensor([[4.0], [2.0]]))
    assert RealValues().encoder_input(x) is x
    torch.testing.assert_close(RealValues().size_factor(x), torch.ones(2, 1))
    assert UnitInterval().encoder_input(x) is x
    torch.testing.assert_close(UnitInterval().size_factor(x), torch.ones(2, 1))
