"""How long does training take to the ELBO of held-out cells that scVI's default training ends with?

scVI trains with all its defaults, the number of epochs among them, and a negative binomial likelihood; its ELBO of the
validation cells at the end is the level to reach. Then models of ``curvi`` train on the same cells with the same
likelihood, layers and number of latent dimensions, by one recipe for all sets, and so does scVI by as much of that
recipe as it has. All are judged by their own ``get_elbo`` in breaks between epochs, which do not count as training.

Usage: ``CURVI_DATA_DIR=... python benchmarks/time_to_elbo.py [--seeds 1] [--threads 1] [--sets kang_muscat ...]``
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import scvi
import torch
from _setting import QUIET, be_quiet, real
from _tables import Report, add_markdown_option
from anndata import AnnData
from lightning.pytorch import Callback

import curvi

# By file: what the cells are, and the column of their batch.
SETS: dict[str, tuple[str, str | None]] = {
    "kang_muscat": ("lupus blood cells", "donor"),
    "oligodendrocyte_marques_scx": ("oligodendrocytes", "sex"),
    "glioblastoma_lemur": ("glioblastoma", "patient_id"),
    "scphere_cd14_erythroid": ("monocytes", None),
    "human_kidney_top2000": ("kidney", None),
    "cbmc_citeseq_top2000": ("cord blood", None),
}
USUAL = ["kang_muscat", "oligodendrocyte_marques_scx", "glioblastoma_lemur"]
EPOCHS, RATE, WARMUP = 80, 1e-2, 0.1
LAYERS = {"n_latent": 10, "n_layers": 1, "n_hidden": 128, "dropout_rate": 0.1}
RECIPE = {"max_epochs": EPOCHS, "kl_warmup": WARMUP, "lr_schedule": "cosine", "plan_kwargs": {"lr": RATE}}
PEER = {"max_epochs": EPOCHS, "plan_kwargs": {"lr": RATE, "n_epochs_kl_warmup": round(WARMUP * EPOCHS)}}
REFERENCE = "scVI, its defaults"
# By name: how to make the model, the arguments of its training, how many epochs from one look at it to the next.
MODELS: dict[str, tuple[Callable[[AnnData], Any], dict[str, Any], int]] = {
    REFERENCE: (lambda adata: scvi.model.SCVI(adata, gene_likelihood="nb"), {}, 4),
    "scVI, rate and epochs of the recipe": (lambda adata: scvi.model.SCVI(adata, gene_likelihood="nb"), PEER, 1),
    "curvi, Gaussian": (lambda adata: curvi.CurviVAE(adata, latent="normal", likelihood="nb", **LAYERS), RECIPE, 1),
    "curvi, vMF": (lambda adata: curvi.CurviVAE(adata, latent="vmf", likelihood="nb", **LAYERS), RECIPE, 1),
}
HELD_OUT, PASSES, LAST_PASSES = 0.1, 3, 20
Run = dict[str, Any]


class Watch(Callback):
    """Seconds of training and the ELBO of validation cells every few epochs; looking takes no time on its clock."""

    def __init__(self, model: Any, cells: np.ndarray, every: int) -> None:
        self.model, self.cells, self.every = model, cells, every
        self.looks: list[dict[str, float]] = []
        self._breaks = np.zeros(2)
        self._start = self._now()

    @staticmethod
    def _now() -> np.ndarray:
        return np.array([time.perf_counter(), time.process_time()])

    def elapsed(self) -> tuple[float, float]:
        """Wall and processor seconds since the start, without the breaks."""
        wall, processor = self._now() - self._start - self._breaks
        return float(wall), float(processor)

    def elbo(self, passes: int) -> float:
        """The ELBO of the validation cells, in nats a cell, mean of several draws."""
        return float(np.mean([float(self.model.get_elbo(indices=self.cells)) for _ in range(passes)]))

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % self.every:
            return
        (wall, processor), begin = self.elapsed(), self._now()
        with torch.random.fork_rng():
            self.model.module.eval()
            self.model.is_trained_ = True  # else it does not say its ELBO
            elbo = self.elbo(PASSES)
            self.model.module.train()
        self.looks.append({"epoch": epoch, "wall": wall, "processor": processor, "elbo": elbo})
        self._breaks += self._now() - begin


def split(n_cells: int, seed: int) -> list[np.ndarray]:
    """The numbers of the cells to train on and of those to judge by, the same for all models."""
    order = np.random.default_rng(seed).permutation(n_cells)
    n = round(HELD_OUT * n_cells)
    return [np.sort(order[n:]), np.sort(order[:n])]


def trained(name: str, adata: AnnData, cells: list[np.ndarray], seed: int) -> Run:
    """Train a model: its course, and its end."""
    make, arguments, every = MODELS[name]
    scvi.settings.seed = seed
    model = make(adata)
    watch = Watch(model, cells[1], every)
    model.train(callbacks=[watch], datasplitter_kwargs={"external_indexing": list(cells)}, **arguments, **QUIET)
    wall, processor = watch.elapsed()
    end = {"epoch": watch.looks[-1]["epoch"], "wall": wall, "processor": processor, "elbo": watch.elbo(LAST_PASSES)}
    return {"looks": watch.looks, "end": end}


def reached(run: Run, level: float) -> dict[str, float]:
    """The first of two looks in succession that both find the ELBO at the level; without one, no time is enough."""
    for look, following in zip(run["looks"], run["looks"][1:], strict=False):
        if min(look["elbo"], following["elbo"]) >= level:
            return look
    return {"epoch": inf, "wall": inf, "processor": inf}


def registered(adata: AnnData, batch: str | None) -> AnnData:
    scvi.model.SCVI.setup_anndata(adata, batch_key=batch)
    curvi.CurviVAE.setup_anndata(adata, batch_key=batch)
    return adata


def warm_up(adata: AnnData) -> None:
    """Load what is compiled, so that no training waits for it."""
    for make, arguments, _ in MODELS.values():
        make(adata).train(**(arguments | {"max_epochs": 1}), **QUIET)


def number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}" if isfinite(value) else "never"


def to_level(runs: list[dict[str, Run]], name: str) -> list[str]:
    """Of the runs of each seed: when a model is at the level, and how much longer scVI took, in all and to be there."""
    whole, first, this = [], [], []
    for run in runs:
        level = run[REFERENCE]["end"]["elbo"]
        own = min(reached(run[REFERENCE], level), run[REFERENCE]["end"], key=lambda look: look["epoch"])
        look = own if name == REFERENCE else reached(run[name], level)
        this.append([look[key] for key in ("epoch", "wall", "processor")])
        whole.append([run[REFERENCE]["end"][key] / look[key] for key in ("wall", "processor")])
        first.append([own[key] / look[key] for key in ("wall", "processor")])
    times = [number(value, digits) for value, digits in zip(np.median(this, axis=0), (0, 1, 1), strict=True)]
    return [*times, *(f"{value:.1f}" for value in [*np.median(whole, axis=0), *np.median(first, axis=0)])]


def whole(runs: list[dict[str, Run]], name: str) -> list[str]:
    """Of the runs of each seed: the end of a training, and how much longer that of scVI took."""
    keys = ("elbo", "wall", "processor")
    this = np.array([[run[name]["end"][key] for key in keys] for run in runs])
    reference = np.array([[run[REFERENCE]["end"][key] for key in keys] for run in runs])
    middle = np.median(this, axis=0)
    ahead = np.median(this[:, 0] - reference[:, 0])
    ratios = np.median(reference[:, 1:] / this[:, 1:], axis=0)
    figures = [f"{middle[0]:.1f}", f"{ahead:+.1f}", *(number(value, 1) for value in middle[1:])]
    return [str(runs[0][name]["end"]["epoch"]), *figures, *(f"{value:.1f}" for value in ratios)]


def write(found: dict[str, list[dict[str, Run]]], sizes: dict[str, str], options: argparse.Namespace) -> None:
    """The tables of all sets."""
    chosen = "".join(f" --{name} {getattr(options, name)}" for name in ("seeds", "threads") if getattr(options, name))
    chosen += f" --sets {' '.join(options.sets)}" if options.sets != USUAL else ""
    report = Report("Time to the ELBO of scVI", f"python benchmarks/time_to_elbo.py{chosen} --markdown")
    rows = [(SETS[key][0], name, runs) for key, runs in found.items() for name in MODELS]
    seeds = "One seed." if options.seeds == 1 else f"Medians over {options.seeds} seeds, each with its own split."
    report.table(
        "Seconds of training to the ELBO that scVI ends with",
        [
            "cells, model",
            *("epoch", "wall, s", "processor, s"),
            *("scVI's whole training over this, wall", "processor"),
            *("scVI's time to its level over this, wall", "processor"),
        ],
        [[f"{cells}: {name}", *to_level(runs, name)] for cells, name, runs in rows],
        "The level is the ELBO of the validation cells, in nats a cell, that scVI with its defaults has at the end of "
        "its training. A model is there at the first of two looks in succession that both find it there; scVI with its "
        "defaults is looked at every fourth epoch, and is there at its end at the latest; the others are looked at "
        "after each. Looking is not counted. Wall seconds have in them what else went on on the machine.",
    )
    report.table(
        "Whole trainings",
        [
            "cells, model",
            "epochs",
            "ELBO",
            "beyond scVI's",
            "wall, s",
            "processor, s",
            "scVI over this, wall",
            "processor",
        ],
        [[f"{cells}: {name}", *whole(runs, name)] for cells, name, runs in rows],
        f"Sets: {'; '.join(f'{SETS[key][0]} ({sizes[key]})' for key in found)}. All: negative binomial, ten latent "
        "dimensions, one hidden layer of 128, dropout 0.1, minibatches of 128, the same tenth of the cells held out. "
        "scVI: the default training of scvi-tools, whose KL weight rises over 400 epochs. The recipe, for all sets: "
        f'`train(max_epochs={EPOCHS}, lr_schedule="cosine", plan_kwargs={{"lr": {RATE}}})`, and with it the default '
        "KL warm-up of a tenth of the training; scVI has its rate, epochs and warm-up, but no such schedule. It was "
        f"chosen on the {SETS[USUAL[0]][0]}, seed 0, and is the same for all. {seeds} Machine: {os.cpu_count()} cores "
        f"for everything, load average {os.getloadavg()[1]:.1f} at the end.",
    )
    report.write(options.markdown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=USUAL)
    parser.add_argument("--threads", type=int, help="by default as many as torch takes")
    parser.add_argument("--json", type=Path, help="keep the figures of trainings there, and go on from them")
    add_markdown_option(parser, "time_to_elbo")
    options = parser.parse_args()
    be_quiet()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    setting = {"recipe": RECIPE, "threads": torch.get_num_threads()}
    kept: dict[str, Any] = {"setting": setting, "runs": {}}
    if options.json and options.json.exists():
        kept = json.loads(options.json.read_text())
        if kept["setting"] != setting:
            raise SystemExit(f"{options.json} has figures of {kept['setting']}, not of {setting}; pass another path")
    data = {name: registered(real(name), SETS[name][1]) for name in options.sets}
    name = options.sets[0]
    warm_up(registered(real(name)[:512].copy(), SETS[name][1]))
    for seed in range(options.seeds):
        for name, adata in data.items():
            runs = kept["runs"].setdefault(name, [])
            if len(runs) == seed:
                run = {}
                for model in MODELS:
                    run[model] = trained(model, adata, split(adata.n_obs, seed), seed)
                    print(seed, name, model, run[model]["end"], flush=True)
                runs.append(run)
            if options.json:
                options.json.write_text(json.dumps(kept))
    sizes = {name: f"{adata.n_obs} × {adata.n_vars}" for name, adata in data.items()}
    write({name: kept["runs"][name][: options.seeds] for name in data}, sizes, options)


if __name__ == "__main__":
    main()
