"""What several test packages share: the folder of real data sets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch.distributions import Distribution

if TYPE_CHECKING:
    from collections.abc import Iterator

# The tests' arrays are small: a second thread costs more than it brings, and a busy machine makes it wait.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _arguments_are_checked() -> Iterator[None]:
    """Compiling turns the checks of all distributions off, for good; every test starts with them."""
    yield
    Distribution.set_default_validate_args(True)


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
