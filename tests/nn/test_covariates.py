"""The shift of a layer by batch levels."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from curvi.nn import CovariateShift


def test_equals_a_linear_map_of_concatenated_one_hots():
    torch.manual_seed(0)
    shift = CovariateShift(7, n_per_level=[3, 2], n_continuous=2, fan_in=5)
    levels = torch.tensor([[0, 1], [2, 0], [1, 1]])
    continuous = torch.randn(3, 2)
    one_hot = torch.cat([functional.one_hot(levels[:, 0], 3), functional.one_hot(levels[:, 1], 2)], 1).float()
    weight = torch.cat([*shift.tables, shift.slope.T])
    torch.testing.assert_close(shift(levels, continuous), torch.cat([one_hot, continuous], 1) @ weight)


def test_a_category_moves_no_other_level():
    shift = CovariateShift(4, n_per_level=[3, 2], fan_in=5)
    before = shift(torch.tensor([[0, 1]]))
    with torch.no_grad():
        shift.tables[0][2] += 100.0
        shift.tables[1][0] += 100.0
    torch.testing.assert_close(shift(torch.tensor([[0, 1]])), before, rtol=0, atol=0)


def test_missing_continuous_covariates_are_named():
    shift = CovariateShift(4, n_per_level=[], n_continuous=3, fan_in=5)
    with pytest.raises(ValueError, match="`continuous` is missing; this layer was built for 3"):
        shift(torch.zeros(2, 0, dtype=torch.int64))
