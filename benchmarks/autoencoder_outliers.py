"""Is the log-likelihood evidence that a picture belongs? Training without one digit, then judging it and other things.

Digits of MNIST with read noise, as in ``autoencoder_family.py``. Each method is trained without one digit and gives
every held-out picture a score: its log-likelihood, or for the plain autoencoder, which has none, minus the squared
error of its reconstruction. The area under the ROC curve is the probability that a held-out digit of the known kinds
scores higher than a stranger: digits of the kind that was left out, digits in negative, digits whose pixels are
shuffled (always in the same way), and cells under the microscope. 0.5 is a coin; below, strangers look more likely than
what was trained on.

Usage: ``CURVI_DATA_DIR=... python benchmarks/autoencoder_outliers.py [--left-out 1 4 8] [--markdown]``
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from _cell_images import living_and_dead
from _members import Data, Linear, dense, digits, single_threaded, trained, with_read_noise
from _setting import be_quiet
from _tables import Report, add_markdown_option
from anndata import AnnData
from sklearn.metrics import roc_auc_score

METHODS = ("PCA", "factor analysis", "autoencoder", "VAE, Gaussian", "VAE, vMF")
N_EACH = 500


def strangers(pixels: np.ndarray, n: int) -> dict[str, np.ndarray]:
    """Pictures that are no digits, ``(n, 784)`` each, with the read noise of the digits."""
    pixels = pixels[:n]
    shuffled = pixels[:, np.random.default_rng(0).permutation(pixels.shape[1])]
    cells = living_and_dead()
    rows = np.random.default_rng(0).permutation(cells.n_obs)[:n]
    found = {"negative": 1 - pixels, "shuffled": shuffled, "cells": dense(cells.X[rows])}
    return {name: with_read_noise(x, seed=1) for name, x in found.items()}


def scorer(method: str, data: Data, train: AnnData, dim: int, samples: int):
    """A function from pictures ``(n, 784)`` to their scores ``(n,)``."""
    if method in ("PCA", "factor analysis"):
        return Linear(method, dim, dense(train.X)).log_likelihood
    model = trained(train, data.epochs, 0, **data.arguments(method, dim))

    def score(x: np.ndarray) -> np.ndarray:
        if not model.module.latent.has_prior:
            return -np.square(model.decode(model.encode(x)) - x).sum(1)
        torch.manual_seed(0)
        pictures = AnnData(x, var=train.var)
        return model.get_marginal_ll(pictures, n_mc_samples=samples, n_mc_samples_per_pass=10, return_mean=False)

    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--left-out", nargs="+", default=["1", "4", "8"])
    parser.add_argument("--dim", type=int, default=10)
    parser.add_argument("--train", type=int, default=10_000, help="digits, before one kind is left out")
    parser.add_argument("--test", type=int, default=5_000, help="digits to choose held-out ones from")
    parser.add_argument("--samples", type=int, default=50, help="draws for each log-likelihood")
    add_markdown_option(parser, "autoencoder_outliers")
    options = parser.parse_args()
    be_quiet()
    single_threaded()
    report = Report("Strangers by their log-likelihood", "python benchmarks/autoencoder_outliers.py")
    data = digits(options.train, options.test)
    kinds, test = data.test.obs["label"].astype(str).to_numpy(), dense(data.test.X)
    others = strangers(data.clean, N_EACH)
    rows = []
    for method in METHODS:
        by_digit, by_stranger = [], []
        for digit in options.left_out:
            train = data.train[data.train.obs["label"].astype(str) != digit].copy()
            score = scorer(method, data, train, options.dim, options.samples)
            known = score(test[kinds != digit][:N_EACH])

            def auc(pictures: np.ndarray, known: np.ndarray = known, score=score) -> float:
                truth = np.repeat([1, 0], [len(known), len(pictures)])
                return float(roc_auc_score(truth, np.concatenate([known, score(pictures)])))

            by_digit.append(auc(test[kinds == digit][:N_EACH]))
            by_stranger.append([auc(pictures) for pictures in others.values()])
        rows.append([method, *(f"{value:.3f}" for value in [*by_digit, *np.mean(by_stranger, 0)])])
        print(rows[-1], flush=True)
    heads = ["", *(f"left out: {digit}" for digit in options.left_out), *others]
    title = f"Area under the ROC curve, {options.dim} dimensions, {N_EACH} pictures a kind"
    report.table(title, heads, rows, "The last three columns are means over the models without one digit.")
    report.write(options.markdown)


if __name__ == "__main__":
    main()
