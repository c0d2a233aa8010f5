from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.neighbors import NearestNeighbors

from curvi.manifolds import Sphere
from curvi.metrics import batch_mixing


def cells(points, **columns):
    return AnnData(obs=pd.DataFrame(columns, index=[f"c{i}" for i in range(len(points))]), obsm={"X_rep": points})


def shuffled(n, shares, seed):
    """Categories with the given shares, dealt out at random."""
    rng = np.random.default_rng(seed)
    return rng.permutation(
        np.repeat([f"b{i}" for i in range(len(shares))], np.round(np.multiply(n, shares)).astype(int))
    )


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        # Positions 0, 1, 3, 7 and one neighbour: 0 and 1 have each other, 3 has 1, 7 has 3. Expected by chance 4 * 2/3.
        ("aabb", (0 + 0 + 1 + 0) / (8 / 3)),
        ("abab", 1.0),
        # Shares 3:1, expected by chance 3 * 1/3 + 1 * 3/3 = 2.
        ("aaab", (0 + 0 + 0 + 1) / 2),
    ],
)
def test_worked_by_hand(batch, expected):
    adata = cells(np.array([[0.0], [1.0], [3.0], [7.0]]), batch=list(batch))
    assert batch_mixing(adata, "X_rep", "batch", k=1) == pytest.approx(expected)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.6, 0.3, 0.1), (1 / 40,) * 40])
@pytest.mark.parametrize("k", [5, 30])
def test_random_batches_are_mixed(shares, k):
    points = np.random.default_rng(0).standard_normal((400, 2))
    scores = [
        batch_mixing(cells(points, batch=shuffled(400, shares, seed)), "X_rep", "batch", k=k) for seed in range(10)
    ]
    assert np.mean(scores) == pytest.approx(1, abs=0.03)


def test_separate_batches_are_not():
    points = np.random.default_rng(0).standard_normal((120, 2))
    points[:40] += 100
    points[40:80] -= 100
    adata = cells(points, batch=np.repeat(list("abc"), 40))
    assert batch_mixing(adata, "X_rep", "batch") == 0


def test_the_farther_apart_the_less_mixed():
    rng = np.random.default_rng(0)
    batch = np.repeat(["a", "b"], 150)
    points = rng.standard_normal((300, 2))
    scores = []
    for shift in (0, 0.5, 1, 2, 4):
        moved = points + np.where(batch == "b", shift, 0.0)[:, None]
        scores.append(batch_mixing(cells(moved, batch=batch), "X_rep", "batch"))
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.95
    assert scores[-1] < 0.05


def test_it_is_one_minus_newmans_coefficient():
    rng = np.random.default_rng(1)
    batch = rng.integers(0, 3, 3000)
    points = rng.standard_normal((3000, 2)) + 0.7 * batch[:, None]
    neighbor = NearestNeighbors(n_neighbors=20).fit(points).kneighbors(return_distance=False)
    mixing = np.zeros((3, 3))
    np.add.at(mixing, (np.repeat(batch, 20), batch[neighbor].ravel()), 1 / neighbor.size)
    chance = mixing.sum(axis=0) @ mixing.sum(axis=1)
    newman = (np.trace(mixing) - chance) / (1 - chance)
    adata = cells(points, batch=batch.astype(str))
    assert batch_mixing(adata, "X_rep", "batch", k=20) == pytest.approx(1 - newman, abs=2e-3)


def test_composition_may_differ_between_labels():
    """Two far-away labels, in which the batches are 9 : 1 and 1 : 9, mixed within each."""
    points = np.random.default_rng(0).standard_normal((400, 2))
    points[200:] += 50
    label = np.repeat(["x", "y"], 200)
    batch = np.concatenate([shuffled(200, (0.9, 0.1), 1), shuffled(200, (0.1, 0.9), 2)])
    adata = cells(points, batch=batch, label=label)
    assert batch_mixing(adata, "X_rep", "batch") < 0.5
    assert batch_mixing(adata, "X_rep", "batch", "label") == pytest.approx(1, abs=0.1)


def test_within_a_label_only_its_own_cells_count():
    # Labels alternate along a line, batches are separate: the left half and the right half.
    points = np.arange(80.0)[:, None]
    adata = cells(points, batch=np.repeat(["a", "b"], 40), label=["x", "y"] * 40)
    score = batch_mixing(adata, "X_rep", "batch", "label", k=2)
    separate = [batch_mixing(adata[adata.obs["label"] == label], "X_rep", "batch", k=2) for label in "xy"]
    assert score == pytest.approx(np.mean(separate))


def test_a_label_of_one_batch_or_one_cell_changes_nothing():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((103, 2))
    adata = cells(points, batch=[*rng.choice(["a", "b"], 90), *["a"] * 13], label=["x"] * 90 + ["y"] * 12 + ["z"])
    whole = batch_mixing(adata, "X_rep", "batch", "label", k=10)
    assert whole == batch_mixing(adata[:90], "X_rep", "batch", k=10)


def test_a_small_label_gets_fewer_neighbours():
    # 21 cells, the batches at the two ends; with 20 neighbours everything would be everything's neighbour.
    batch, points = ["a"] * 11 + ["b"] * 10, np.arange(21.0)[:, None]
    points[11:] += 100
    adata = cells(np.vstack([points, points + 1000]), batch=batch * 2, label=["x"] * 21 + ["y"] * 21)
    assert batch_mixing(adata, "X_rep", "batch", "label", k=20) == 0


def test_several_levels():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((100, 2))
    adata = cells(points, donor=rng.choice(["d1", "d2"], 100), site=np.where(points[:, 0] > 0, "s1", "s2"))
    scores = batch_mixing(adata, "X_rep", ["donor", "site"], k=10)
    assert list(scores.index) == ["donor", "site"]
    for level in ("donor", "site"):
        assert scores[level] == batch_mixing(adata, "X_rep", level, k=10)
    assert scores["donor"] > 0.9
    assert scores["site"] < 0.3


def test_neighbours_are_geodesic():
    """On a circle the ends of the chart meet: by the angle itself the two batches are neighbours, in the chart not."""
    angle = np.concatenate([np.linspace(0.01, 0.3, 20), 2 * np.pi - np.linspace(0.005, 0.295, 20)])
    adata = cells(np.stack([np.cos(angle), np.sin(angle)], axis=1), batch=np.repeat(["a", "b"], 20))
    adata.obsm["chart"] = angle[:, None]
    adata.uns["curvi"] = {"X_rep": {"manifold": Sphere(1).config()}}
    assert batch_mixing(adata, "X_rep", "batch", k=10) > 0.05
    assert batch_mixing(adata, "chart", "batch", k=10) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"use_rep": "X_none"}, "`use_rep` is 'X_none'"),
        ({"batch_key": "nothing"}, "`batch_key` is 'nothing', but `adata.obs` has 'batch'"),
        ({"batch_key": ["batch", "nothing"]}, "`batch_key` is 'nothing'"),
        ({"batch_key": []}, "`batch_key` is an empty list"),
        ({"batch_key": "one"}, "`batch_key`.*at least two"),
        ({"batch_key": "holes"}, "`batch_key`.*no value in 1 cells"),
        ({"label_key": "nothing"}, "`label_key` is 'nothing'"),
        ({"label_key": "batch"}, r"no label of `adata.obs\['batch'\]` has cells of two categories of 'batch'"),
        ({"k": 0}, "`k` is 0; it must lie between 1 and 19 with 20 cells"),
        ({"k": 20}, "`k` is 20"),
        ({"metric": "cosine"}, "unknown metric 'cosine'"),
        ({"manifold": Sphere(1)}, "does not lie on Sphere"),
    ],
)
def test_bad_input(arguments, message):
    points = np.random.default_rng(0).standard_normal((20, 2))
    adata = cells(points, batch=["a", "b"] * 10, one=["x"] * 20, holes=[None] + ["u", "v"] * 9 + ["u"])
    with pytest.raises(ValueError, match=message):
        batch_mixing(**{"adata": adata, "use_rep": "X_rep", "batch_key": "batch", "k": 5, **arguments})
