"""Small data for whole runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import curvi

if TYPE_CHECKING:
    from anndata import AnnData


@pytest.fixture
def cells() -> AnnData:
    """Cells of four types, of three patients in two locations."""
    return curvi.datasets.synthetic(n_obs=150, n_vars=40, n_types=4)
