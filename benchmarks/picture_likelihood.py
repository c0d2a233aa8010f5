"""Does a variational autoencoder give held-out pictures a higher density than probabilistic PCA of as many dimensions?

Living and dead cells (grey) and cells of blood smears (made grey), split by source picture. The byte values are made
continuous by uniform noise, (byte + u) / 256, the same for all methods, so that densities are comparable. Probabilistic
PCA and factor analysis are scikit-learn's, with their exact likelihoods; those of the autoencoders are estimates by
importance weighting, which are too low on average. Mean log-density of the same held-out pictures, in nats a picture.

Usage: ``CURVI_DATA_DIR=... python benchmarks/picture_likelihood.py [--dims 2 10] [--seeds 3] [--epochs 100]``
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from _cell_images import dequantised, living_and_dead
from _setting import QUIET, be_quiet, machine
from _tables import Report, add_markdown_option
from anndata import AnnData
from sklearn.decomposition import PCA, FactorAnalysis

import curvi
from curvi.data import from_images, to_images
from curvi.model import set_seed

# The luminance of red, green and blue.
GREY = np.array([0.299, 0.587, 0.114])
MODELS = {
    "Gaussian VAE, a variance a pixel": {"latent": "normal", "dispersion": "gene"},
    "vMF VAE, a variance a pixel": {"latent": "vmf", "dispersion": "gene"},
    "Gaussian VAE, a variance a pixel of each picture": {"latent": "normal", "dispersion": "gene-cell"},
    "vMF VAE, a variance a pixel of each picture": {"latent": "vmf", "dispersion": "gene-cell"},
}


def blood() -> AnnData:
    """The cells of BCCD in grey bytes, with its own split; its validation pictures are used for training."""
    adata = curvi.datasets.blood_cells("bccd")
    grey = np.round(255 * (to_images(adata) @ GREY)).astype(np.uint8)
    split = np.where(adata.obs["split"] == "test", "test", "train")
    return from_images(grey, adata.obs["label"].to_numpy(), obs={"split": split})


SETS = {"living and dead cells": living_and_dead, "blood cells": blood}


def density(train: AnnData, test: AnnData, dim: int, model: dict, seed: int, options: argparse.Namespace) -> float:
    """The mean log-density of the held-out pictures under a trained autoencoder."""
    set_seed(seed)
    curvi.CurviVAE.setup_anndata(train)
    vae = curvi.CurviVAE(
        train,
        n_latent=dim,
        likelihood="normal",
        likelihood_kwargs={"scale": 0.1},
        n_hidden=[options.width, options.width],
        dropout_rate=0.0,
        **model,
    )
    vae.train(
        max_epochs=options.epochs,
        train_size=0.95,
        early_stopping=True,
        early_stopping_patience=30,
        check_val_every_n_epoch=1,
        plan_kwargs={"lr": options.lr, "reduce_lr_on_plateau": True, "lr_patience": 10, "lr_factor": 0.5},
        **QUIET,
    )
    return vae.get_marginal_ll(test, n_mc_samples=options.samples, n_mc_samples_per_pass=20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--dims", nargs="+", type=int, default=[2, 10])
    parser.add_argument("--models", nargs="+", type=int, default=range(len(MODELS)), help="numbers of the autoencoders")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--samples", type=int, default=200, help="importance samples")
    parser.add_argument("--test", type=int, default=500, help="held-out pictures that are judged")
    add_markdown_option(parser, "picture_likelihood")
    options = parser.parse_args()
    be_quiet()
    report = Report("Held-out likelihood of pictures", "python benchmarks/picture_likelihood.py")
    for name in options.sets:
        adata = dequantised(SETS[name](), 0)
        train, test = (adata[adata.obs["split"] == side].copy() for side in ("train", "test"))
        test = test[np.random.default_rng(0).permutation(test.n_obs)[: options.test]].copy()
        table: dict[str, list[str]] = {}
        for dim in options.dims:
            for method, fitted in {
                "probabilistic PCA": PCA(dim, svd_solver="randomized", random_state=0),
                "factor analysis": FactorAnalysis(dim, random_state=0),
            }.items():
                exact = fitted.fit(train.X.astype(np.float64)).score(test.X.astype(np.float64))
                table.setdefault(method, []).append(f"{exact:.1f}")
                print(dim, method, table[method][-1], flush=True)
            for method in [list(MODELS)[number] for number in options.models]:
                start = time.perf_counter()
                runs = [density(train, test, dim, MODELS[method], seed, options) for seed in range(options.seeds)]
                spread = np.std(runs, ddof=1) if len(runs) > 1 else 0.0
                table.setdefault(method, []).append(f"{np.mean(runs):.1f} ± {spread:.1f}")
                seconds = (time.perf_counter() - start) / len(runs)
                print(dim, method, table[method][-1], f"{seconds:.0f} s a run", flush=True)
        report.table(
            f"{name}: {train.n_obs} + {test.n_obs} pictures of {train.n_vars} pixels",
            ["log-density of held-out pictures, nats", *(f"d = {dim}" for dim in options.dims)],
            [[method, *row] for method, row in table.items()],
            f"{options.seeds} seeds; {machine()}.",
        )
    report.write(options.markdown)


if __name__ == "__main__":
    main()
