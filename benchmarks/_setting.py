"""What the benchmark scripts share: silence, real data, tables."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

import anndata
import scvi
import torch

QUIET = {"enable_progress_bar": False, "enable_model_summary": False}


def be_quiet() -> None:
    """Silence the trainer's messages, so that only the table is printed."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    scvi.settings.verbosity = logging.ERROR


def real(name: str) -> anndata.AnnData:
    """The real data set ``name`` from the folder that ``CURVI_DATA_DIR`` names."""
    folder = os.environ.get("CURVI_DATA_DIR")
    if not folder:
        raise SystemExit(f"set CURVI_DATA_DIR to the folder that holds {name}.h5ad to run this benchmark")
    return anndata.read_h5ad(Path(folder) / f"{name}.h5ad")


def machine() -> str:
    """The number of threads and the version of torch, for a table's head."""
    return f"{torch.get_num_threads()} threads, torch {torch.__version__}, scvi-tools {scvi.__version__}"
