"""Does a denoising autoencoder remove noise, and does it need to have seen noise for that?

Digits of MNIST and counts of oligodendrocytes, clean. For each kind of noise one denoising autoencoder is trained with
the middle one of three levels; beside it stand an autoencoder of the same network that has never seen noise, and as
many principal components of the clean training data. Mean squared error, of the noisy held-out data themselves and of
what each method makes of them: per pixel, against clean pixels. Counts have no clean version, since those that were
measured are draws themselves; the methods get the molecules that thinning leaves, and are judged by those that it
took, which are an independent sample of the same cell. Compared are profiles, scaled to 1000 counts and divided by the
square root of each gene's mean; the noise of what is compared with is in all columns.

Usage: ``CURVI_DATA_DIR=... python benchmarks/autoencoder_denoising.py [--dim 32] [--markdown]``
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from _members import Data, Linear, counts, dense, digits, single_threaded, trained
from _setting import be_quiet
from _tables import Report, add_markdown_option
from anndata import AnnData

from curvi.nn import Corruption

# The argument that says how strong the noise is, and three values of it.
PIXELS = {
    "gaussian": ("scale", (0.25, 0.5, 1.0)),
    "salt_and_pepper": ("rate", (0.1, 0.25, 0.5)),
    "dropout": ("rate", (0.25, 0.5, 0.75)),
}
COUNTS = {"thinning": ("rate", (0.2, 0.5, 0.8))}
TOTAL = 1000.0


def profiles(train: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that scales counts ``(n, n_genes)`` to the same total, and genes by the root of their mean."""

    def scaled(x: np.ndarray) -> np.ndarray:
        return x * (TOTAL / np.maximum(x.sum(1, keepdims=True), 1))

    root = np.sqrt(scaled(train).mean(0))
    return lambda x: scaled(x) / root


def spoilt(x: np.ndarray, kind: str, strength: dict[str, float]) -> np.ndarray:
    torch.manual_seed(0)
    return Corruption.named(kind)(**strength)(torch.from_numpy(x)).numpy()


def table(data: Data, noise: dict, comparable: Callable[[np.ndarray], np.ndarray], dim: int) -> list[list[str]]:
    """The errors for every kind and level; what is compared is ``comparable`` of data and expectations."""
    train, test = AnnData(dense(data.train.X)), dense(data.test.X)
    plain = data.arguments("autoencoder", dim)
    components = Linear("PCA", dim, comparable(dense(data.train.X)))
    kept = trained(train, data.epochs, 0, **plain)

    rows = []
    for kind, (argument, levels) in noise.items():
        seen = {"corruption": kind, "corruption_kwargs": {argument: levels[1]}}
        denoising = trained(train, data.epochs, 0, **plain, **seen)
        for level in levels:
            noisy = spoilt(test, kind, {argument: level})
            truth = comparable(test - noisy if kind == "thinning" else test)
            found = [comparable(noisy)]
            found += [comparable(model.decode(model.encode(noisy), library_size=TOTAL)) for model in (denoising, kept)]
            found.append(components.decode(components.encode(comparable(noisy))))
            mark = ", as in training" if level == levels[1] else ""
            errors = [np.square(x - truth).mean() for x in found]
            rows.append([f"{kind}, {argument} {level:g}{mark}", *(f"{value:.4f}" for value in errors)])
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["digits", "cells"], choices=("digits", "cells"))
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--train", type=int, default=10_000, help="digits to train on")
    parser.add_argument("--test", type=int, default=2_000, help="digits to test on")
    add_markdown_option(parser, "autoencoder_denoising")
    options = parser.parse_args()
    be_quiet()
    single_threaded()
    report = Report("What denoising autoencoders remove", "python benchmarks/autoencoder_denoising.py")
    heads = ["noise", "noisy", "denoising autoencoder", "autoencoder", "PCA"]
    if "digits" in options.data:
        data = digits(options.train, options.test, read_noise=0.0)
        title = f"{options.train} digits, {options.test} held out: error per pixel, {options.dim} dimensions"
        report.table(title, heads, table(data, PIXELS, lambda x: x, options.dim))
    if "cells" in options.data:
        data = counts()
        title = f"{data.train.n_obs} cells, {data.test.n_obs} held out: error of profiles, {options.dim} dimensions"
        report.table(title, heads, table(data, COUNTS, profiles(dense(data.train.X)), options.dim))
    report.write(options.markdown)


if __name__ == "__main__":
    main()
