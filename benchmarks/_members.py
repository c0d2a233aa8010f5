"""The members of the autoencoder family, all with the same networks and the same training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from _setting import QUIET, real
from anndata import AnnData
from scipy.sparse import issparse
from sklearn.decomposition import PCA, FactorAnalysis

import curvi
from curvi import presets
from curvi.manifolds import Euclidean, Manifold
from curvi.metrics import GeodesicNeighbors
from curvi.model import set_seed

# Standard deviation of the noise that is added to pixels once and for all, as a camera adds it.
READ_NOISE = 0.1
PRODUCTS = {
    2: [("vmf", 1), ("normal", 1)],
    5: [("vmf", 2), ("lorentz", 2), ("normal", 1)],
    10: [("vmf", 4), ("lorentz", 3), ("normal", 3)],
}
# Each by its name in the tables; the arguments that say what it is.
MEMBERS: dict[str, Callable[[int], dict[str, Any]]] = {
    "linear autoencoder": lambda dim: presets.linear | {"n_latent": dim},
    "autoencoder": lambda dim: presets.autoencoder | {"n_latent": dim},
    "denoising autoencoder": lambda dim: presets.denoising | {"n_latent": dim},
    "VAE, Gaussian": lambda dim: {"latent": "normal", "n_latent": dim},
    "VAE, vMF": lambda dim: {"latent": "vmf", "n_latent": dim},
    "VAE, power spherical": lambda dim: {"latent": "power_spherical", "n_latent": dim},
    "VAE, Lorentz": lambda dim: {"latent": "lorentz", "n_latent": dim},
    "VAE, Poincaré": lambda dim: {"latent": "poincare", "n_latent": dim},
    "VAE, product": lambda dim: {"latent": PRODUCTS[dim], "n_latent": None},
}


@dataclass
class Data:
    """What a member is trained on and judged by.

    Attributes
    ----------
    train, test
        What the members see.
    clean
        What the test data would be without read noise, ``(n, n_features)``.
    label_key
        The column of labels.
    variational, plain, epochs, networks
        Arguments of every variational member, those that plain autoencoders have instead, the number of epochs, and
        the arguments of the networks.
    """

    train: AnnData
    test: AnnData
    clean: np.ndarray
    label_key: str
    variational: dict[str, Any]
    plain: dict[str, Any]
    epochs: int
    networks: dict[str, Any]

    def arguments(self, member: str, dim: int) -> dict[str, Any]:
        chosen = MEMBERS[member](dim)
        linear = {"n_layers", "n_hidden"} if "n_layers" in chosen else set()
        networks = {name: value for name, value in self.networks.items() if name not in linear}
        chosen = networks | chosen
        if chosen["latent"] != "delta":
            return chosen | self.variational
        noise = {"corruption": self.plain["corruption"]} if "corruption" in chosen else {}
        return chosen | {name: value for name, value in self.plain.items() if name != "corruption"} | noise


def digits(n_train: int, n_test: int, read_noise: float = READ_NOISE) -> Data:
    """Digits of MNIST, grey, with read noise."""
    adata = curvi.datasets.mnist(n_train=n_train, n_test=n_test)
    clean = np.asarray(adata.X)
    adata.X = with_read_noise(clean, scale=read_noise)
    return Data(
        adata[:n_train].copy(),
        adata[n_train:].copy(),
        clean[n_train:],
        "label",
        variational={"likelihood": "normal", "likelihood_kwargs": {"scale": 0.2}},
        plain={"corruption": "gaussian"},
        epochs=15,
        networks={"n_hidden": [128, 64], "dropout_rate": 0.0, "normalization": "none"},
    )


def with_read_noise(pixels: np.ndarray, seed: int = 0, scale: float = READ_NOISE) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(pixels.shape, dtype=np.float32)
    return (pixels + scale * noise).astype(np.float32)


def counts(n_genes: int = 500) -> Data:
    """Counts of oligodendrocytes, of the genes that vary most; every fifth cell at random is held out."""
    adata = real("oligodendrocyte_marques_scx")
    held_out = np.random.default_rng(0).permutation(adata.n_obs) % 5 == 0
    variances = np.log1p(dense(adata[~held_out].X)).var(0)
    adata = adata[:, np.sort(np.argsort(variances)[-n_genes:])].copy()
    test = adata[held_out].copy()
    return Data(
        adata[~held_out].copy(),
        test,
        dense(test.X),
        "cell_type",
        variational={"likelihood": "nb"},
        plain={"likelihood": "nb", "dispersion": "gene", "corruption": "thinning"},
        epochs=60,
        networks={"n_hidden": [128, 64], "dropout_rate": 0.0},
    )


def dense(x: Any) -> np.ndarray:
    return np.asarray(x.toarray() if issparse(x) else x, dtype=np.float32)


def trained(adata: AnnData, epochs: int, seed: int, rate: float = 1e-3, **arguments: Any) -> curvi.CurviVAE:
    """A model of all given cells."""
    set_seed(seed)
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(adata, **arguments)
    plan = {"lr": rate, "weight_decay": 0.0, "eps": 1e-8}
    model.train(max_epochs=epochs, train_size=1.0, check_val_every_n_epoch=None, plan_kwargs=plan, **QUIET)
    return model


class Linear:
    """Principal components or factor analysis of real values, with the methods that the comparison asks for."""

    def __init__(self, kind: str, dim: int, x: np.ndarray) -> None:
        makers = {
            "PCA": lambda: PCA(dim, svd_solver="randomized", random_state=0),
            "factor analysis": lambda: FactorAnalysis(dim, max_iter=500, tol=1.0, random_state=0),
        }
        self.fitted = makers[kind]().fit(x.astype(np.float64))
        self.manifold: Manifold = Euclidean(dim)

    def encode(self, x: np.ndarray) -> np.ndarray:
        return self.fitted.transform(x.astype(np.float64))

    def decode(self, z: np.ndarray) -> np.ndarray:
        return z @ self.fitted.components_ + self.fitted.mean_

    def log_likelihood(self, x: np.ndarray) -> np.ndarray:
        """Of probabilistic PCA, or of the factor model, in nats."""
        return self.fitted.score_samples(x.astype(np.float64))


def knn(
    manifold: Manifold, known: np.ndarray, labels: Sequence[Any], asked: np.ndarray, truth: Sequence[Any], k: int
) -> float:
    """The share of right answers of the majority among the ``k`` nearest known points, along the manifold."""
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    graph = GeodesicNeighbors(manifold, k - 1).fit(known).transform(asked)
    votes = codes[graph.indices.reshape(len(asked), k)]
    counted = np.stack([(votes == code).sum(1) for code in range(len(names))], 1)
    return float((names[counted.argmax(1)] == np.asarray(truth)).mean())


def single_threaded() -> None:
    torch.set_num_threads(1)
