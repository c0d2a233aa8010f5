"""Is a training in two processes as good as in one, at equal minibatches of both together? And how fast is it?

Monocytes and erythroid cells of scPhere's demonstration, 2303 cells and 2000 genes, on the CPU, one thread a process,
processes that talk through gloo. One process takes minibatches of 128 cells, each of two takes 64. For each latent
space and seed both are trained, one after the other, and the validation ELBO at the end is compared: split and first
weights are the same for a seed, draws and the order of cells are not, so that the two differ at least as two trainings
of one process would. Of the mean difference there is a standard error over the seeds.

Usage: ``CURVI_DATA_DIR=... python benchmarks/ddp.py [--seeds 5] [--epochs 60] [--markdown] [--json]``
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np
import torch
from _setting import QUIET, add_json_option, be_quiet, real, write_results
from _tables import Report, add_markdown_option
from anndata import AnnData
from lightning.pytorch.callbacks import Callback

import curvi

LATENTS: dict[str, Any] = {
    "vMF": "vmf",
    "Gaussian": "normal",
    "Lorentz": "lorentz",
    "product": [("vmf", 3), ("lorentz", 3), ("normal", 4)],
}
# Of each model by the number of processes, the figures of each seed.
Figures = dict[str, dict[int, list[list[float]]]]
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
    """Mean and median over the validation cells of the ELBO in nats, and cells a second of all processes together."""
    curvi.model.set_seed(seed)
    model = curvi.CurviVAE(adata, **arguments)
    model.train(epochs, callbacks=[Clock()], **PROCESSES[processes], **QUIET)
    elbo = np.mean([model.get_elbo(indices=model.validation_indices, return_mean=False) for _ in range(5)], axis=0)
    seconds = model.history["seconds"].iloc[1:, 0].astype(float).median()
    return [float(np.mean(elbo)), float(np.median(elbo)), float(len(model.train_indices) / seconds)]


def row(name: str, one: np.ndarray, two: np.ndarray) -> list[str]:
    """A line of the table from ``(n_seeds, 3)`` figures of one process and of two."""

    def spread(values: np.ndarray) -> str:
        return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}"

    change = two[:, 1] - one[:, 1]
    return [
        name,
        *(spread(values[:, figure]) for figure in (0, 1) for values in (one, two)),
        f"{change.mean():+.1f} ± {change.std(ddof=1) / len(change) ** 0.5:.1f}",
        *(f"{np.median(values[:, 2]):,.0f}" for values in (one, two)),
        f"{np.median(two[:, 2] / one[:, 2]):.2f}",
    ]


def figures(name: str, epochs: int, found: dict[int, list[list[float]]]) -> dict[str, Any]:
    """What is kept of a model: the median ELBO and the cells a second, and how two processes differ from one."""
    one, two = (np.array(found[processes]) for processes in PROCESSES)
    change = two[:, 1] - one[:, 1]
    return {
        "model": f"{name} normalisation",
        "epochs": epochs,
        "n_seeds": len(change),
        "elbo_one": float(one[:, 1].mean()),
        "elbo_one_spread": float(one[:, 1].std(ddof=1)),
        "elbo_change": float(change.mean()),
        "elbo_change_error": float(change.std(ddof=1) / len(change) ** 0.5),
        "cells_per_s_one": float(np.median(one[:, 2])),
        "cells_per_s_two": float(np.median(two[:, 2])),
        "times_one": float(np.median(two[:, 2] / one[:, 2])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="at least 2")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--latents", nargs="+", choices=LATENTS, default=list(LATENTS))
    parser.add_argument("--normalization", nargs="+", choices=["batch", "layer"], default=["batch", "layer"])
    add_json_option(parser, __file__)
    add_markdown_option(parser, "ddp")
    options = parser.parse_args()
    be_quiet()
    torch.set_num_threads(1)
    adata = real("scphere_cd14_erythroid")
    curvi.CurviVAE.setup_anndata(adata)
    models: Figures = {f"{name}, {kind}": {} for kind in options.normalization for name in options.latents}
    for seed in range(options.seeds):
        for model, found in models.items():
            name, kind = model.split(", ")
            arguments = {"latent": LATENTS[name], "normalization": kind}
            arguments |= {"n_latent": 10} if isinstance(arguments["latent"], str) else {}
            for processes in PROCESSES:
                run = trained(adata, seed, options.epochs, processes, arguments)
                found.setdefault(processes, []).append(run)
                print(seed, model, processes, run, flush=True)
        if seed:
            write(adata, models, options)


def write(adata: AnnData, models: Figures, options: argparse.Namespace) -> None:
    """The table of all trainings so far."""
    n_seeds = min(len(found[2]) for found in models.values())
    rows = [row(f"{name} normalisation", np.array(found[1]), np.array(found[2])) for name, found in models.items()]
    head = ["model", "mean, one", "two", "median, one", "two", "two - one", "cells/s, one", "two", "ratio"]
    chosen = f"--seeds {options.seeds} --epochs {options.epochs}"
    report = Report("Two processes", f"python benchmarks/ddp.py {chosen} --markdown")
    report.table(
        "Validation ELBO and speed",
        head,
        rows,
        f"{adata.n_obs} cells, {adata.n_vars} genes, {options.epochs} epochs, {n_seeds} seeds. ELBO in nats of the "
        "validation cells: its mean, which a few cells govern, and its median, each with the standard deviation over "
        "the seeds; the difference of the medians, paired by seed, with its standard error. Cells a second: median of "
        "the epochs after the first, the median over the seeds; the ratio is that of each seed, the median again. "
        f"Machine: {os.cpu_count()} cores for everything, load average {os.getloadavg()[1]:.1f} at the end.",
    )
    report.write(options.markdown)
    write_results(options.json, [figures(name, options.epochs, found) for name, found in models.items()])


if __name__ == "__main__":
    main()
