"""What several test packages share: the folder of real data sets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# The tests' arrays are small: a second thread costs more than it brings, and a busy machine makes it wait.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets that ``CURVI_DATA_DIR`` names; without that variable the test is skipped."""
    name = os.environ.get("CURVI_DATA_DIR")
    if not name:
        pytest.skip("set CURVI_DATA_DIR to a folder of real data sets to run this test")
    folder = Path(name)
    if not folder.is_dir():
        pytest.fail(f"CURVI_DATA_DIR is {name!r}, which is not a folder")
    return folder
