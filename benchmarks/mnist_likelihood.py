"""How well do spheres and planes of few dimensions describe handwritten digits? MNIST, binarised dynamically.

The architecture of Davidson et al. (2018): fully connected, 256 and 128 hidden units and the mirror of them. Negative
log-likelihood of 10,000 test digits, binarised once, by importance weighting; accuracy of the 5 nearest labelled digits
along the manifold with 100, 600 and 1000 labels. Mean and standard deviation over seeds.

Layer normalisation, GELU, and a learning rate that falls along a cosine; the figure of the article stands beside ours.

Usage: ``CURVI_DATA_DIR=... python benchmarks/mnist_likelihood.py [--dims 2 5] [--epochs 60] [--keep runs.csv]``
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _setting import QUIET, be_quiet
from _tables import Report, add_markdown_option
from anndata import AnnData

import curvi
from curvi.metrics import GeodesicNeighbors
from curvi.model import DynamicBinarization, set_seed

LABELS = (100, 600, 1000)
ACCURACIES = [f"{n} labels" for n in LABELS]
PUBLISHED = {("vmf", 10): "93.16 ± 0.31"}


def binarised(adata: AnnData) -> AnnData:
    """One draw of every picture, the same in every run."""
    drawn = adata.copy()
    drawn.X = (np.random.default_rng(0).random(adata.shape) < adata.X).astype(np.float32)
    return drawn


def fitted(adata: AnnData, latent: str, dim: int, options: argparse.Namespace, seed: int) -> curvi.CurviVAE:
    set_seed(seed)
    curvi.CurviVAE.setup_anndata(adata)
    style = {"n_hidden": [256, 128], "normalization": "layer", "activation": "gelu"} if options.network == "mlp" else {}
    model = curvi.CurviVAE(
        adata,
        latent=latent,
        n_latent=dim,
        likelihood="bernoulli",
        network=options.network,
        dropout_rate=0.0,
        **style,
    )
    model.train(
        max_epochs=options.epochs,
        batch_size=options.batch_size,
        train_size=1.0,
        check_val_every_n_epoch=None,
        callbacks=[DynamicBinarization()],
        lr_schedule="cosine",
        plan_kwargs={"lr": options.lr, "eps": 1e-8, "weight_decay": 0.0},
        **QUIET,
    )
    return model


def accuracies(model: curvi.CurviVAE, train: AnnData, test: AnnData, seed: int) -> dict[str, float]:
    """Of the majority among the 5 nearest labelled training digits."""
    chosen = np.random.default_rng(seed).permutation(train.n_obs)[: max(LABELS)]
    known = model.get_latent_representation(train[chosen].copy())
    asked, truth = model.get_latent_representation(test), test.obs["label"].to_numpy().astype(int)
    labels = train.obs["label"].to_numpy().astype(int)[chosen]
    found = {}
    for n in LABELS:
        graph = GeodesicNeighbors(model.manifold, 4).fit(known[:n]).transform(asked)
        votes = labels[:n][graph.indices.reshape(len(asked), 5)]
        counted = np.stack([(votes == digit).sum(1) for digit in range(10)], 1)
        found[f"{n} labels"] = float((counted.argmax(1) == truth).mean())
    return found


def run(
    train: AnnData, test: AnnData, latent: str, dim: int, options: argparse.Namespace, seed: int
) -> dict[str, float]:
    start = time.perf_counter()
    model = fitted(train, latent, dim, options, seed)
    minutes = (time.perf_counter() - start) / 60
    with torch.no_grad():
        nll = -model.get_marginal_ll(test, n_mc_samples=options.samples, n_mc_samples_per_pass=50)
    return {"NLL": nll} | accuracies(model, binarised(train), test, seed) | {"minutes": minutes}


def runs(options: argparse.Namespace) -> pd.DataFrame:
    """Every run once; those that are kept in the file are not repeated."""
    adata = curvi.datasets.mnist()
    train = adata[adata.obs["split"] == "train"].copy()
    test = binarised(adata[adata.obs["split"] == "test"].copy())
    keep: Path | None = options.keep
    done = pd.read_csv(keep).to_dict("records") if keep and keep.exists() else []
    for seed in range(options.seeds):
        for dim in options.dims:
            for latent in options.latents:
                of = {
                    "network": options.network,
                    "latent": latent,
                    "d": dim,
                    "epochs": options.epochs,
                    "samples": options.samples,
                    "seed": seed,
                }
                if not any(of.items() <= row.items() for row in done):
                    done.append(of | run(train, test, latent, dim, options, seed))
                    print(done[-1], flush=True)
                    if keep:
                        pd.DataFrame(done).to_csv(keep, index=False)
    return pd.DataFrame(done)


def table(report: Report, runs: pd.DataFrame) -> None:
    head = ["network", "latent", "d", "epochs", "seeds", "NLL", "published", *ACCURACIES, "minutes of training"]
    rows = []
    for of, group in runs.groupby(["network", "d", "latent", "epochs"], sort=True):
        network, dim, latent, epochs = of
        cells = [f"{group[c].mean():.2f}" if c == "NLL" else f"{group[c].mean():.3f}" for c in ("NLL", *ACCURACIES)]
        if len(group) > 1:
            spread = [group[c].std(ddof=1) for c in ("NLL", *ACCURACIES)]
            cells = [
                f"{cell} ± {sd:.2f}" if i == 0 else f"{cell} ± {sd:.3f}"
                for i, (cell, sd) in enumerate(zip(cells, spread, strict=True))
            ]
        published = PUBLISHED.get((latent, dim), "") if network == "mlp" else ""
        row = [network, latent, str(dim), str(epochs), str(len(group)), cells[0], published, *cells[1:]]
        rows.append([*row, f"{group['minutes'].median():.1f}"])
    samples = " and ".join(str(n) for n in sorted(runs["samples"].unique()))
    note = (
        f"NLL: nats a digit, by importance weighting with {samples} draws. Published: Davidson et al. (2018), table 1, "
        "where vMF at d lives on a sphere of intrinsic dimension d. Labels: accuracy of the 5 nearest labelled digits."
    )
    report.table("Negative log-likelihood of 10,000 test digits after training on 60,000", head, rows, note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", nargs="+", default=["vmf", "normal"])
    parser.add_argument("--dims", nargs="+", type=int, default=[2, 5, 10, 20, 40])
    parser.add_argument("--network", default="mlp", choices=("mlp", "conv"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--lr", type=float, default=6e-3, help="the learning rate at the start")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--keep", type=Path, help="a CSV file of the runs, which are not repeated")
    add_markdown_option(parser, "mnist_likelihood")
    options = parser.parse_args()
    be_quiet()
    report = Report("The likelihood of handwritten digits", "python benchmarks/mnist_likelihood.py")
    table(report, runs(options))
    report.write(options.markdown)


if __name__ == "__main__":
    main()
