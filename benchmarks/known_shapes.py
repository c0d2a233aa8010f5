"""Does the latent space that has the shape of the data recover it? A circle and a tree hidden in counts.

Circle: cells at a uniform angle, seen through 100 genes. The circular correlation of Fisher and Lee (1983) between true
and recovered angle (of the Gaussian: around its mean), and by how much the recovered angles are not uniform (Kuiper's
statistic, 0 for uniform; about 0.05 for 1000 uniform angles).

Tree: cells uniform on a binary tree of branches of length 1. Distortion is the mean over pairs of cells of
``|s d - t| / t`` with the distance d in the latent space, t in the tree, and the scale s that makes it least; the
correlation is Spearman's of the same distances.

Usage: ``python benchmarks/known_shapes.py [--seeds 5] [--epochs 150]``
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from _setting import QUIET, be_quiet, machine
from anndata import AnnData
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

import curvi
from curvi.model import set_seed


def fitted(
    adata: AnnData, latent: str, dim: int, seed: int, epochs: int, **further
) -> tuple[np.ndarray, curvi.CurviVAE]:
    set_seed(seed)
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(adata, latent=latent, n_latent=dim, **further)
    model.train(max_epochs=epochs, check_val_every_n_epoch=epochs, **QUIET)
    return model.get_latent_representation(), model


def circular_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """That of Fisher and Lee, in [-1, 1]; it needs no mean direction, which uniform angles do not have."""

    def length(angle: np.ndarray) -> float:
        return float(np.abs(np.exp(1j * angle).mean()))

    return (length(a - b) ** 2 - length(a + b) ** 2) / np.sqrt((1 - length(2 * a) ** 2) * (1 - length(2 * b) ** 2))


def kuiper(angle: np.ndarray) -> float:
    """The greatest departures of the distribution function from the uniform one, above plus below."""
    u = np.sort(np.mod(angle, 2 * np.pi)) / (2 * np.pi)
    n = len(u)
    return float((np.arange(1, n + 1) / n - u).max() + (u - np.arange(n) / n).max())


def circle(seeds: int, epochs: int) -> None:
    print(f"\ncircle: 1000 cells x 100 genes, {seeds} seeds, {epochs} epochs")
    print("| latent | circular correlation, mean (least) | Kuiper's statistic |")
    print("|---|---|---|")
    for latent, dim in (("vmf", 1), ("power_spherical", 1), ("normal", 2)):
        correlation, departure = [], []
        for seed in range(seeds):
            adata = curvi.datasets.synthetic(n_obs=1000, n_vars=100, shape="circle", levels={}, seed=seed)
            points, _ = fitted(adata, latent, dim, seed, epochs)
            if latent == "normal":
                points = points - points.mean(0)
            angle = np.arctan2(points[:, 1], points[:, 0])
            correlation.append(abs(circular_correlation(angle, adata.obs["angle"].to_numpy())))
            departure.append(kuiper(angle))
        print(
            f"| {latent} {dim} | {np.mean(correlation):.3f} ({min(correlation):.3f}) | "
            f"{np.mean(departure):.3f} ± {np.std(departure, ddof=1):.3f} |",
            flush=True,
        )


def distortion(latent: np.ndarray, tree: np.ndarray) -> float:
    """The mean relative error of distances, at the best scale."""
    ratio = latent / tree
    return float(minimize_scalar(lambda log_scale: np.abs(np.exp(log_scale) * ratio - 1).mean(), (-3, 3)).fun)


def tree(seeds: int, epochs: int, branches: int) -> None:
    print(f"\ntree: 2000 cells x 200 genes, {branches} branches, {seeds} seeds, {epochs} epochs")
    print("| latent | distortion | rank correlation of distances | curvature |")
    print("|---|---|---|---|")
    for latent, further in (
        ("lorentz", {}),
        ("lorentz", {"latent_kwargs": {"learn_curvature": True}}),
        ("poincare", {}),
        ("normal", {}),
        ("vmf", {}),
    ):
        found, ranks, curvature = [], [], []
        for seed in range(seeds):
            adata = curvi.datasets.synthetic(
                n_obs=2000, n_vars=200, shape="tree", n_types=branches, levels={}, mean_library=3000.0, seed=seed
            )
            points, model = fitted(adata, latent, 2, seed, epochs, **further)
            some = np.random.default_rng(seed).choice(len(points), 600, replace=False)
            pair = np.triu_indices(len(some), 1)
            true = cdist(adata.obsm["latent"][some], adata.obsm["latent"][some], "cityblock")[pair]
            chosen = torch.from_numpy(points[some].astype(np.float64))
            with torch.no_grad():
                got = model.manifold.double().dist(chosen[:, None], chosen).numpy()[pair]
            far = true > 0.1
            found.append(distortion(got[far], true[far]))
            ranks.append(spearmanr(got, true).statistic)
            curvature.append(float(getattr(model.manifold, "curvature", torch.tensor(0.0))))
        name = f"{latent} 2" + (", curvature learned" if further else "")
        print(
            f"| {name} | {np.mean(found):.3f} ± {np.std(found, ddof=1):.3f} | "
            f"{np.mean(ranks):.3f} ± {np.std(ranks, ddof=1):.3f} | {np.mean(curvature):.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--branches", type=int, default=31)
    parser.add_argument("--only", choices=("circle", "tree"))
    options = parser.parse_args()
    be_quiet()
    print(machine())
    if options.only != "tree":
        circle(options.seeds, options.epochs)
    if options.only != "circle":
        tree(options.seeds, options.epochs, options.branches)


if __name__ == "__main__":
    main()
