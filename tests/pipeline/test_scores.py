"""Tables of scores hold what the metrics say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curvi import metrics
from curvi.pipeline import evaluate, report


def test_every_score_is_the_metrics_own(cells):
    cells.obsm["noise"] = np.random.default_rng(0).normal(size=(cells.n_obs, 3))
    scores = evaluate(
        cells, ["latent", "noise"], "cell_type", ["patient", "location"], "patient", k=5, resolutions=[0.5, 1.0]
    )
    assert scores.columns.tolist() == ["embedding", "score", "setting", "value"]
    value = scores.set_index(["embedding", "score", "setting"])["value"]
    assert value.index.is_unique
    assert len(value) == 2 * (2 + 2 * 3 + 2 + 2)
    for key in ("latent", "noise"):
        assert value[key, "knn_accuracy", "k=5, 5 folds"] == metrics.knn_accuracy(cells, key, "cell_type", 5)
        held_out = metrics.knn_accuracy(cells, key, "cell_type", 5, holdout_key="patient")
        assert value[key, "knn_accuracy", "k=5, each patient held out"] == held_out
        clusters = metrics.clustering(cells, key, "cell_type", [0.5, 1.0])
        for name in ("n_clusters", "ari", "nmi"):
            assert value[key, name, "resolution=0.5"] == clusters.loc[0.5, name]
        assert value[key, "batch_mixing", "location"] == metrics.batch_mixing(cells, key, "location")
        within = metrics.batch_mixing(cells, key, "location", "cell_type")
        assert value[key, "batch_mixing", "location within cell_type"] == within


def test_batches_without_labels(cells):
    scores = evaluate(cells, "latent", batch_key="patient")
    assert scores[["score", "setting"]].to_numpy().tolist() == [["batch_mixing", "patient"]]


def test_nothing_to_score_by(cells):
    with pytest.raises(ValueError, match="nothing to score by; give `labels_key`, `batch_key` or both"):
        evaluate(cells, "latent")
    with pytest.raises(ValueError, match="`holdout_key` is 'patient', but without `labels_key`"):
        evaluate(cells, "latent", batch_key="patient", holdout_key="patient")


def test_report_shows_three_decimals_and_whole_numbers_of_clusters():
    text = report(pd.DataFrame({"score": ["ari", "mixing", "n_clusters"], "value": [0.51239, 1.0, 12.0]}))
    assert [line.split() for line in text.splitlines()] == [
        ["score", "value"],
        ["ari", "0.512"],
        ["mixing", "1.000"],
        ["n_clusters", "12"],
    ]
