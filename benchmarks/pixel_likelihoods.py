"""What a Bernoulli likelihood of grey pixels costs: three likelihoods of pictures, compared as densities.

Digits of MNIST, nearly black and white, and living and dead cells, grey throughout, split by source picture. The byte
values are made continuous by uniform noise, (byte + u) / 256, so that all densities are densities of the same numbers.
The same Gaussian VAE is trained with each likelihood. Of held-out pictures: the squared error of the reconstruction;
what ``get_marginal_ll`` says; the log-density, for which the Bernoulli decoder's formula is normalised over [0, 1]; and
bits per pixel, 8 minus the log2 of the density, which is 8 for pictures of uniform noise. Of new pictures, decoded from
draws of the prior: the Frechet distance to held-out pictures in 20 principal components of the training pictures; the
last row of each set says how far training pictures are. And of *drawn* pixels the share that is grey.

Usage: ``CURVI_DATA_DIR=... python benchmarks/pixel_likelihoods.py [--markdown]``
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from _cell_images import dequantised, living_and_dead
from _members import dense, single_threaded, trained
from _setting import be_quiet
from _tables import Report, add_markdown_option
from anndata import AnnData
from scipy.linalg import sqrtm
from sklearn.decomposition import PCA

import curvi
from curvi.likelihoods import ContinuousBernoulliLikelihood

LIKELIHOODS = {
    "bernoulli": {"likelihood": "bernoulli"},
    "continuous_bernoulli": {"likelihood": "continuous_bernoulli"},
    "normal": {"likelihood": "normal", "likelihood_kwargs": {"scale": 0.2}},
}
# Byte values that count as grey.
GREY = (16 / 256, 240 / 256)


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """The Frechet distance of two clouds, as if both were Gaussian."""
    a, b = np.cov(x.T), np.cov(y.T)
    return float(np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a + b - 2 * np.real(sqrtm(a @ b))))


def share_of_grey(pixels: np.ndarray) -> float:
    return float(((pixels > GREY[0]) & (pixels < GREY[1])).mean())


def judged(model: curvi.CurviVAE, test: AnnData, components: PCA, samples: int) -> list[str]:
    x = dense(test.X)
    error = np.square(model.decode(model.get_latent_representation(test)) - x).mean()

    def per_pixel() -> float:
        torch.manual_seed(0)
        evidence = model.get_marginal_ll(test, n_mc_samples=samples, n_mc_samples_per_pass=10, return_mean=False)
        return float(evidence.mean()) / x.shape[1]

    z = torch.from_numpy(model.sample_prior(len(x), seed=0))
    new = model.decode(z)
    with torch.no_grad():
        torch.manual_seed(0)
        drawn = model.module.generative(z, torch.ones(len(z), 1), torch.zeros(len(z), 0).long())["px"].sample().numpy()
    said = per_pixel()
    if model.module.likelihood.name == "bernoulli":
        model.module.likelihood = ContinuousBernoulliLikelihood(x.shape[1])
    density = per_pixel()
    distance = frechet(components.transform(new), components.transform(x))
    numbers = [f"{error:.4f}", f"{said:.3f}", f"{density:.3f}", f"{8 - density / np.log(2):.2f}", f"{distance:.2f}"]
    return [number.replace("-", "−") for number in [*numbers, f"{share_of_grey(drawn):.3f}"]]


def sets(n_train: int, n_test: int) -> dict[str, tuple[AnnData, AnnData]]:
    found = {}
    for name, adata in {
        "digits": curvi.datasets.mnist(n_train=n_train, n_test=n_test),
        "living and dead cells": living_and_dead(),
    }.items():
        grey = dequantised(adata, seed=0)
        parts = [grey[grey.obs["split"] == split].copy() for split in ("train", "test")]
        found[name] = (parts[0], parts[1][:n_test].copy())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--train", type=int, default=10_000, help="digits to train on")
    parser.add_argument("--test", type=int, default=1_000, help="pictures to test on")
    parser.add_argument("--samples", type=int, default=50, help="draws for each log-likelihood")
    add_markdown_option(parser, "pixel_likelihoods")
    options = parser.parse_args()
    be_quiet()
    single_threaded()
    report = Report("Likelihoods of grey pixels", "python benchmarks/pixel_likelihoods.py")
    heads = ["", "squared error", "said", "log-density", "bits", "Frechet distance", "grey"]
    for name, (train, test) in sets(options.train, options.test).items():
        components = PCA(20, svd_solver="randomized", random_state=0).fit(dense(train.X))
        rows = []
        for likelihood, arguments in LIKELIHOODS.items():
            model = trained(
                train,
                options.epochs,
                0,
                latent="normal",
                n_latent=options.dim,
                n_hidden=[128, 64],
                dropout_rate=0.0,
                normalization="none",
                **arguments,
            )
            rows.append([likelihood, *judged(model, test, components, options.samples)])
            print(rows[-1], flush=True)
        x, y = dense(train.X)[: test.n_obs], dense(test.X)
        distance = frechet(components.transform(x), components.transform(y))
        rows.append(["real pictures", "", "", "", "", f"{distance:.2f}", f"{share_of_grey(y):.3f}"])
        title = f"{name}, {train.n_obs} pictures, {test.n_obs} held out: per pixel, nats and bits"
        report.table(title, heads, rows)
    report.write(options.markdown)


if __name__ == "__main__":
    main()
