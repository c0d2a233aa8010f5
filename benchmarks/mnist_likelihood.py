"""How well do spheres and planes of few dimensions describe handwritten digits? MNIST, binarised dynamically.

The architecture of Davidson et al. (2018): fully connected, 256 and 128 hidden units and the mirror of them. Negative
log-likelihood of 10,000 test digits, binarised once, by importance weighting; accuracy of the 5 nearest labelled digits
along the manifold with 100, 600 and 1000 labels. Mean and standard deviation over seeds.

Usage: ``CURVI_DATA_DIR=... python benchmarks/mnist_likelihood.py [--dims 2 5 10] [--epochs 100]``
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
import torch
from _setting import QUIET, be_quiet, machine
from anndata import AnnData

import curvi
from curvi.metrics import GeodesicNeighbors
from curvi.model import DynamicBinarization, set_seed

LABELS = (100, 600, 1000)


def binarised(adata: AnnData) -> AnnData:
    """One draw of every picture, the same in every run."""
    drawn = adata.copy()
    drawn.X = (np.random.default_rng(0).random(adata.shape) < adata.X).astype(np.float32)
    return drawn


def fitted(adata: AnnData, latent: str, dim: int, network: str, epochs: int, seed: int) -> curvi.CurviVAE:
    set_seed(seed)
    curvi.CurviVAE.setup_anndata(adata)
    widths = {"n_hidden": [256, 128]} if network == "mlp" else {}
    model = curvi.CurviVAE(
        adata,
        latent=latent,
        n_latent=dim,
        likelihood="bernoulli",
        network=network,
        dropout_rate=0.0,
        normalization="none" if network == "mlp" else "batch",
        **widths,
    )
    model.train(
        max_epochs=epochs,
        train_size=1.0,
        check_val_every_n_epoch=None,
        callbacks=[DynamicBinarization()],
        plan_kwargs={"eps": 1e-8, "weight_decay": 0.0},
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", nargs="+", default=["vmf", "normal"])
    parser.add_argument("--dims", nargs="+", type=int, default=[2, 5, 10, 20, 40])
    parser.add_argument("--network", default="mlp", choices=("mlp", "conv"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--samples", type=int, default=500)
    options = parser.parse_args()
    be_quiet()
    adata = curvi.datasets.mnist()
    train = adata[adata.obs["split"] == "train"].copy()
    test = binarised(adata[adata.obs["split"] == "test"].copy())
    print(f"{train.n_obs} + {test.n_obs} digits, {options.epochs} epochs, {options.network}, {machine()}")
    print(f"| latent | d | NLL | {' | '.join(f'{n} labels' for n in LABELS)} | minutes of training |")
    print("|---|---|---|---|---|---|---|")
    for dim in options.dims:
        for latent in options.latents:
            runs = []
            for seed in range(options.seeds):
                start = time.perf_counter()
                model = fitted(train, latent, dim, options.network, options.epochs, seed)
                minutes = (time.perf_counter() - start) / 60
                with torch.no_grad():
                    nll = -model.get_marginal_ll(test, n_mc_samples=options.samples, n_mc_samples_per_pass=50)
                runs.append({"NLL": nll} | accuracies(model, binarised(train), test, seed) | {"minutes": minutes})
            table = pd.DataFrame(runs)
            spread = table.std(ddof=1).fillna(0.0)
            cells = [f"{table[c].mean():.3f} ± {spread[c]:.3f}" for c in table if c != "minutes"]
            print(f"| {latent} | {dim} | {' | '.join(cells)} | {table['minutes'].mean():.1f} |", flush=True)


if __name__ == "__main__":
    main()
