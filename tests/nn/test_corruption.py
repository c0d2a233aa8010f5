"""Count thinning."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from curvi.nn import CountThinning


def test_thinned_counts_are_binomial():
    torch.manual_seed(0)
    thinned = CountThinning(0.2)(torch.full((1, 20_000), 12.0)).flatten()
    observed = torch.bincount(thinned.long(), minlength=13).numpy()
    expected = stats.binom(12, 0.8).pmf(range(13)) * 20_000
    # Rare outcomes are pooled, as the chi-squared test wants.
    rare = expected < 5
    pooled = [[*counts[~rare], counts[rare].sum()] for counts in (observed, expected)]
    assert stats.chisquare(*pooled).pvalue > 1e-3


def test_zeros_stay_zero_and_the_input_is_not_changed():
    torch.manual_seed(0)
    counts = torch.tensor([[0.0, 3.0, 0.0, 100.0]])
    thinned = CountThinning(0.5)(counts)
    assert thinned[0, 0] == thinned[0, 2] == 0
    assert counts.tolist() == [[0.0, 3.0, 0.0, 100.0]]


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_outside_the_open_unit_interval_is_refused(rate):
    with pytest.raises(ValueError, match="`thinning_rate` is"):
        CountThinning(rate)
