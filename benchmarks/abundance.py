"""Does differential abundance say what differs between samples, and nothing where nothing does?

Two sets of two conditions, several samples each; the encoder does not see the batch levels. For models corrected for
nothing, for the donor, and for the condition too, the table has
- how well the log-ratio of the conditions tells their cells apart (0.5 not at all, 1 always), a cell's own sample left
  out of its group;
- the mean log-ratio towards a cell's own side when samples are drawn by lot, with the cell's own posterior and without;
- what becomes of the mean log-ratio of a cell type when four fifths of its treated cells are taken away, beside what
  the shares of the type say (where there are cell types).
At the end, the time to compare all cells with all samples, beside scvi-tools' method on its own model.

Usage: ``CURVI_DATA_DIR=... python benchmarks/abundance.py [--epochs 60] [--markdown]``
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
import scvi
from _setting import QUIET, be_quiet, real
from _tables import Report, add_markdown_option
from anndata import AnnData
from sklearn.metrics import roc_auc_score

import curvi
from curvi.model import abundance_log_ratio

SETS: dict[str, dict[str, Any]] = {
    "kang_muscat": {
        "title": "Lupus blood cells",
        "donor": "donor",
        "condition": "condition",
        "treated": "stim",
        "type": "B cells",
    },
    "glioblastoma_lemur": {
        "title": "Glioblastoma",
        "donor": "patient_id",
        "condition": "condition",
        "treated": "panobinostat",
        "type": None,
    },
}
SPACES: dict[str, dict[str, Any]] = {
    "vMF, 5-d": {"latent": "vmf", "n_latent": 5},
    "Lorentz, 5-d": {"latent": "lorentz", "n_latent": 5},
    "Gaussian, 10-d": {"latent": "normal", "n_latent": 10},
}


def ratio(model: curvi.CurviVAE, adata: AnnData, chosen: dict[str, Any], *, own_sample: bool) -> pd.Series:
    """The log-ratio of treated over untreated samples at each cell."""
    table = model.differential_abundance(adata, sample_key="sample_id")
    groups = adata.obs.groupby("sample_id", observed=True)[chosen["condition"]].first()
    samples = None if own_sample else adata.obs["sample_id"]
    return abundance_log_ratio(table, groups, chosen["treated"], samples=samples)


def by_lot(model: curvi.CurviVAE, adata: AnnData, *, leave_out_self: bool, repeats: int = 10) -> float:
    """The mean log-ratio towards a cell's own side, of four samples drawn by lot."""
    rng, found = np.random.default_rng(0), []
    for _ in range(repeats):
        lot = rng.permutation(np.arange(adata.n_obs) % 4)
        adata.obs["lot"] = lot
        table = model.differential_abundance(adata, sample_key="lot", leave_out_self=leave_out_self)
        towards = abundance_log_ratio(table, {0: "a", 1: "a", 2: "b", 3: "b"}, "a")
        found.append((np.where(lot < 2, 1, -1) * towards).mean())
    return float(np.mean(found))


def taken_away(model: curvi.CurviVAE, adata: AnnData, chosen: dict[str, Any]) -> list[str]:
    """The change of the mean log-ratio of a cell type that loses treated cells, and that of its shares."""
    if chosen["type"] is None:
        return ["", ""]
    of_type = (adata.obs["cell_type"] == chosen["type"]).to_numpy()
    treated = (adata.obs[chosen["condition"]] == chosen["treated"]).to_numpy()
    lost = of_type & treated & (np.random.default_rng(0).random(adata.n_obs) < 0.8)
    rest = adata[~lost].copy()
    kept = (rest.obs["cell_type"] == chosen["type"]).to_numpy()
    before, after = ratio(model, adata, chosen, own_sample=True), ratio(model, rest, chosen, own_sample=True)
    samples = adata.obs["sample_id"][treated]
    shares = [
        np.mean([of_type[which & (adata.obs["sample_id"] == sample)].mean() for sample in samples.unique()])
        for which in (treated, treated & ~lost)
    ]
    moved = float(after[kept].mean() - before[rest.obs_names][kept].mean())
    return [f"{moved:.2f}", f"{np.log(shares[1] / shares[0]):.2f}"]


def rows_of(name: str, epochs: int, spaces: list[str]) -> list[list[str]]:
    chosen, rows = SETS[name], []
    corrections = {
        "nothing": None,
        "donor": [chosen["donor"]],
        "donor and condition": [chosen["donor"], chosen["condition"]],
    }
    for space in spaces:
        for corrected, levels in corrections.items():
            adata = real(name)
            adata.obs["sample_id"] = adata.obs["sample_id"].astype(str)
            curvi.CurviVAE.setup_anndata(adata, batch_key=levels)
            scvi.settings.seed = 0
            model = curvi.CurviVAE(adata, **SPACES[space])
            model.train(max_epochs=epochs, check_val_every_n_epoch=epochs, **QUIET)
            treated = adata.obs[chosen["condition"]] == chosen["treated"]
            apart = roc_auc_score(treated, ratio(model, adata, chosen, own_sample=False))
            lots = [f"{by_lot(model, adata, leave_out_self=left_out):+.3f}" for left_out in (False, True)]
            moved = taken_away(model, adata, chosen)
            rows.append([f"{space}, {corrected}", f"{apart:.2f}", *lots, *moved])
            print(" | ".join(rows[-1]), flush=True)
    return rows


def times() -> list[list[str]]:
    """Seconds for 5000 cells in ten samples, the embedding included."""
    adata, rows = real("glioblastoma_lemur"), []
    for name, arguments in SPACES.items():
        curvi.CurviVAE.setup_anndata(adata)
        model = curvi.CurviVAE(adata, **arguments)
        model.train(max_epochs=1, **QUIET)
        rows.append([name, best_of(lambda model=model: model.differential_abundance(sample_key="sample_id"))])
    scvi.model.SCVI.setup_anndata(adata)
    peer = scvi.model.SCVI(adata, n_latent=10)
    peer.train(max_epochs=1, **QUIET)
    rows.append(["scvi-tools, 10-d", best_of(lambda: peer.differential_abundance(sample_key="sample_id"))])
    return rows


def best_of(function: Any, repeats: int = 3) -> str:
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return f"{min(found):.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--spaces", nargs="+", default=list(SPACES), choices=SPACES, metavar="SPACE")
    add_markdown_option(parser, "abundance")
    options = parser.parse_args()
    be_quiet()
    report = Report("Differential abundance", "python benchmarks/abundance.py --markdown")
    head = ["model, corrected for", "conditions apart", "by lot, with itself", "without", "taken away", "of the shares"]
    for name in options.sets:
        rows = rows_of(name, options.epochs, options.spaces)
        report.table(f"{SETS[name]['title']}, {options.epochs} epochs, one seed", head, rows)
    report.table("All cells of the glioblastoma set, ten samples", ["model", "time"], times())
    report.write(options.markdown)


if __name__ == "__main__":
    main()
