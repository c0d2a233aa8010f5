from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

from curvi.metrics._confusion import ReconstructionConfusion, confusion


def test_counts_and_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, said = rng.integers(3, size=(2, 200))
    said = np.where(rng.random(200) < 0.6, truth, said)
    table = confusion(truth, said, ["a", "b", "c"])
    np.testing.assert_array_equal(table, confusion_matrix(truth, said))
    nothing = pd.DataFrame()
    scores = ReconstructionConfusion(table, table, table, nothing, pd.Series(), None).scores().loc["samples"]
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth, said))
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, said))
    assert scores["recall of b"] == pytest.approx(((truth == 1) & (said == 1)).sum() / (truth == 1).sum())


def test_a_class_without_rows_has_no_recall_and_does_not_count():
    table = confusion(np.array([0, 0, 2]), np.array([0, 1, 2]), ["a", "b", "c"])
    scores = ReconstructionConfusion(table, table, table, pd.DataFrame(), pd.Series(), None).scores().iloc[0]
    assert np.isnan(scores["recall of b"])
    assert scores["balanced_accuracy"] == pytest.approx(0.75)
