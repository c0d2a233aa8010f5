"""What does a training epoch cost in each latent space, against the Gaussian one?

Everything but the latent space is the same: the layers of scVI, ten dimensions where nothing else is said, the same
minibatches. Models train in turn in one process, several times, each going on with its training; medians compare. The
scPhere demo set where ``CURVI_DATA_DIR`` is set, otherwise synthetic cells of the same size.

Usage: ``python benchmarks/latent_epoch.py [--repeats 7] [--threads 1 2] [--json]``
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

import numpy as np
import scvi
import torch
from _scale import BATCH, EpochClock, add_thread_options, by_threads
from _setting import QUIET, add_json_option, be_quiet, machine, write_results
from training_step import DEMO, chosen

import curvi

REFERENCE = "Gaussian"
SPACES: dict[str, dict[str, Any]] = {
    REFERENCE: {"latent": "normal", "n_latent": 10},
    "vMF, S^10": {"latent": "vmf", "n_latent": 10},
    "vMF, S^2": {"latent": "vmf", "n_latent": 2},
    "power spherical, S^10": {"latent": "power_spherical", "n_latent": 10},
    "wrapped normal, hyperboloid, H^10": {"latent": "lorentz", "n_latent": 10},
    "wrapped normal, Poincaré ball, H^10": {"latent": "poincare", "n_latent": 10},
    "product, S^4 x H^3 x R^3": {"latent": [("vmf", 4), ("lorentz", 3), ("normal", 3)]},
}
# The first epochs of a training are not counted.
EPOCHS, WARM = 4, 1


def measure(repeats: int) -> list[dict[str, Any]]:
    """A row for each latent space: seconds an epoch, and how many times those of the Gaussian one."""
    adata = chosen(DEMO)
    curvi.CurviVAE.setup_anndata(adata)
    models = {name: curvi.CurviVAE(adata, n_hidden=128, n_layers=1, **space) for name, space in SPACES.items()}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    for repeat in range(repeats + 1):
        for name, model in models.items():
            clock = EpochClock()
            model.train(EPOCHS, train_size=1.0, batch_size=BATCH, callbacks=[clock], **QUIET)
            if repeat:
                seconds[name].append((statistics.median(clock.wall[WARM:]), statistics.median(clock.cpu[WARM:])))
    reference = np.array(seconds[REFERENCE])
    rows = []
    for name, values in seconds.items():
        wall, cpu = np.median(values, axis=0)
        times, times_cpu = np.median(np.array(values) / reference, axis=0)
        rows.append(
            {
                "latent": name,
                "n_cells": adata.n_obs,
                "n_genes": adata.n_vars,
                "threads": torch.get_num_threads(),
                "wall_s": float(wall),
                "cpu_s": float(cpu),
                "times_gaussian": float(times),
                "times_gaussian_cpu": float(times_cpu),
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> None:
    print(f"\nthreads: {rows[0]['threads']}\n{'':38s}{'s/epoch':>9s}{'x Gaussian':>12s}{'processor':>11s}")
    for row in rows:
        print(f"{row['latent']:38s}{row['wall_s']:9.3f}{row['times_gaussian']:12.2f}{row['times_gaussian_cpu']:11.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    add_thread_options(parser)
    add_json_option(parser, __file__)
    options = parser.parse_args()
    be_quiet()
    scvi.settings.seed = 0
    if options.one:
        torch.set_num_threads(*options.threads)
        print(json.dumps(measure(options.repeats)))
        return
    print(machine())
    write_results(options.json, by_threads(__file__, options.threads, table, "--repeats", options.repeats))


if __name__ == "__main__":
    main()
