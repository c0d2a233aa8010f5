"""Are classes of blood cells kept in decoding, and does naming the source of pictures mix the sources? Two real sets.

Part 1, BCCD: a model is trained on the training pictures, and gradient boosting on their pixels, classes weighted. It
judges held-out originals, their reconstructions, and 100 samples of each class: three confusion matrices. All cells of
a smear are on one side; the classes are weighted after the split.

Part 2, TXL-PBC: cells of four older sets, told apart by the column ``source``. A model without batch key, one whose
decoder knows the source, and one whose encoder knows it too. Mixing is :func:`curvi.metrics.batch_mixing` of the
sources within classes (0 apart, 1 mixed), accuracy the kNN accuracy (k = 15, five folds) of the classes. Mean and
standard deviation over seeds.

Usage: ``CURVI_DATA_DIR=... python benchmarks/blood_cells.py [--seeds 0 1 2] [--epochs 30] [--only classes|sources]``
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _setting import QUIET, be_quiet, machine
from _tables import Report, add_markdown_option
from anndata import AnnData

import curvi
from curvi.model import set_seed

COMMON = {"network": "conv", "network_kwargs": {"n_blocks": 0}, "dropout_rate": 0.0}
LIKELIHOODS = {
    "continuous Bernoulli": {"likelihood": "continuous_bernoulli"},
    "normal": {"likelihood": "normal", "likelihood_kwargs": {"scale": 0.1}},
}
CORRECTIONS = {
    "none": {},
    "decoder": {"batch_key": "source"},
    "encoder and decoder": {"batch_key": "source", "encode_covariates": True},
}


def fitted(
    adata: AnnData, options: argparse.Namespace, seed: int, batch_key: str | None = None, **model: object
) -> curvi.CurviVAE:
    set_seed(seed)
    curvi.CurviVAE.setup_anndata(adata, batch_key=batch_key)
    vae = curvi.CurviVAE(adata, **COMMON, **model)
    vae.train(
        max_epochs=options.epochs,
        train_size=1.0,
        batch_size=options.batch_size,
        check_val_every_n_epoch=None,
        kl_weight=options.kl_weight,
        plan_kwargs={"lr": options.lr},
        **QUIET,
    )
    return vae


def classes(report: Report, options: argparse.Namespace) -> None:
    adata = curvi.datasets.blood_cells("bccd")
    train = adata[adata.obs["split"] != "test"].copy()
    for name, likelihood in LIKELIHOODS.items():
        if name not in options.likelihoods:
            continue
        start = time.perf_counter()
        model = fitted(train, options, 0, latent=options.latent, n_latent=options.dim, **likelihood)
        middle = time.perf_counter()
        found = curvi.metrics.reconstruction_confusion(
            model, adata, "label", train=["train", "val"], group_key="source_image"
        )
        print(f"training {middle - start:.0f} s, classifier and judgement {time.perf_counter() - middle:.0f} s")
        scores = found.scores()
        trained = ", ".join(f"{n} {label}" for label, n in found.n_train.items())
        report.table(
            f"BCCD, {options.latent} d = {options.dim}, {name}",
            ["pictures", "n", *(column.replace("_", " ") for column in scores.columns[1:])],
            [[row, str(n), *(f"{value:.3f}" for value in rest)] for row, n, *rest in scores.itertuples()],
            f"The classifier has learned from {trained}; {machine()}.",
        )
        for side, matrix in found.matrices.items():
            report.table(
                f"BCCD, {name}: {side}",
                ["true \\ predicted", *matrix.columns],
                [[label, *map(str, counts)] for label, *counts in matrix.itertuples()],
            )
        if options.figure is not None:
            options.figure.parent.mkdir(parents=True, exist_ok=True)
            curvi.pl.confusion(found, show=False, save=options.figure)


def several_sources(n_most: int) -> AnnData:
    """Different pictures of TXL-PBC, at most ``n_most`` of each class of each source."""
    adata = curvi.datasets.blood_cells("txl_pbc")
    _, first = np.unique(adata.X, axis=0, return_index=True)
    rows = pd.Series(np.random.default_rng(0).permutation(first))
    group = adata.obs["source"].astype(str) + adata.obs["label"].astype(str)
    chosen = rows.groupby(group.to_numpy()[rows]).head(n_most)
    return adata[np.sort(chosen.to_numpy())].copy()


def judged(adata: AnnData, options: argparse.Namespace, seed: int, **arguments: object) -> dict[str, float]:
    model = fitted(adata, options, seed, n_latent=options.dim, **arguments)
    model.embed(adata)
    mixing = curvi.metrics.batch_mixing(adata, "X_curvi", "source", label_key="label")
    found = curvi.metrics.knn_predict(adata, "X_curvi", "label", k=15)
    recall = found.recall()["recall"]
    return {"mixing of sources": mixing, "class accuracy": found.accuracy, "mean class recall": float(recall.mean())}


def sources(report: Report, options: argparse.Namespace) -> None:
    adata = several_sources(options.most)
    print(pd.crosstab(adata.obs["label"], adata.obs["source"]).to_string(), flush=True)
    for latent in options.latents:
        rows = []
        for name in options.corrections:
            runs = []
            for seed in options.seeds:
                start = time.perf_counter()
                arguments = {"latent": latent} | LIKELIHOODS[options.likelihoods[0]] | CORRECTIONS[name]
                runs.append(judged(adata, options, seed, **arguments))
                print(latent, name, seed, runs[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
            table = pd.DataFrame(runs)
            spread = table.std(ddof=1).fillna(0.0)
            rows.append([name, *(f"{table[c].mean():.3f} ± {spread[c]:.3f}" for c in table)])
        report.table(
            f"TXL-PBC, {latent} d = {options.dim}, {options.likelihoods[0]}: {adata.n_obs} pictures of four sources",
            ["the source is known to", *table.columns],
            rows,
            f"{options.epochs} epochs, {len(options.seeds)} seeds; {machine()}.",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("classes", "sources"))
    parser.add_argument("--latent", default="vmf", help="of the model of BCCD")
    parser.add_argument("--latents", nargs="+", default=["vmf", "normal"], help="of the models of TXL-PBC")
    parser.add_argument("--likelihoods", nargs="+", default=list(LIKELIHOODS), choices=LIKELIHOODS)
    parser.add_argument("--corrections", nargs="+", default=list(CORRECTIONS), choices=CORRECTIONS)
    parser.add_argument("--dim", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--kl-weight", type=float, default=1.0)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--most", type=int, default=250, help="pictures of each class of each source of TXL-PBC")
    parser.add_argument("--figure", type=Path, help="also draw the matrices of BCCD into this file")
    add_markdown_option(parser, "blood_cells")
    options = parser.parse_args()
    be_quiet()
    report = Report("Blood cells", "python benchmarks/blood_cells.py")
    if options.only != "sources":
        classes(report, options)
    if options.only != "classes":
        sources(report, options)
    report.write(options.markdown)


if __name__ == "__main__":
    main()
