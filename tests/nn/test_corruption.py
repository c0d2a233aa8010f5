"""Count thinning."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from curvi._compressed import compressed_counts, dense
from curvi.nn import Corruption, CountThinning, FeatureDropout, GaussianNoise, SaltAndPepper


@pytest.mark.parametrize("rate", [0.2, 0.85])
@pytest.mark.parametrize("count", [1, 12, 20, 21, 64, 65, 130, 2048, 2049])
def test_thinned_counts_are_binomial(count, rate):
    torch.manual_seed(0)
    # Beside others, of which some are drawn in another way.
    counts = torch.tensor([[float(count), 3.0, 0.0, 100.0, 5000.0]]).repeat(20_000, 1)
    thinned = CountThinning(rate)(counts)[:, 0]
    observed = torch.bincount(thinned.long(), minlength=count + 1).numpy()
    expected = stats.binom(count, 1 - rate).pmf(range(count + 1)) * 20_000
    # Rare outcomes are pooled, as the chi-squared test wants.
    rare = expected < 5
    pooled = [[*counts[~rare], *([counts[rare].sum()] if rare.any() else [])] for counts in (observed, expected)]
    assert stats.chisquare(*pooled).pvalue > 1e-3


def test_compressed_counts_are_thinned_alike():
    counts = torch.poisson(torch.rand(30, 40) * 5)
    torch.manual_seed(0)
    thinned = CountThinning(0.3)(counts)
    torch.manual_seed(0)
    torch.testing.assert_close(dense(CountThinning(0.3)(compressed_counts(counts))), thinned)


def test_zeros_stay_zero_and_the_input_is_not_changed():
    torch.manual_seed(0)
    counts = torch.tensor([[0.0, 3.0, 0.0, 100.0]])
    thinned = CountThinning(0.5)(counts)
    assert thinned[0, 0] == thinned[0, 2] == 0
    assert counts.tolist() == [[0.0, 3.0, 0.0, 100.0]]


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_outside_the_open_unit_interval_is_refused(rate):
    with pytest.raises(ValueError, match="`rate` is"):
        CountThinning(rate)


@pytest.mark.parametrize("name", Corruption.names())
def test_every_corruption_changes_a_copy(name):
    torch.manual_seed(0)
    x = torch.randint(0, 5, (50, 40)).float()
    before = x.clone()
    spoilt = Corruption.named(name)()(x)
    assert spoilt.shape == x.shape
    assert spoilt.dtype == x.dtype
    assert torch.equal(x, before)
    assert not torch.equal(spoilt, x)
    if Corruption.named(name).keeps_counts:
        assert torch.equal(spoilt, spoilt.round())
        assert (spoilt >= 0).all()


def test_rates_and_scales_are_what_they_say():
    torch.manual_seed(0)
    x = torch.full((1, 100_000), 0.5)
    assert (FeatureDropout(0.3)(x) == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert (GaussianNoise(0.2)(x) - x).std().item() == pytest.approx(0.2, abs=0.005)
    spoilt = SaltAndPepper(0.4)(x)
    assert (spoilt == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert (spoilt == 1).float().mean().item() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("kind", [FeatureDropout, SaltAndPepper])
def test_other_rates_outside_the_open_unit_interval_are_refused(kind):
    with pytest.raises(ValueError, match="`rate` is 1.0; the fraction that is lost"):
        kind(1.0)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_that_is_not_positive_is_refused(scale):
    with pytest.raises(ValueError, match="`scale` is"):
        GaussianNoise(scale)
