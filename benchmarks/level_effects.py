"""How much does each batch level explain, of the data and of what a model makes of it, before and after correction?

Three real sets with several levels; shares are within labels where there are any. The last table has what a prior on
the rows of a level does for donors of whom only a few cells were seen: the log-likelihood of their held-out cells.

Usage: ``CURVI_DATA_DIR=... python benchmarks/level_effects.py [--epochs 40] [--markdown]``
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import scvi
from _setting import QUIET, be_quiet, real
from _tables import Report, add_markdown_option
from anndata import AnnData

import curvi

LEVELS = {
    "kang_muscat": ["donor", "condition"],
    "glioblastoma_lemur": ["patient_id", "treatment", "location"],
    "onek1k_scdesignpop": ["donor", "sex"],
}
WHAT = ["observed", "decoded", "corrected", "latent"]


def trained(adata: AnnData, levels: list[str], epochs: int, seed: int = 0, **arguments: object) -> curvi.CurviVAE:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "confounded batch levels")
        curvi.CurviVAE.setup_anndata(adata, batch_key=levels)
    scvi.settings.seed = seed
    model = curvi.CurviVAE(adata, latent="vmf", n_latent=5, **arguments)
    model.train(max_epochs=epochs, check_val_every_n_epoch=None, train_size=1.0, logger=None, **QUIET)
    return model


def effects(report: Report, name: str, epochs: int) -> None:
    adata = real(name)
    within = "cell_type" if "cell_type" in adata.obs else None
    table = trained(adata, LEVELS[name], epochs, encode_covariates=True).get_level_effects(within=within)
    rows = []
    for level, row in table.iterrows():
        shares = [f"{row[what]:.3f} ({row[f'{what}_unique']:.3f})" for what in WHAT]
        rows.append([str(level), str(int(row["n_categories"])), *shares, f"{row['shift']:.3f}"])
    pairs = curvi.data.nesting(adata.obs, LEVELS[name])
    relations = "; ".join(
        f"`{pair.first}` and `{pair.second}`: {pair.relation}, Cramer's V {pair.cramers_v:.2f}"
        for pair in pairs.itertuples()
    )
    where = f", within `{within}`" if within else ""
    head = ["level", "categories", *(f"{w} (unique)" for w in WHAT), "shift"]
    report.table(f"{name}{where}", head, rows, f"{relations}.")


def few(adata: AnnData, key: str, n_rare: int, n_few: int, seed: int) -> tuple[AnnData, AnnData]:
    """The data with a few cells only of some donors, and the other cells of these."""
    rng = np.random.default_rng(seed)
    held_out = np.zeros(adata.n_obs, dtype=bool)
    for donor in rng.choice(np.unique(adata.obs[key].astype(str)), n_rare, replace=False):
        held_out[rng.permutation(np.flatnonzero(adata.obs[key].astype(str) == donor))[n_few:]] = True
    return adata[~held_out].copy(), adata[held_out].copy()


def shrinkage(report: Report, epochs: int, seeds: int) -> None:
    adata = real("onek1k_scdesignpop")
    rows = []
    for weight in (0.0, 10.0, 100.0):
        scores = []
        for seed in range(seeds):
            train, test = few(adata, "donor", 8, 10, seed)
            model = trained(train, ["donor"], epochs, seed, level_shrinkage=weight)
            scvi.settings.seed = 0
            scores.append([model.get_marginal_ll(test.copy(), n_mc_samples=20), model.get_elbo()])
        rows.append([f"{weight:g}", *(f"{np.mean(s):.2f}" for s in zip(*scores, strict=True))])
    head = ["level_shrinkage", "held-out cells of rare donors", "ELBO of training cells"]
    note = f"Nats a cell, mean of {seeds} seeds; of 8 donors 10 cells each were seen."
    report.table("onek1k_scdesignpop: donors of 10 cells", head, rows, note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", choices=[*LEVELS, "shrinkage"], nargs="+", default=[*LEVELS, "shrinkage"])
    add_markdown_option(parser, Path(__file__).stem)
    options = parser.parse_args()
    be_quiet()
    report = Report("What each batch level explains", f"benchmarks/level_effects.py --epochs {options.epochs}")
    for name in options.only:
        if name == "shrinkage":
            shrinkage(report, options.epochs, options.seeds)
        else:
            effects(report, name, options.epochs)
    report.write(options.markdown)


if __name__ == "__main__":
    main()
