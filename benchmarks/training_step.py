"""What does a training epoch cost, against the matrix products that it cannot do without, and against scVI?

All contestants run in one process on the same cells with the same minibatches, in turn, several times; medians
compare. Each number of threads and each set has a process of its own. The set ``demo`` is the scPhere demo set where
``CURVI_DATA_DIR`` is set, otherwise synthetic cells of the same size; a number is that of synthetic cells with 2000
genes, of which 8 % are above 0.

Usage: ``python benchmarks/training_step.py [--repeats 5] [--epochs 4] [--cells demo 20000] [--threads 1 2] [--json]``
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import anndata
import numpy as np
import scvi
import torch
from _plain import plain_seconds
from _scale import BATCH, EpochClock, add_thread_options, by_threads, cells
from _setting import QUIET, add_json_option, be_quiet, machine, real, write_results

import curvi
from curvi import presets

DEMO, REFERENCE = "demo", "scVI, its defaults"
# From a number of epochs to the wall and processor seconds of the median one.
Epochs = Callable[[int], tuple[float, float]]


def chosen(name: str) -> anndata.AnnData:
    """The demo set, or as many synthetic cells as the name says."""
    if name != DEMO:
        return cells(int(name))
    if os.environ.get("CURVI_DATA_DIR"):
        return real("scphere_cd14_erythroid")
    return curvi.datasets.synthetic(n_obs=2303, n_vars=2000, mean_library=335, seed=0)


def epoch_seconds(model: Any, epochs: int) -> tuple[float, float]:
    """Wall and processor seconds of the median epoch; the first one warms caches up and is not counted."""
    clock = EpochClock()
    model.train(max_epochs=epochs + 1, train_size=1.0, batch_size=BATCH, callbacks=[clock], **QUIET)
    return statistics.median(clock.wall[1:]), statistics.median(clock.cpu[1:])


def floor_seconds(n_cells: int, layers: list[tuple[int, int]], passes: int, repeats: int = 20) -> tuple[float, float]:
    """Wall and processor seconds of an epoch's matrix products: forward, gradient of the weights and of the input.

    The first layer needs no gradient of its input. ``passes`` counts how often the encoder layers, those that
    narrow, are run.
    """
    work = []
    for i, (n_in, n_out) in enumerate(layers):
        x, w, g = torch.randn(BATCH, n_in), torch.randn(n_in, n_out), torch.randn(BATCH, n_out)
        times = passes if n_in > n_out else 1
        work += [(x, w)] * times + [(x.T.contiguous(), g)] * times + ([] if i == 0 else [(g, w.T.contiguous())] * times)
    wall, cpu = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        for a, b in work:
            a @ b
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    n_steps = -(-n_cells // BATCH)
    return statistics.median(wall) * n_steps, statistics.median(cpu) * n_steps


def contestants(adata: anndata.AnnData) -> dict[str, tuple[str, Epochs]]:
    """By name: the architecture whose floor is its own, and what trains a new model for so many epochs."""
    curvi.CurviVAE.setup_anndata(adata)
    scvi.model.SCVI.setup_anndata(adata)
    dense = torch.from_numpy(adata.X.toarray()).float()
    equal = {"n_latent": 10, "n_layers": 1, "n_hidden": 128}
    scphere = presets.scphere | {"thinning_weight": 0.0}

    def ours(**arguments: Any) -> Epochs:
        return lambda epochs: epoch_seconds(curvi.CurviVAE(adata, **arguments), epochs)

    def theirs(**arguments: Any) -> Epochs:
        return lambda epochs: epoch_seconds(scvi.model.SCVI(adata, **arguments), epochs)

    return {
        REFERENCE: ("scVI", theirs()),
        "scVI, negative binomial": ("scVI", theirs(gene_likelihood="nb")),
        "plain PyTorch, scVI's architecture, Gaussian": ("scVI", lambda epochs: plain_seconds(dense, epochs)),
        "curvi, scVI's architecture, Gaussian": ("scVI", ours(latent="normal", **equal)),
        "curvi, scVI's architecture, vMF S^10": ("scVI", ours(latent="vmf", **equal)),
        "curvi, scPhere preset, no thinning": ("scPhere", ours(**scphere)),
        "curvi, scPhere preset": ("scPhere with thinning", ours(**presets.scphere)),
    }


def measure(name: str, repeats: int, epochs: int) -> list[dict[str, Any]]:
    """A row for each contestant: seconds an epoch, and the ratios to its own floor and to scVI with its defaults."""
    adata = chosen(name)
    n, g = adata.shape
    architectures = {
        "scVI": ([(g, 128), (128, 20), (10, 128), (128, g)], 1),
        "scPhere": ([(g, 128), (128, 64), (64, 32), (32, 4), (3, 32), (32, 128), (128, g)], 1),
        "scPhere with thinning": ([(g, 128), (128, 64), (64, 32), (32, 4), (3, 32), (32, 128), (128, g)], 2),
    }
    models = contestants(adata)
    floors: dict[str, list[tuple[float, float]]] = {architecture: [] for architecture in architectures}
    seconds: dict[str, list[tuple[float, float]]] = {model: [] for model in models}
    for _ in range(repeats):
        for architecture, (layers, passes) in architectures.items():
            floors[architecture].append(floor_seconds(n, layers, passes))
        for model, (_, run) in models.items():
            seconds[model].append(run(epochs))
    reference = np.array(seconds[REFERENCE])
    rows = []
    for model, (architecture, _) in models.items():
        values, floor = np.array(seconds[model]), np.array(floors[architecture])
        medians = {
            "s_per_epoch": np.median(values, axis=0),
            "floor_s": np.median(floor, axis=0),
            "times_own_floor": np.median(values / floor, axis=0),
            "scvi_over_this": np.median(reference / values, axis=0),
        }
        row: dict[str, Any] = {
            "set": name,
            "n_cells": n,
            "n_genes": g,
            "density": np.count_nonzero(adata.X.data) / (n * g),
            "threads": torch.get_num_threads(),
            "model": model,
        }
        for key, (wall, cpu) in medians.items():
            row |= {key: float(wall), f"{key}_cpu": float(cpu)}
        rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> None:
    first = rows[0]
    print(
        f"\n{first['n_cells']} cells x {first['n_genes']} genes, {first['density']:.1%} of the counts not zero, "
        f"minibatch {BATCH}, threads: {first['threads']}; the last two columns are processor time\n{'':46s}"
        f"{'s/epoch':>9s}{'x floor':>9s}{'scVI / this':>13s}{'x floor':>9s}{'scVI / this':>13s}"
    )
    for row in rows:
        line = f"{row['model']:46s}{row['s_per_epoch']:9.3f}"
        for kind in ("", "_cpu"):
            line += f"{row[f'times_own_floor{kind}']:9.1f}{row[f'scvi_over_this{kind}']:13.2f}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--cells", nargs="+", default=[DEMO], help="the demo set or numbers of synthetic cells")
    add_thread_options(parser)
    add_json_option(parser, __file__)
    options = parser.parse_args()
    be_quiet()
    scvi.settings.seed = 0
    if options.one:
        torch.set_num_threads(*options.threads)
        print(json.dumps(measure(*options.cells, options.repeats, options.epochs)))
        return
    print(machine())
    figures: list[dict[str, Any]] = []
    for name in options.cells:
        same = ["--cells", name, "--repeats", options.repeats, "--epochs", options.epochs]
        figures += by_threads(__file__, options.threads, table, *same)
        write_results(options.json, figures)


if __name__ == "__main__":
    main()
