"""Do features of a denoising autoencoder tell living from dead cells better than raw pixels, with few labels?

Autoencoders are trained without labels on all cells of the training pictures. Then, twenty times over, some of these
cells get labels, as many living as dead, and three classifiers learn from them, their parameters chosen by five folds
among the labelled cells: a support vector machine with a Gaussian kernel, k nearest neighbours, and logistic
regression. They are judged by the balanced accuracy on all cells of held-out pictures. Raw pixels, the principal
components of the pixels and the latent points of every autoencoder get the same labelled cells, the same classifiers
and the same choices; all are centred and divided by one number, the root mean square length of the training cells.

Usage: ``CURVI_DATA_DIR=... python benchmarks/denoising_features.py [--dim 16] [--epochs 20] [--repeats 20]``
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from _cell_images import living_and_dead
from _setting import QUIET, be_quiet, machine
from _tables import Report, add_markdown_option
from anndata import AnnData
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

import curvi
from curvi import presets
from curvi.model import set_seed

CONV = {"network": "conv", "network_kwargs": {"n_blocks": 0}, "likelihood_kwargs": {"scale": 0.1}}
SALT_AND_PEPPER = {"corruption": "salt_and_pepper", "corruption_kwargs": {"rate": 0.5}}
MODELS = {
    "denoising autoencoder, Gaussian noise": presets.denoising | CONV | {"corruption_kwargs": {"scale": 0.5}},
    "denoising autoencoder, salt and pepper": presets.denoising | CONV | SALT_AND_PEPPER,
    "plain autoencoder": presets.autoencoder | CONV,
    "Gaussian VAE": CONV | {"latent": "normal", "likelihood": "normal", "dropout_rate": 0.0},
}
# With each classifier the parameters that are tried; features have a mean square length of 1.
CLASSIFIERS = {
    "support vector machine": (SVC(), {"C": [0.3, 3, 30], "gamma": [0.3, 1, 3]}),
    "nearest neighbours": (KNeighborsClassifier(), {"n_neighbors": [1, 3, 5, 11, 21]}),
    "logistic regression": (LogisticRegression(max_iter=500), {"C": [0.1, 1, 10, 100, 1000]}),
}


def features(adata: AnnData, train: AnnData, model: dict, dim: int, epochs: int, seed: int) -> np.ndarray:
    """Latent points of all cells, from an autoencoder that was trained on the cells of ``train``."""
    set_seed(seed)
    curvi.CurviVAE.setup_anndata(train)
    fitted = curvi.CurviVAE(train, n_latent=dim, **model)
    fitted.train(max_epochs=epochs, train_size=1.0, check_val_every_n_epoch=None, **QUIET)
    return np.asarray(fitted.get_latent_representation(adata))


def accuracies(x: np.ndarray, adata: AnnData, n_labels: int, repeats: int, name: str) -> np.ndarray:
    """Balanced accuracies `(repeats,)` on held-out cells; the labelled cells depend on the repeat alone."""
    dead = (adata.obs["label"] == "Dead Cell").to_numpy()
    held = (adata.obs["split"] == "test").to_numpy()
    x = x - x[~held].mean(axis=0)
    x = (x / np.sqrt((x[~held] ** 2).sum(axis=1).mean())).astype(np.float64)
    found = []
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        rows = np.concatenate(
            [rng.choice(np.flatnonzero((dead == kind) & ~held), n_labels // 2, replace=False) for kind in (False, True)]
        )
        classifier, grid = CLASSIFIERS[name]
        search = GridSearchCV(classifier, grid, scoring="balanced_accuracy")
        search.fit(x[rows], dead[rows])
        found.append(balanced_accuracy_score(dead[held], search.predict(x[held])))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--labels", nargs="+", type=int, default=[50, 100, 200])
    parser.add_argument("--models", nargs="+", type=int, default=range(len(MODELS)), help="numbers of the autoencoders")
    parser.add_argument("--classifiers", nargs="+", default=list(CLASSIFIERS), choices=CLASSIFIERS)
    parser.add_argument("--seed", type=int, default=0, help="of the autoencoders")
    add_markdown_option(parser, "denoising_features")
    options = parser.parse_args()
    be_quiet()
    report = Report("Features of denoising autoencoders", "python benchmarks/denoising_features.py")
    adata = living_and_dead()
    train = adata[adata.obs["split"] == "train"].copy()
    found = {"raw pixels": adata.X, f"{options.dim} principal components": None}
    found[f"{options.dim} principal components"] = (
        PCA(options.dim, svd_solver="randomized", random_state=0).fit(train.X).transform(adata.X)
    )
    for name in [list(MODELS)[number] for number in options.models]:
        start = time.perf_counter()
        found[name] = features(adata, train, MODELS[name], options.dim, options.epochs, options.seed)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    for classifier in options.classifiers:
        rows, raw = [], {}
        for name, x in found.items():
            row = [name]
            for n_labels in options.labels:
                scores = accuracies(x, adata, n_labels, options.repeats, classifier)
                raw.setdefault(n_labels, scores)
                won = (scores > raw[n_labels]).sum()
                text = f"{scores.mean():.3f} ± {scores.std(ddof=1):.3f}"
                row.append(text if name == "raw pixels" else f"{text} ({won}/{options.repeats})")
            print(row, flush=True)
            rows.append(row)
        report.table(
            f"{classifier}: balanced accuracy on {adata.n_obs - train.n_obs} cells of held-out pictures",
            ["features", *(f"{n} labels" for n in options.labels)],
            rows,
            f"{options.repeats} draws of labelled cells, {options.epochs} epochs; in brackets how often raw "
            f"pixels were beaten; {machine()}.",
        )
    report.write(options.markdown)


if __name__ == "__main__":
    main()
