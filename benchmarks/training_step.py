"""What does a training epoch cost, against the matrix products that it cannot do without, and against scVI?

Everything runs in one process on the same cells with the same minibatches, in turn, several times; medians compare.
With ``CURVI_DATA_DIR`` set the cells are the scPhere demo set found there, otherwise synthetic ones of the same size.

Usage: ``python benchmarks/training_step.py [--repeats 5] [--epochs 4] [--cells 20000] [--threads 1]``
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import scvi
import torch
from _setting import QUIET, be_quiet, machine, real
from lightning.pytorch import Callback

import curvi
from curvi import presets

BATCH = 128


def cells(n: int | None) -> anndata.AnnData:
    if n is None and os.environ.get("CURVI_DATA_DIR"):
        return real("scphere_cd14_erythroid")
    return curvi.datasets.synthetic(n_obs=n or 2303, n_vars=2000, mean_library=335, seed=0)


class EpochTimes(Callback):
    """Wall time of each training epoch, in seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, trainer, module) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer, module) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def epoch_seconds(model, epochs: int) -> float:
    """The median epoch of a training run; the first one warms caches up and is not counted."""
    times = EpochTimes()
    model.train(
        max_epochs=epochs + 1,
        train_size=1.0,
        batch_size=BATCH,
        callbacks=[times],
        **QUIET,
    )
    return statistics.median(times.seconds[1:])


def floor_seconds(n_cells: int, layers: list[tuple[int, int]], passes: int, repeats: int = 20) -> float:
    """The matrix products of an epoch: forward, gradient of the weights and of the input, for each dense layer.

    The first layer needs no gradient of its input. ``passes`` counts how often the encoder layers, those that
    narrow, are run.
    """
    work = []
    for i, (n_in, n_out) in enumerate(layers):
        x, w, g = torch.randn(BATCH, n_in), torch.randn(n_in, n_out), torch.randn(BATCH, n_out)
        times = passes if n_in > n_out else 1
        work += [(x, w)] * times + [(x.T.contiguous(), g)] * times + ([] if i == 0 else [(g, w.T.contiguous())] * times)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        for a, b in work:
            a @ b
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * -(-n_cells // BATCH)


def contestants(adata: anndata.AnnData) -> dict[str, Callable[[], object]]:
    curvi.CurviVAE.setup_anndata(adata)
    scvi.model.SCVI.setup_anndata(adata)
    equal = {"n_latent": 10, "n_layers": 1, "n_hidden": 128}
    return {
        "scVI, its defaults": lambda: scvi.model.SCVI(adata),
        "scVI, negative binomial": lambda: scvi.model.SCVI(adata, gene_likelihood="nb"),
        "curvi, scVI's architecture, Gaussian": lambda: curvi.CurviVAE(adata, latent="normal", **equal),
        "curvi, scVI's architecture, vMF S^10": lambda: curvi.CurviVAE(adata, latent="vmf", **equal),
        "curvi, scPhere preset, no thinning": lambda: curvi.CurviVAE(
            adata, **(presets.scphere | {"thinning_weight": 0.0})
        ),
        "curvi, scPhere preset": lambda: curvi.CurviVAE(adata, **presets.scphere),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--cells", type=int, help="synthetic cells in the place of real ones")
    parser.add_argument("--threads", type=int, help="by default as many as torch takes")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    be_quiet()
    scvi.settings.seed = 0
    if options.threads is not None:
        torch.set_num_threads(options.threads)

    adata = cells(options.cells)
    n, g = adata.shape
    density = np.count_nonzero(adata.X.data) / (n * g)
    architectures = {
        "scVI": ([(g, 128), (128, 20), (10, 128), (128, g)], 1),
        "scPhere": ([(g, 128), (128, 64), (64, 32), (32, 4), (3, 32), (32, 128), (128, g)], 1),
        "scPhere with thinning": ([(g, 128), (128, 64), (64, 32), (32, 4), (3, 32), (32, 128), (128, g)], 2),
    }
    makers = contestants(adata)
    floors: dict[str, list[float]] = {name: [] for name in architectures}
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(options.repeats):
        for name, (layers, passes) in architectures.items():
            floors[name].append(floor_seconds(n, layers, passes))
        for name, make in makers.items():
            seconds[name].append(epoch_seconds(make(), options.epochs))

    own_floor = dict(zip(makers, ["scVI", "scVI", "scVI", "scVI", "scPhere", "scPhere with thinning"], strict=True))
    reference = np.array(seconds["scVI, its defaults"])
    print(f"{n} cells x {g} genes, {density:.1%} of the counts not zero, minibatch {BATCH}, {machine()}")
    print(f"{'':40s}{'s/epoch':>9s}{'x floor':>9s}{'scVI / this':>13s}")
    figures = {}
    for name, values in seconds.items():
        floor = np.array(floors[own_floor[name]])
        figures[name] = {
            "s_per_epoch": statistics.median(values),
            "times_own_floor": float(np.median(np.array(values) / floor)),
            "scvi_over_this": float(np.median(reference / np.array(values))),
        }
        row = figures[name]
        print(f"{name:40s}{row['s_per_epoch']:9.3f}{row['times_own_floor']:9.1f}{row['scvi_over_this']:13.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
