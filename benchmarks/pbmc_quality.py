"""How well do low-dimensional embeddings keep the ten labels of the 700 PBMC that scanpy ships?

kNN accuracy is 5-fold with k = 5, 15 and 65; the adjusted Rand index is that of Leiden clusters at resolution 1 on 15
geodesic neighbours; the last column counts labels of 40 cells or more of which kNN (k = 15) finds none.

Usage: ``python benchmarks/pbmc_quality.py [--seeds 3] [--epochs 200] [--peers]``
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
import scvi
from _setting import QUIET, be_quiet, machine

import curvi
from curvi import presets


def judged(adata: anndata.AnnData, key: str) -> dict[str, float]:
    row = {f"k={k}": curvi.metrics.knn_accuracy(adata, key, "cell_type", k=k) for k in (5, 15, 65)}
    row["ARI"] = float(curvi.metrics.clustering(adata, key, "cell_type", resolutions=[1.0])["ari"].iloc[0])
    prediction = curvi.metrics.knn_predict(adata, key, "cell_type", k=15)
    recall = prediction.recall()
    row["lost"] = int(((recall["recall"] == 0) & (recall["n_cells"] >= 40)).sum())
    return row


def trained(adata: anndata.AnnData, seed: int, epochs: int, **arguments) -> None:
    scvi.settings.seed = seed
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(adata, **arguments)
    model.train(max_epochs=epochs, check_val_every_n_epoch=epochs, **QUIET)
    model.embed(adata, key_added="X_embedding")


def scvi_embedding(adata: anndata.AnnData, seed: int, epochs: int, n_latent: int) -> None:
    scvi.settings.seed = seed
    scvi.model.SCVI.setup_anndata(adata)
    model = scvi.model.SCVI(adata, n_latent=n_latent)
    model.train(max_epochs=epochs, check_val_every_n_epoch=epochs, **QUIET)
    adata.obsm["X_embedding"] = model.get_latent_representation()


def pca(adata: anndata.AnnData, seed: int, epochs: int) -> None:
    normalised = adata.copy()
    sc.pp.normalize_total(normalised)
    sc.pp.log1p(normalised)
    adata.obsm["X_embedding"] = sc.pp.pca(normalised.X, n_comps=50, random_state=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--only", nargs="+", help="names of rows to print, as in the table")
    parser.add_argument("--peers", action="store_true", help="also train scVI with 10 and 3 dimensions")
    options = parser.parse_args()
    be_quiet()
    adata = curvi.datasets.pbmc68k()
    methods: dict[str, Callable[[int], None]] = {"PCA-50": lambda seed: pca(adata, seed, 0)}
    for name, arguments in {
        "vMF S^2": {"latent": "vmf", "n_latent": 2},
        "vMF S^5": {"latent": "vmf", "n_latent": 5},
        "power spherical S^2": {"latent": "power_spherical", "n_latent": 2},
        "hyperbolic 2-d": {"latent": "lorentz", "n_latent": 2},
        "Gaussian 2-d": {"latent": "normal", "n_latent": 2},
        "Gaussian 10-d": {"latent": "normal", "n_latent": 10},
        "scPhere preset S^2": presets.scphere,
        "scPhere preset S^5": presets.scphere | {"n_latent": 5},
    }.items():
        methods[name] = lambda seed, arguments=arguments: trained(adata, seed, options.epochs, **arguments)
    if options.peers:
        for n in (10, 3):
            methods[f"scVI-{n}"] = lambda seed, n=n: scvi_embedding(adata, seed, 400, n)
    print(f"{adata.n_obs} cells x {adata.n_vars} genes, {options.seeds} seeds, {options.epochs} epochs, {machine()}")
    for name, embed in methods.items():
        if options.only and name not in options.only:
            continue
        rows = []
        for seed in range(options.seeds):
            adata.obsm.pop("X_embedding", None)
            adata.uns.pop("curvi", None)
            embed(seed)
            rows.append(judged(adata, "X_embedding"))
        table = pd.DataFrame(rows)
        cells = [f"{c} {table[c].mean():.3f} +- {np.std(table[c], ddof=1):.3f}" for c in table if c != "lost"]
        print(f"{name:20s} {'  '.join(cells)}  lost {table['lost'].max()}", flush=True)


if __name__ == "__main__":
    main()
