"""How much memory do training and embedding need, with the cells in memory and with the cells on disk?

Synthetic counts, 2000 genes, 8 % of them above 0, the architecture of scPhere without thinning, minibatches of 128.
Each task runs in a process of its own; what counts is the largest resident memory that the process ever had, everything
included. In memory the cells are compressed rows, made in the process; on disk they are a zarr store, which another
process wrote into a folder that is deleted afterwards. Beside the peak stand the bounds: 1.3 times the compressed rows
and 0.7 GB for cells in memory, 2 GB for cells on disk.

Usage: ``python benchmarks/memory.py [--cells 1000000] [--steps 500] [--folder PATH] [--json]``
"""

from __future__ import annotations

import argparse
import json
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import anndata
import scvi
from _scale import BATCH, DENSITY, N_GENES, cells, fresh, matrix_gb, peak_gb, print_table
from _setting import QUIET, add_json_option, be_quiet, machine, write_results
from streaming import opened, write

import curvi
from curvi import presets

MODEL = presets.scphere | {"thinning_weight": 0.0}
TASKS = {"train": "training", "embed": "embedding"}
KINDS = {"memory": "in memory", "zarr": "zarr"}
STREAMED_GB = 2.0


def measure(task: str, adata: anndata.AnnData, steps: int) -> dict[str, float]:
    """Peak memory of this process after the cells were made or opened, and after the task."""
    made = peak_gb()
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(adata, **MODEL)
    # An embedding needs a trained model; one step makes it one.
    steps = steps if task == "train" else 1
    model.train(1, max_steps=steps, train_size=1.0, batch_size=BATCH, **QUIET)
    if task == "embed":
        model.get_latent_representation()
    return {"made_gb": made, "peak_gb": peak_gb()}


def bound(kind: str, n_cells: int) -> float:
    return STREAMED_GB if kind == "zarr" else 1.3 * matrix_gb(n_cells) + 0.7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", type=int, default=[1_000_000])
    parser.add_argument("--steps", type=int, default=500, help="of training: an epoch, or so many if it has more")
    parser.add_argument("--folder", type=Path, help="where to write, by default the system's temporary folder")
    add_json_option(parser, __file__)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    be_quiet()
    scvi.settings.seed = 0
    if options.one:
        (task, kind), n_cells = options.one, options.cells[0]
        adata = cells(n_cells) if kind == "memory" else opened(kind, options.folder)
        print(json.dumps(measure(task, adata, options.steps)))
        return
    print(f"{N_GENES} genes, {DENSITY:.0%} above 0, minibatch {BATCH}, {machine()}\n")
    figures: list[dict[str, Any]] = []
    for n_cells in options.cells:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            write(n_cells, Path(folder), ["zarr"])
            for task, kind in product(TASKS, KINDS):
                same = ["--cells", n_cells, "--steps", options.steps, "--folder", folder]
                found = fresh(__file__, "--one", task, kind, *same)
                size = {"matrix_gb": matrix_gb(n_cells), "bound_gb": bound(kind, n_cells)}
                figures.append({"task": task, "kind": kind, "n_cells": n_cells} | found | size)
        write_results(options.json, figures)
    print_table(
        [
            {
                "task": f"{TASKS[row['task']]}, {KINDS[row['kind']]}",
                "cells": f"{row['n_cells']:,}",
                "matrix, GB": f"{row['matrix_gb']:.2f}",
                "peak, GB": f"{row['peak_gb']:.2f}",
                "bound, GB": f"{row['bound_gb']:.2f}",
                "peak / bound": f"{row['peak_gb'] / row['bound_gb']:.2f}",
            }
            for row in figures
        ]
    )


if __name__ == "__main__":
    main()
