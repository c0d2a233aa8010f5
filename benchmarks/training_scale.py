"""Does an epoch stay linear, and how much memory does it need, from 5,000 cells to a million?

Synthetic counts, 2000 genes, 8 % of them above 0, in memory as compressed rows; minibatches of 128, all cells for
training. Each size runs in a process of its own, whose peak of resident memory is compared with the size of the
matrix; a small training before the first epoch loads what is compiled. Beside wall time there is processor time, which
other work on the machine disturbs less. Only the first architecture runs beyond 80,000 cells.

Usage: ``python benchmarks/training_scale.py [--sizes 5000 20000 ...] [--repeats 2] [--json]``
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

import scvi
from _scale import BATCH, DENSITY, N_GENES, EpochClock, cells, fresh, peak_gb, print_table
from _setting import QUIET, add_json_option, be_quiet, machine, write_results

import curvi
from curvi import presets

SIZES = [5_000, 20_000, 80_000, 320_000, 1_000_000]
# The larger sets are for the architecture of scPhere alone.
OTHERS_UP_TO = 80_000
EQUAL = {"n_latent": 10, "n_layers": 1, "n_hidden": 128}
SCPHERE = presets.scphere | {"thinning_weight": 0.0}
# By name: the class, and the arguments of its constructor.
MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "scphere": (curvi.CurviVAE, SCPHERE),
    "scvi_like": (curvi.CurviVAE, EQUAL | {"latent": "normal"}),
    "scvi": (scvi.model.SCVI, {}),
}
TITLES = {
    "scphere": "curvi, architecture of scPhere, vMF S^2",
    "scvi_like": "curvi, architecture of scVI, Gaussian",
    "scvi": "scVI, its defaults",
}


def epochs_for(n_cells: int) -> int:
    """Several epochs where they are short."""
    return max(1, min(4, 200_000 // n_cells))


def measure(name: str, n_cells: int) -> dict[str, float]:
    """Seconds an epoch and peak memory, in this process."""
    kind, arguments = MODELS[name]
    imported = peak_gb()
    warm = cells(10 * BATCH, seed=1)
    kind.setup_anndata(warm)
    kind(warm, **arguments).train(1, train_size=1.0, batch_size=BATCH, **QUIET)
    warmed = peak_gb()
    adata = cells(n_cells)
    size = sum(part.nbytes for part in (adata.X.data, adata.X.indices, adata.X.indptr)) / 1e9
    made = peak_gb()
    kind.setup_anndata(adata)
    model = kind(adata, **arguments)
    clock = EpochClock()
    model.train(epochs_for(n_cells), train_size=1.0, batch_size=BATCH, callbacks=[clock], **QUIET)
    return {
        "wall_s": statistics.median(clock.wall),
        "cpu_s": statistics.median(clock.cpu),
        "matrix_gb": size,
        "imported_gb": imported,
        "warmed_gb": warmed,
        "made_gb": made,
        "peak_gb": peak_gb(),
    }


def medians(runs: dict[tuple[str, int], list[dict[str, float]]]) -> list[dict[str, Any]]:
    """A row for each model and size: the median of each figure over runs."""
    return [
        {"model": name, "n_cells": n, "runs": len(values)}
        | {key: statistics.median(run[key] for run in values) for key in values[0]}
        for (name, n), values in runs.items()
    ]


def table(figures: list[dict[str, Any]], names: list[str]) -> None:
    """A row for each model and size, with what an epoch costs against 20,000 cells."""
    rows = []
    for name in names:
        of_model = {row["n_cells"]: row for row in figures if row["model"] == name}
        base = of_model.get(20_000)
        for n, row in of_model.items():
            share = {
                kind: f"{row[kind] / base[kind] / (n / 20_000):.2f}" if base else "" for kind in ("wall_s", "cpu_s")
            }
            bound = 1.3 * row["matrix_gb"] + 0.7
            rows.append(
                {
                    "model": TITLES[name],
                    "cells": f"{n:,}",
                    "s an epoch": f"{row['wall_s']:.2f}",
                    "cells a second": f"{n / row['wall_s']:,.0f}",
                    "processor s": f"{row['cpu_s']:.2f}",
                    "against 20,000 cells, by the cell": share["wall_s"],
                    "processor time": share["cpu_s"],
                    "matrix, GB": f"{row['matrix_gb']:.2f}",
                    "peak, GB": f"{row['peak_gb']:.2f}",
                    "1.3 x matrix + 0.7 GB": f"{bound:.2f}",
                }
            )
    print_table(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--repeats", type=int, default=2)
    add_json_option(parser, __file__)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    be_quiet()
    scvi.settings.seed = 0
    if options.one:
        name, n_cells = options.one
        print(json.dumps(measure(name, int(n_cells))))
        return
    print(f"{N_GENES} genes, {DENSITY:.0%} above 0, minibatch {BATCH}, {machine()}\n")
    runs: dict[tuple[str, int], list[dict[str, float]]] = {}
    for _ in range(options.repeats):
        for name in options.models:
            for n in options.sizes:
                if name != "scphere" and n > OTHERS_UP_TO:
                    continue
                runs.setdefault((name, n), []).append(fresh(__file__, "--one", name, n))
                write_results(options.json, medians(runs))
        table(medians(runs), options.models)


if __name__ == "__main__":
    main()
