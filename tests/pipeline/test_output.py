"""What a run says: bars in a terminal, lines elsewhere, nothing of the host libraries."""

from __future__ import annotations

import io
import logging
import re
import sys
import warnings

import pytest

from curvi.pipeline import RunConfig, plain_output, prepare, train
from curvi.pipeline._output import EpochLines, progress_arguments


@pytest.mark.parametrize(("epochs", "expected"), [(20, range(2, 21, 2)), (3, [1, 2, 3]), (11, range(2, 12))])
def test_a_line_for_every_tenth_of_the_epochs(cells, epochs, expected):
    lines = io.StringIO()
    config = RunConfig(train={"max_epochs": epochs})
    with plain_output(lines):
        model = train(prepare(cells, config), config)
    first, *said = lines.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d training on 150 cells and 40 genes; batch levels: none", first)
    curves = [model.history[f"elbo_{part}"].iloc[:, 0] for part in ("train", "validation")]
    for line, epoch in zip(said, expected, strict=True):
        losses = "training {:.1f}, validation {:.1f}".format(*(curve.iloc[epoch - 1] for curve in curves))
        assert line.endswith(f" epoch {epoch} of {epochs}; negative ELBO: {losses}")


def test_the_last_epoch_is_told_whichever_it_is(cells):
    lines = io.StringIO()
    stop = {"early_stopping": True, "early_stopping_patience": 1, "early_stopping_min_delta": 1e9}
    config = RunConfig(train={"max_epochs": 400, **stop})
    with plain_output(lines):
        model = train(prepare(cells, config), config)
    n_done = len(model.history["elbo_train"])
    assert n_done < 40
    assert f"epoch {n_done} of 400" in lines.getvalue().splitlines()[-1]


def test_a_bar_in_a_terminal(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert progress_arguments() == {"enable_progress_bar": True, "callbacks": []}
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    elsewhere = progress_arguments()
    assert not elsewhere["enable_progress_bar"]
    assert [type(callback) for callback in elsewhere["callbacks"]] == [EpochLines]


def test_warnings_on_one_line_and_the_hosts_silent():
    lines = io.StringIO()
    with plain_output(lines):
        warnings.warn("first\n   second", UserWarning, stacklevel=1)
        warnings.warn("of no interest", DeprecationWarning, stacklevel=1)
        logging.getLogger("lightning.pytorch.utilities.rank_zero").warning("GPU available: False")
        logging.getLogger("lightning.fabric").info("Seed set to 0")
        logging.getLogger("scvi").warning("something")
    assert lines.getvalue() == "warning: first second\n"


def test_everything_is_as_before_afterwards():
    ours, host = logging.getLogger("curvi"), logging.getLogger("lightning.pytorch")
    before = ours.level, list(ours.handlers), host.level, warnings.showwarning
    with pytest.raises(ValueError, match="inside"), plain_output(io.StringIO()):
        raise ValueError("inside")
    assert (ours.level, list(ours.handlers), host.level, warnings.showwarning) == before
