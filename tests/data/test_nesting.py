"""Batch levels inside others: the table of relations, and the warning at registration."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import curvi
from curvi.data import nesting


def table(**levels):
    return pd.DataFrame({name: list(values) for name, values in levels.items()})


@pytest.mark.parametrize(
    ("first", "second", "relation", "n_blocks"),
    [
        ("aabbcc", "xxxxyy", "first inside second", 2),
        ("xxxxyy", "aabbcc", "second inside first", 2),
        ("aabbcc", "zzxxyy", "same", 3),
        ("aabb", "xyxy", "crossed", 1),
        ("aabbccdd", "wxwxyzyz", "blocks", 2),
        ("aaab", "xyyy", "crossed", 1),
    ],
)
def test_relations(first, second, relation, n_blocks):
    row = nesting(table(a=first, b=second), ["a", "b"]).iloc[0]
    assert (row["first"], row["second"], row["relation"], row["n_blocks"]) == ("a", "b", relation, n_blocks)
    assert row["n_combinations"] == len(set(zip(first, second, strict=True)))
    assert row["n_possible"] == len(set(first)) * len(set(second))


def test_lost_dimensions_are_those_of_the_design():
    rng = np.random.default_rng(0)
    for _ in range(20):
        obs = table(a=rng.integers(5, size=9), b=rng.integers(4, size=9))
        design = pd.get_dummies(obs.astype(str)).to_numpy(float)
        row = nesting(obs, ["a", "b"]).iloc[0]
        assert row["n_blocks"] == design.shape[1] - np.linalg.matrix_rank(design)


def test_cramers_v_against_chi_squared():
    from scipy.stats import contingency

    rng = np.random.default_rng(1)
    obs = table(a=rng.integers(3, size=200), b=rng.integers(4, size=200))
    counts = pd.crosstab(obs["a"], obs["b"]).to_numpy()
    v = nesting(obs, ["a", "b"])["cramers_v"].iloc[0]
    assert v == pytest.approx(contingency.association(counts, method="cramer"))
    assert nesting(table(a="aabb", b="xxyy"), ["a", "b"])["cramers_v"].iloc[0] == pytest.approx(1)
    assert np.isnan(nesting(table(a="aabb", b="xxxx"), ["a", "b"])["cramers_v"].iloc[0])


def test_every_pair_and_wrong_columns():
    obs = table(a="aabb", b="xyxy", c="pqrs")
    assert nesting(obs, ["a", "b", "c"])[["first", "second"]].values.tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert len(nesting(obs, ["a"])) == 0
    with pytest.raises(KeyError, match="`keys` names 'd', which is no column; the columns are 'a', 'b', 'c'"):
        nesting(obs, ["a", "d"])
    obs.loc[0, "a"] = None
    with pytest.raises(ValueError, match="column 'a' has 1 missing values"):
        nesting(obs, ["a", "b"])


def cells(**levels):
    obs = pd.concat([table(**levels)] * 3, ignore_index=True).astype("category")
    obs.index = [f"cell{i}" for i in range(len(obs))]
    return AnnData(np.ones((len(obs), 3), dtype=np.float32), obs=obs)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ({"patient": "aabbcc", "disease": "xxxxyy"}, "'patient' lies inside 'disease': each of its 3 categories"),
        ({"disease": "xxxxyy", "patient": "aabbcc"}, "'patient' lies inside 'disease': each of its 3 categories"),
        ({"lane": "aabb", "day": "xxyy"}, "'lane' and 'day' are the same but for the names of their 2 categories"),
        ({"a": "aabbccdd", "b": "wxwxyzyz"}, "'a' and 'b' fall into 2 blocks"),
        (
            {"a": "a" * 100 + "b" * 101, "b": "x" * 101 + "y" * 100},
            r"'a' and 'b' are almost the same partition .*0\.99",
        ),
    ],
)
def test_registration_says_what_cannot_be_told_apart(levels, said):
    adata = cells(**levels)
    with pytest.warns(UserWarning, match=f"^confounded batch levels: {said}") as caught:
        curvi.CurviVAE.setup_anndata(adata, batch_key=list(levels))
    (warning,) = caught
    assert warning.filename == __file__
    assert "extrapolates to combinations that no cell has" in str(warning.message)


def test_registration_is_silent_where_levels_are_crossed_or_the_user_knows():
    curvi.CurviVAE.setup_anndata(cells(a="aabb", b="xyxy"), batch_key=["a", "b"])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "confounded batch levels")
        curvi.CurviVAE.setup_anndata(cells(a="aabb", b="xxyy"), batch_key=["a", "b"])


def test_a_level_of_one_category_is_told_of_once():
    with pytest.warns(UserWarning, match="has the one category") as caught:
        curvi.CurviVAE.setup_anndata(cells(a="aabb", b="xxxx"), batch_key=["a", "b"])
    assert len(caught) == 1
