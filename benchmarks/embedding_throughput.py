"""How many cells a second are embedded, against scVI's `get_latent_representation` on the same cells?

Synthetic counts (2000 genes, 8 % of them above 0), and a real set where ``CURVI_DATA_DIR`` is set. Models that were
trained for a moment, scVI's architecture (10 dimensions, one hidden layer of 128) throughout, in turn; medians compare.
Minibatches are those of the defaults, and of 128 cells for all.

Usage: ``python benchmarks/embedding_throughput.py [--cells 5000 100000 ...] [--repeats 3] [--json]``
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

import anndata
import numpy as np
import scvi
from _scale import BATCH, cells, print_table
from _setting import QUIET, add_json_option, be_quiet, machine, real, write_results

import curvi

EQUAL = {"n_layers": 1, "n_hidden": 128}
MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "scVI": (scvi.model.SCVI, {}),
    "curvi, Gaussian, 10-d": (curvi.CurviVAE, EQUAL | {"latent": "normal", "n_latent": 10}),
    "curvi, vMF S^2": (curvi.CurviVAE, EQUAL | {"latent": "vmf", "n_latent": 2}),
    "curvi, vMF S^10": (curvi.CurviVAE, EQUAL | {"latent": "vmf", "n_latent": 10}),
    "curvi, hyperbolic, 10-d": (curvi.CurviVAE, EQUAL | {"latent": "lorentz", "n_latent": 10}),
}
REAL = "onek1k_scdesignpop"


def fitted(adata: anndata.AnnData, kind: Any, arguments: dict[str, Any]) -> Any:
    kind.setup_anndata(adata)
    model = kind(adata, **arguments)
    model.train(max_steps=20, max_epochs=1, train_size=1.0, **QUIET)
    return model


def throughput(adata: anndata.AnnData, repeats: int) -> dict[tuple[str, str], dict[str, float]]:
    """Cells a second and the ratio to scVI at its default, by wall and by processor time."""
    models = {name: fitted(adata, *model) for name, model in MODELS.items()}
    sizes: dict[str, int | None] = {"default": None, str(BATCH): BATCH}
    times: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(repeats):
        for size, batch_size in sizes.items():
            for name, model in models.items():
                start = time.perf_counter(), time.process_time()
                model.get_latent_representation(batch_size=batch_size)
                passed = time.perf_counter() - start[0], time.process_time() - start[1]
                times.setdefault((name, size), []).append(passed)
    figures = {}
    for (name, size), values in times.items():
        mine, peer = np.array(values), np.array(times["scVI", size])
        wall, cpu = np.median(peer / mine, axis=0).tolist()
        figures[name, size] = {
            "wall_s": statistics.median(mine[:, 0].tolist()),
            "cpu_s": statistics.median(mine[:, 1].tolist()),
            "cells_per_s": adata.n_obs / statistics.median(mine[:, 0].tolist()),
            "times_scvi": wall,
            "times_scvi_cpu": cpu,
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[100_000])
    parser.add_argument("--repeats", type=int, default=3)
    add_json_option(parser, __file__)
    options = parser.parse_args()
    be_quiet()
    scvi.settings.seed = 0
    sets = [("synthetic", cells(n)) for n in options.cells]
    if os.environ.get("CURVI_DATA_DIR"):
        sets.append((REAL, real(REAL)))
    written = []
    for title, adata in sets:
        figures = throughput(adata, options.repeats)
        print(f"\n{title}: {adata.n_obs:,} cells x {adata.n_vars} genes, {options.repeats} in turn, {machine()}\n")
        rows = []
        for (name, size), row in figures.items():
            written.append({"set": title, "n_cells": adata.n_obs, "model": name, "batch_size": size} | row)
            rows.append(
                {
                    "model": name,
                    "minibatch": size,
                    "cells a second": f"{row['cells_per_s']:,.0f}",
                    "s": f"{row['wall_s']:.2f}",
                    "processor s": f"{row['cpu_s']:.2f}",
                    "times scVI": f"{row['times_scvi']:.1f}",
                    "times scVI, processor time": f"{row['times_scvi_cpu']:.1f}",
                }
            )
        print_table(rows)
    write_results(options.json, written)


if __name__ == "__main__":
    main()
