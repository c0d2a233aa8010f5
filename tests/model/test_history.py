"""The logger in memory keeps what the host's keeps."""

from __future__ import annotations

import pickle

import pandas as pd
import pytest
import torch
from scvi.train._logger import SimpleLogger

import curvi
from curvi.model._history import HistoryLogger

LOGGED = [
    ({"loss": 3.0, "epoch": 0}, 7),
    ({"loss": torch.tensor(2.0), "elbo": 5, "epoch": 1}, 14),
    ({"step": 15, "epoch": 1, "step_loss": 0.5}, 15),
    ({"rate": 0.1}, 3),
    ({"rate": 0.2}, 4),
    ({"rate": 0.3}, 4),
    ({"loss": float("nan"), "epoch": 2}, 21),
]


def test_the_tables_are_those_of_the_host(tmp_path):
    loggers = [kind(save_dir=tmp_path / kind.__name__) for kind in (SimpleLogger, HistoryLogger)]
    for metrics, step in LOGGED:
        for logger in loggers:
            logger.log_metrics(dict(metrics), step=step)
            logger.save()
    theirs, ours = (logger.history for logger in loggers)
    assert list(ours) == list(theirs) == ["loss", "elbo", "epoch", "step_loss", "rate"]
    for name, table in theirs.items():
        pd.testing.assert_frame_equal(ours[name], table)
    loggers[1].finalize("success")
    (path,) = (tmp_path / "HistoryLogger").rglob("history.pkl")
    pd.testing.assert_frame_equal(pickle.loads(path.read_bytes())["loss"], theirs["loss"])


def test_what_is_logged_is_left_as_it_is():
    metrics = {"loss": 1.0, "epoch": 0}
    HistoryLogger().log_metrics(metrics, step=0)
    assert metrics == {"loss": 1.0, "epoch": 0}


@pytest.mark.parametrize("logger", [None, False])
def test_a_training_is_kept_by_it(logger):
    adata = curvi.datasets.synthetic(n_obs=60, n_vars=10)
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(adata, n_hidden=4)
    model.train(3, logger=logger, enable_progress_bar=False)
    assert any(type(each) is HistoryLogger for each in model.trainer.loggers)
    assert list(model.history["elbo_train"].index) == [0, 1, 2]
