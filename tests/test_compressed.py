"""Minibatches of compressed rows say what dense ones say."""

from __future__ import annotations

import pytest
import torch

from curvi._compressed import (
    compressed_counts,
    dense,
    is_compressed,
    parts_of,
    row_sums,
    stacked,
    unstacked,
    with_values,
)


@pytest.fixture
def counts():
    torch.manual_seed(0)
    x = torch.poisson(torch.rand(12, 30) * 0.4)
    x[3] = 0
    return x


def test_there_and_back(counts):
    x = compressed_counts(counts)
    assert is_compressed(x)
    assert not is_compressed(counts)
    assert x.shape == counts.shape
    assert x.values().all()
    assert dense(counts) is counts
    torch.testing.assert_close(dense(x), counts, rtol=0, atol=0)
    torch.testing.assert_close(x.to_dense(), counts, rtol=0, atol=0)
    assert [part.dtype for part in parts_of(x)] == [torch.int32, torch.int32, torch.float32]


def test_full_and_empty_ones():
    full = torch.ones(3, 4)
    torch.testing.assert_close(dense(compressed_counts(full)), full)
    for shape in ((0, 4), (3, 4)):
        nothing = compressed_counts(torch.zeros(shape))
        assert dense(nothing).shape == shape
        assert not dense(nothing).any()
        assert row_sums(nothing).tolist() == [[0.0]] * shape[0]


def test_below_one_another(counts):
    x = compressed_counts(counts)
    torch.testing.assert_close(dense(stacked(x, compressed_counts(counts[:5]))), torch.cat([counts, counts[:5]]))
    torch.testing.assert_close(stacked(counts, counts[:5]), torch.cat([counts, counts[:5]]))


@pytest.mark.parametrize("n_groups", [1, 2, 3, 4])
def test_groups_of_rows(counts, n_groups):
    for x in (counts, compressed_counts(counts)):
        for got, true in zip(unstacked(x, n_groups), counts.chunk(n_groups), strict=True):
            torch.testing.assert_close(dense(got), true)


@pytest.mark.parametrize("n_groups", [0, 5])
def test_groups_of_different_sizes_are_refused(counts, n_groups):
    for x in (counts, compressed_counts(counts)):
        with pytest.raises(ValueError, match=f"`n_groups` is {n_groups}, but 12 rows are not so many groups"):
            unstacked(x, n_groups)


def test_sums_and_other_values(counts):
    x = compressed_counts(counts)
    torch.testing.assert_close(row_sums(x), counts.sum(1, keepdim=True))
    torch.testing.assert_close(dense(with_values(x, x.values().log1p())), counts.log1p())


def test_sums_are_those_of_double_precision():
    large = torch.tensor([[2.0**25, 1.0, 1.0, 1.0, 1.0]])
    assert row_sums(compressed_counts(large)).item() == 2.0**25 + 4
