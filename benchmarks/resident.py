"""What do cells take on the device of the model, and what does a minibatch cost that is made there, not on the host?

Synthetic counts (2000 genes, 8 % of them above 0). Minibatches of 128 cells are made on the host and copied to the
device, and made on the device, which holds the cells, in turn; then the architecture of scPhere without thinning is
trained for an epoch in both ways. Times are medians of wall times; for the minibatches they include the wait for the
device at the end of an epoch only.

Usage: ``python benchmarks/resident.py [--cells 20000 200000] [--device cuda] [--repeats 3] [--json]``
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import anndata
import numpy as np
import scvi
import torch
from _scale import BATCH, DENSITY, N_GENES, EpochClock, cells, print_table
from _setting import QUIET, add_json_option, be_quiet, machine, write_results

import curvi
from curvi import presets
from curvi.data import CellDataset, CellLoader, ResidentCells

WAYS = {"host": "cpu", "device": "model"}


def waited(device: torch.device) -> float:
    """The time once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measure(adata: anndata.AnnData, device: torch.device, repeats: int) -> dict[str, Any]:
    curvi.CurviVAE.setup_anndata(adata)
    scvi.settings.seed = 0
    model = curvi.CurviVAE(adata, **presets.scphere | {"thinning_weight": 0.0})
    manager = model.adata_manager
    start = waited(device)
    held = ResidentCells(CellDataset.from_manager(manager, np.arange(adata.n_obs))).to(device)
    row: dict[str, Any] = {
        "cells": adata.n_obs,
        "load_s": waited(device) - start,
        "bytes_a_cell": held.nbytes / adata.n_obs,
    }
    times: dict[str, list[float]] = {f"{kind}_{way}": [] for kind in ("minibatch", "epoch") for way in WAYS}
    for repeat in range(repeats + 1):
        for way, place in WAYS.items():
            loader = CellLoader(manager, batch_size=BATCH, shuffle=True, resident=held if way == "device" else None)
            start = waited(device)
            for batch in loader:
                batch["X"].to(device)
            made = waited(device) - start
            clock = EpochClock()
            accelerator = "gpu" if device.type == "cuda" else device.type
            run = {"accelerator": accelerator, "data_device": place, "callbacks": [clock]}
            model.train(1, train_size=1.0, batch_size=BATCH, **run, **QUIET)
            # The first of each warms up.
            if repeat:
                times[f"minibatch_{way}"].append(1e6 * made / len(loader))
                times[f"epoch_{way}"].append(clock.wall[0])
    return row | {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", type=int, default=[20_000, 200_000])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=3)
    add_json_option(parser, __file__)
    options = parser.parse_args()
    be_quiet()
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    print(f"{N_GENES} genes, {DENSITY:.0%} above 0, minibatch {BATCH}, device {name}, {machine()}\n")
    figures = [measure(cells(n), device, options.repeats) for n in options.cells]
    print_table(
        [
            {
                "cells": f"{row['cells']:,}",
                "bytes a cell": f"{row['bytes_a_cell']:.0f}",
                "s to load": f"{row['load_s']:.2f}",
                "µs a minibatch, host": f"{row['minibatch_host']:.0f}",
                "device": f"{row['minibatch_device']:.0f}",
                "s an epoch, host": f"{row['epoch_host']:.2f}",
                "held": f"{row['epoch_device']:.2f}",
            }
            for row in figures
        ]
    )
    write_results(options.json, {"device": name, "rows": figures})


if __name__ == "__main__":
    main()
