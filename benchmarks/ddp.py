"""Is a training in two processes as good as in one, at equal minibatches of both together? And how fast is it?

Monocytes and erythroid cells of scPhere's demonstration, 2303 cells and 2000 genes, on the CPU, one thread a process,
processes that talk through gloo. One process takes minibatches of 128 cells, each of two takes 64. For each latent
space and seed both are trained, one after the other, and the validation ELBO at the end is compared: split and first
weights are the same for a seed, draws and the order of cells are not, so that the two differ at least as two trainings
of one process would. Of the mean difference there is a standard error over the seeds.

Usage: ``CURVI_DATA_DIR=... python benchmarks/ddp.py [--seeds 5] [--epochs 60] [--markdown] [--json PATH]``
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _setting import QUIET, be_quiet, real
from _tables import Report, add_markdown_option
from anndata import AnnData
from lightning.pytorch.callbacks import Callback

import curvi

LATENTS: dict[str, dict[str, Any]] = {
    "vMF, 10": {"latent": "vmf", "n_latent": 10},
    "Lorentz, 10": {"latent": "lorentz", "n_latent": 10},
    "Gaussian, 10": {"latent": "normal", "n_latent": 10},
    "product": {"latent": [("vmf", 3), ("lorentz", 3), ("normal", 4)]},
}
PROCESSES: dict[int, dict[str, Any]] = {
    1: {"accelerator": "cpu", "batch_size": 128},
    # Forked, so that the data are not read and sent anew; the steps are those of "ddp".
    2: {"accelerator": "cpu", "batch_size": 64, "devices": 2, "strategy": "ddp_fork"},
}


class Clock(Callback):
    """Logs how long each epoch took."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        pl_module.log("seconds", time.perf_counter() - self.start, sync_dist=True)


def trained(adata: AnnData, seed: int, epochs: int, processes: int, arguments: dict[str, Any]) -> list[float]:
    """The validation ELBO in nats a cell, and the cells that all processes together train on in a second."""
    curvi.model.set_seed(seed)
    model = curvi.CurviVAE(adata, **arguments)
    model.train(epochs, callbacks=[Clock()], **PROCESSES[processes], **QUIET)
    elbo = np.mean([float(model.get_elbo(indices=model.validation_indices)) for _ in range(5)])
    seconds = model.history["seconds"].iloc[1:, 0].astype(float).median()
    return [float(elbo), len(model.train_indices) / seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--json", type=Path, help="also write the figures of every training there")
    add_markdown_option(parser, "ddp")
    options = parser.parse_args()
    be_quiet()
    torch.set_num_threads(1)
    adata = real("scphere_cd14_erythroid")
    curvi.CurviVAE.setup_anndata(adata)
    report = Report("Two processes", "python benchmarks/ddp.py --markdown")
    found: dict[str, dict[int, list[list[float]]]] = {name: {1: [], 2: []} for name in LATENTS}
    for seed in range(options.seeds):
        for name, arguments in LATENTS.items():
            for processes in PROCESSES:
                found[name][processes].append(trained(adata, seed, options.epochs, processes, arguments))
                print(seed, name, processes, found[name][processes][-1], flush=True)
    rows = []
    for name, of in found.items():
        one, two = np.array(of[1]), np.array(of[2])
        change = two[:, 0] - one[:, 0]
        speed = np.median(two[:, 1] / one[:, 1])
        rows.append(
            [
                name,
                *(f"{x[:, 0].mean():.2f} ± {x[:, 0].std(ddof=1):.2f}" for x in (one, two)),
                f"{change.mean():+.2f} ± {change.std(ddof=1) / len(change) ** 0.5:.2f}",
                *(f"{np.median(x[:, 1]):,.0f}" for x in (one, two)),
                f"{speed:.2f}",
            ]
        )
    head = ["latent space", "ELBO, one", "ELBO, two", "two - one", "cells/s, one", "cells/s, two", "ratio"]
    report.table(
        "Validation ELBO and speed",
        head,
        rows,
        f"{adata.n_obs} cells, {adata.n_vars} genes, {options.epochs} epochs, {options.seeds} seeds. ELBO in nats a "
        "cell on the validation cells, mean ± standard deviation over the seeds; the difference, paired by seed, with "
        "its standard error. Cells a second: medians of the epochs after the first; the ratio is the median over the "
        f"seeds. Machine: {os.cpu_count()} cores for everything, load average {os.getloadavg()[1]:.1f} at the end.",
    )
    report.write(options.markdown)
    if options.json:
        options.json.write_text(json.dumps({"settings": vars(options) | {"json": None, "markdown": None}, **found}))


if __name__ == "__main__":
    main()
