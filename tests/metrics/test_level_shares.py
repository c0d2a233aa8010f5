"""Plain and unique shares of levels, against least squares and against chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curvi.metrics import LevelShares, variance_explained


def added(values, codes, groups=None, n_parts=3):
    shares = LevelShares((codes.max(0) + 1).tolist(), 1 if groups is None else groups.max() + 1)
    for rows in np.array_split(np.random.default_rng(0).permutation(len(values)), n_parts):
        shares.add(values[rows], codes[rows], None if groups is None else groups[rows])
    return shares


def squares_left(values, codes):
    design = np.concatenate([np.ones((len(codes), 1)), *(pd.get_dummies(c).to_numpy(float) for c in codes.T)], 1)
    fit, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    return np.square(values - design @ fit).sum(), rank


def data(n=300, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(4, size=n), rng.integers(3, size=n)], 1)
    shifts = [rng.normal(size=(4, 6)), 0.5 * rng.normal(size=(3, 6))]
    return rng.normal(size=(n, 6)) + shifts[0][codes[:, 0]] + shifts[1][codes[:, 1]], codes


def test_against_least_squares():
    values, codes = data()
    shares, n = added(values, codes), len(values)
    total = np.square(values - values.mean(0)).sum()
    left, rank = squares_left(values, codes)
    for level in range(2):
        alone, rank_alone = squares_left(values, codes[:, [level]])
        assert shares.share(level) == pytest.approx(1 - alone / total * (n - 1) / (n - rank_alone))
        assert shares.share(level) == pytest.approx(
            variance_explained(values, codes[:, level], n_shuffles=100), abs=0.01
        )
        others, rank_others = squares_left(values, codes[:, [1 - level]])
        chance = (n - rank) / (n - rank_others)
        assert shares.unique(level) == pytest.approx((others * chance - left) / (total * chance))


def test_random_levels_have_none():
    rng = np.random.default_rng(1)
    found = []
    for _ in range(40):
        values, codes = data(120, seed=1)
        shares = added(values, np.column_stack([codes, rng.integers(15, size=120)]), n_parts=1)
        found.append([shares.share(2), shares.unique(2)])
    assert np.abs(np.mean(found, 0)).max() < 0.01


def test_of_nested_levels_only_the_inner_one_is_unique():
    rng = np.random.default_rng(2)
    patient = rng.integers(6, size=300)
    codes = np.stack([patient, patient // 3], 1)
    values = rng.normal(size=(300, 4)) + rng.normal(size=(6, 4))[patient]
    shares = added(values, codes)
    assert shares.unique(1) == pytest.approx(0, abs=1e-9)
    assert shares.share(1) > 0.02
    assert 0.1 < shares.unique(0) < shares.share(0)
    same = added(values, np.stack([patient, (patient + 1) % 6], 1))
    assert [same.unique(0), same.unique(1)] == pytest.approx([0, 0], abs=1e-9)


def test_groups_have_fits_of_their_own():
    rng = np.random.default_rng(3)
    group = rng.integers(2, size=500)
    batch = (rng.random(500) < np.where(group == 1, 0.9, 0.1)).astype(int)
    codes = np.stack([batch, rng.integers(3, size=500)], 1)
    values = rng.normal(size=(500, 5)) + 3 * group[:, None]
    assert added(values, codes).share(0) > 0.3
    grouped = added(values, codes, group)
    assert abs(grouped.share(0)) < 0.02
    assert abs(grouped.unique(0)) < 0.02
    expected = variance_explained(values, batch, within=group, n_shuffles=200)
    assert grouped.share(0) == pytest.approx(expected, abs=5e-3)


def test_nothing_to_compare_is_nan():
    values, codes = data(50)
    assert np.isnan(added(values, np.zeros_like(codes)).share(0))
    assert np.isnan(added(np.ones((50, 2)), codes).unique(1))
    # As many categories as cells.
    assert np.isnan(added(values, np.stack([np.arange(50), codes[:, 1]], 1)).share(0))
