"""What does training on cells that stay on disk cost in time, and what does it need of memory?

Synthetic counts (2000 genes, 8 % of them above 0) are written to a folder as h5ad and as zarr; the architecture of
scPhere without thinning is trained on them in memory, backed by the h5ad file, and backed by the zarr store, in turn,
each time in a process of its own. Trained are as many minibatches of 128 cells as `--steps` says, an epoch by default.
The folder is deleted afterwards. What was just written is in the cache of the operating system, as far as it fits.

Usage: ``python benchmarks/streaming.py [--cells 1000000] [--steps 1500] [--repeats 3] [--folder PATH] [--json]``
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterable
from math import ceil
from pathlib import Path
from typing import Any

import anndata
import scvi
import zarr
from _scale import BATCH, DENSITY, N_GENES, EpochClock, cells, fresh, matrix_gb, peak_gb, print_table
from _setting import QUIET, add_json_option, be_quiet, machine, write_results

import curvi
from curvi import presets

H5AD, ZARR = "cells.h5ad", "cells.zarr"
TITLES = {"memory": "in memory", "h5ad": "backed h5ad", "zarr": "zarr"}


def opened(kind: str, folder: Path) -> anndata.AnnData:
    """The cells in memory or on disk."""
    if kind != "zarr":
        return anndata.read_h5ad(folder / H5AD, backed="r" if kind == "h5ad" else None)
    group = zarr.open_group(folder / ZARR, mode="r")
    frames = {name: anndata.io.read_elem(group[name]) for name in ("obs", "var")}
    return anndata.AnnData(anndata.io.sparse_dataset(group["X"]), **frames)


def measure(kind: str, folder: Path, steps: int) -> dict[str, float]:
    """Seconds for some steps of training and peak memory, in this process."""
    model_arguments = presets.scphere | {"thinning_weight": 0.0}
    warm = cells(10 * BATCH, seed=1)
    curvi.CurviVAE.setup_anndata(warm)
    curvi.CurviVAE(warm, **model_arguments).train(1, train_size=1.0, batch_size=BATCH, **QUIET)
    adata = opened(kind, folder)
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(adata, **model_arguments)
    clock = EpochClock()
    model.train(1, max_steps=steps, train_size=1.0, batch_size=BATCH, callbacks=[clock], **QUIET)
    return {"wall_s": clock.wall[0], "cpu_s": clock.cpu[0], "peak_gb": peak_gb()}


def write(n_cells: int, folder: Path, kinds: Iterable[str]) -> None:
    """The files that :func:`opened` reads."""
    adata = cells(n_cells)
    if not {"memory", "h5ad"}.isdisjoint(kinds):
        adata.write_h5ad(folder / H5AD)
    if "zarr" in kinds:
        adata.write_zarr(folder / ZARR)


def table(runs: dict[str, list[dict[str, float]]], n_cells: int, steps: int) -> list[dict[str, Any]]:
    figures, rows = [], []
    n_seen = min(steps * BATCH, n_cells)
    for kind, values in runs.items():
        pairs = list(zip(values, runs["memory"], strict=True)) if "memory" in runs else []
        row: dict[str, Any] = {
            "kind": kind,
            "n_cells": n_cells,
            "steps": steps,
            "runs": len(values),
            **{key: statistics.median(run[key] for run in values) for key in values[0]},
            "times_memory": statistics.median(a["wall_s"] / b["wall_s"] for a, b in pairs) if pairs else None,
            "times_memory_cpu": statistics.median(a["cpu_s"] / b["cpu_s"] for a, b in pairs) if pairs else None,
            "matrix_gb": matrix_gb(n_cells),
        }
        figures.append(row)
        rows.append(
            {
                "cells": f"{n_cells:,}",
                "where they are": TITLES[kind],
                f"s for {n_seen:,} cells": f"{row['wall_s']:.1f}",
                "processor s": f"{row['cpu_s']:.1f}",
                "times that in memory": f"{row['times_memory']:.2f}" if pairs else "",
                "processor time": f"{row['times_memory_cpu']:.2f}" if pairs else "",
                "matrix, GB": f"{row['matrix_gb']:.2f}",
                "peak, GB": f"{row['peak_gb']:.2f}",
            }
        )
    print_table(rows)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", type=int, default=[1_000_000])
    parser.add_argument("--kinds", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--steps", type=int)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to write, by default the system's temporary folder")
    add_json_option(parser, __file__)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    be_quiet()
    scvi.settings.seed = 0
    if options.one:
        kind, folder, steps = options.one
        print(json.dumps(measure(kind, Path(folder), int(steps))))
        return
    print(f"{N_GENES} genes, {DENSITY:.0%} above 0, minibatch {BATCH}, {machine()}\n")
    figures: list[dict[str, Any]] = []
    for n_cells in options.cells:
        steps = min(options.steps or ceil(n_cells / BATCH), ceil(n_cells / BATCH))
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            write(n_cells, Path(folder), options.kinds)
            runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in options.kinds}
            for _ in range(options.repeats):
                for kind in options.kinds:
                    runs[kind].append(fresh(__file__, "--one", kind, folder, steps))
            figures += table(runs, n_cells, steps)
        write_results(options.json, figures)


if __name__ == "__main__":
    main()
