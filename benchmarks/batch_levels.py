"""Does each further batch level raise the mixing of its categories without losing cell types? Three real sets.

For every set the model is trained without a batch key, then with one, two and three levels. Mixing is
:func:`curvi.metrics.batch_mixing` of every level within the labels (0 apart, 1 mixed), accuracy the 5-fold kNN accuracy
(k = 15) of the labels. Mean and standard deviation over seeds.

Usage: ``CURVI_DATA_DIR=... python benchmarks/batch_levels.py [--seeds 3] [--n-latent 5] [--epochs 50]``
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scvi
from _setting import QUIET, be_quiet, machine, real

import curvi

LEVELS = {
    "onek1k_scdesignpop": ["donor", "sex"],
    "glioblastoma_lemur": ["patient_id", "treatment", "location"],
    "kang_muscat": ["donor", "condition"],
}
# CD74, HLA-DRA, HLA-DRB1 and CD14: what microglia and macrophages express and tumour cells of these slices hardly do.
MYELOID = ["ENSG00000019582", "ENSG00000204287", "ENSG00000196126", "ENSG00000170458"]


def labelled(name: str) -> anndata.AnnData:
    """The set with a ``label`` column: its cell types, or myeloid against other cells where it has none."""
    adata = real(name)
    if "cell_type" in adata.obs:
        adata.obs["label"] = adata.obs["cell_type"]
        return adata
    stem = adata.var_names.str.split(".").str[0]
    share = np.asarray(adata[:, stem.isin(MYELOID)].X.sum(1)).ravel() / np.asarray(adata.X.sum(1)).ravel()
    adata.obs["label"] = pd.Categorical(np.where(share > 0.01, "myeloid", "other"))
    return adata


def scores(
    adata: anndata.AnnData, levels: list[str], used: int, n_latent: int, epochs: int, seed: int, *, seen: bool
) -> dict[str, float]:
    scvi.settings.seed = seed
    curvi.CurviVAE.setup_anndata(adata, batch_key=levels[:used] or None)
    model = curvi.CurviVAE(adata, latent="vmf", n_latent=n_latent, encode_covariates=seen)
    model.train(max_epochs=epochs, check_val_every_n_epoch=epochs, **QUIET)
    model.embed(adata, key_added="X_curvi")
    mixing = curvi.metrics.batch_mixing(adata, "X_curvi", levels, label_key="label")
    accuracy = curvi.metrics.knn_accuracy(adata, "X_curvi", "label", k=15)
    return {f"mixing of {level}": float(mixing[level]) for level in levels} | {"label accuracy": accuracy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n-latent", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--sets", nargs="+", default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--encode-covariates", action="store_true", help="let the encoder see the levels too")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    options = parser.parse_args()
    be_quiet()
    text = [f"vMF S^{options.n_latent}, {options.seeds} seeds, {options.epochs} epochs, {machine()}\n"]
    for name in options.sets:
        adata, levels = labelled(name), LEVELS[name]
        rows = {}
        for used in range(len(levels) + 1):
            runs = [
                scores(adata, levels, used, options.n_latent, options.epochs, seed, seen=options.encode_covariates)
                for seed in range(options.seeds)
            ]
            rows[" + ".join(levels[:used]) or "no level"] = pd.DataFrame(runs)
        columns = list(rows["no level"])
        body = [
            f"| {row} | " + " | ".join(f"{run[c].mean():.3f} ± {run[c].std(ddof=1):.3f}" for c in columns) + " |"
            for row, run in rows.items()
        ]
        head = [f"| {name}: corrected for | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        text += [*head, *body, ""]
        print("\n".join(text[-len(body) - 3 :]), flush=True)
    if options.markdown:
        options.markdown.write_text("\n".join(text))


if __name__ == "__main__":
    main()
