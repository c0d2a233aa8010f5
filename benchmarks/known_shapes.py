"""Does the latent space that has the shape of the data recover it? A circle and a tree hidden in 100 dimensions.

Circle: counts of 100 genes, smooth functions of a uniform angle. The circular correlation of Fisher and Lee (1983)
between true and recovered angle (of the Gaussian: around its mean), and by how much the recovered angles are not
uniform (Kuiper's statistic, 0 for uniform; about 0.05 for 1000 uniform angles).

Tree: cells uniform on a binary tree of branches of length 1, their ways along the branches seen through a random linear
map into 100 dimensions with Gaussian noise. Distortion is the mean over pairs of ``|s d - t| / t`` with the distance d
in the latent space, t in the tree, and the scale s that makes it least: between branches (their Frechet means) and
between cells more than 0.1 apart. The correlation is Spearman's of the distances between cells. The ELBO is that of
held-out cells. The last line counts the seeds in which hyperbolic space has the lower distortion between branches.

Usage: ``python benchmarks/known_shapes.py [--seeds 5] [--epochs 150] [--branches 63] [--only circle | tree]``
"""

from __future__ import annotations

import argparse
from copy import deepcopy

import numpy as np
import pandas as pd
import torch
from _setting import QUIET, be_quiet, machine
from anndata import AnnData
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

import curvi
from curvi.manifolds import Manifold
from curvi.model import set_seed


def fitted(adata: AnnData, seed: int, epochs: int, **arguments) -> curvi.CurviVAE:
    set_seed(seed)
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(adata, **arguments)
    model.train(max_epochs=epochs, check_val_every_n_epoch=epochs, **QUIET)
    return model


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
            points = fitted(adata, seed, epochs, latent=latent, n_latent=dim).get_latent_representation()
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


def tree_cells(branches: int, seed: int) -> AnnData:
    """2000 cells of a tree in 100 dimensions; ``.obsm["tree"]`` has the way along each branch."""
    known = curvi.datasets.synthetic(n_obs=2000, n_vars=1, shape="tree", n_types=branches, levels={}, seed=seed)
    generator = np.random.default_rng(seed)
    walked = known.obsm["latent"]
    seen = walked @ generator.standard_normal((branches, 100)) + 0.3 * generator.standard_normal((len(walked), 100))
    return AnnData(seen.astype(np.float32), obs=known.obs[["branch"]], obsm={"tree": walked})


@torch.no_grad()
def distances(manifold: Manifold, points: torch.Tensor) -> np.ndarray:
    """All pairs of points, in the order of the upper triangle."""
    return manifold.dist(points[:, None], points).numpy()[np.triu_indices(len(points), 1)]


def tree_scores(adata: AnnData, model: curvi.CurviVAE) -> dict[str, float]:
    manifold = deepcopy(model.manifold).double()
    points, walked = torch.from_numpy(model.get_latent_representation()).double(), adata.obsm["tree"]
    branch = adata.obs["branch"].to_numpy()
    members = [np.flatnonzero(branch == b) for b in np.unique(branch)]
    nodes = distances(manifold, torch.stack([manifold.mean(points[rows]) for rows in members]))
    some = np.random.default_rng(0).choice(len(points), 600, replace=False)
    cells, true = distances(manifold, points[some]), pdist(walked[some], "cityblock")
    apart = true > 0.1
    return {
        "distortion, branches": distortion(
            nodes, pdist(np.stack([walked[rows].mean(0) for rows in members]), "cityblock")
        ),
        "distortion, cells": distortion(cells[apart], true[apart]),
        "rank correlation": float(spearmanr(cells, true).statistic),
        "ELBO": float(-model.history["elbo_validation"].to_numpy()[-1].item()),
    }


def tree(seeds: int, epochs: int, branches: int) -> None:
    print(f"\ntree: 2000 cells x 100 dimensions, {branches} branches, {seeds} seeds, {epochs} epochs")
    found: dict[str, np.ndarray] = {}
    for i, latent in enumerate(("lorentz", "poincare", "normal", "vmf")):
        runs = []
        for seed in range(seeds):
            adata = tree_cells(branches, seed)
            runs.append(tree_scores(adata, fitted(adata, seed, epochs, latent=latent, n_latent=2, likelihood="normal")))
        table = pd.DataFrame(runs)
        if i == 0:
            print(f"| latent | {' | '.join(table)} |\n{'|---' * (table.shape[1] + 1)}|")
        cells = [f"{table[c].mean():.3f} ± {table[c].std(ddof=1):.3f}" for c in table]
        print(f"| {latent} 2 | {' | '.join(cells)} |", flush=True)
        found[latent] = table["distortion, branches"].to_numpy()
    for other in ("normal", "vmf"):
        print(f"lorentz below {other} in {(found['lorentz'] < found[other]).sum()} of {seeds} seeds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--branches", type=int, default=63)
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
