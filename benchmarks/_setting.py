"""What the benchmark scripts share: silence, real data, what is kept of a run."""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import platform
import shlex
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import scvi
import torch

QUIET = {"enable_progress_bar": False, "enable_model_summary": False}
RESULTS = Path(__file__).parent / "results"
BEGUN = time.perf_counter()
# What else ran when the script began; later the script itself counts.
LOAD = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


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


def processor() -> str:
    """The name of the processor, where the system tells it."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def add_json_option(parser: argparse.ArgumentParser, script: str) -> None:
    """The option ``--json``, with the file of the script in the folder ``results`` as the path if none is given."""
    path = RESULTS / f"{Path(script).stem}.json"
    words = f"also write the figures to this file, by default results/{path.name}"
    parser.add_argument("--json", nargs="?", type=Path, const=path, help=words)


def command() -> str:
    """How the running script was called, without the place of its figures."""
    only = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    only.add_argument("--json", nargs="?")
    _, kept = only.parse_known_args()
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *kept])


def write_results(path: Path | None, figures: object) -> None:
    """Write figures with the script, its command and the machine, where a path is given.

    Parameters
    ----------
    path
        Of the JSON file, from the option that :func:`add_json_option` adds.
    figures
        Anything that JSON can hold.
    """
    if path is None:
        return
    written: dict[str, Any] = {
        "script": Path(sys.argv[0]).name,
        "command": command(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(time.perf_counter() - BEGUN),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "load": LOAD,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scvi-tools": scvi.__version__,
        },
        "figures": figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rounded(written), indent=1) + "\n")


def rounded(value: Any) -> Any:
    """The same with six significant digits."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
