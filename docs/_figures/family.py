"""Draws the pictures of the page "The autoencoder family".

Digits of MNIST with Gaussian noise: what a denoising autoencoder makes of them, and
where t-SNE puts its codes. Usage: ``CURVI_DATA_DIR=... python docs/_figures/family.py [--to docs/_static]``
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.lines import Line2D
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

import curvi
from curvi import pl, presets
from curvi.metrics import knn_accuracy
from curvi.model import set_seed
from curvi.nn import GaussianNoise

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.figure import Figure

INK = "#333f4b"
DOTS_PER_INCH = 130
NOISE = 0.5
N_TRAIN, N_TEST, DIM = 10_000, 1_500, 32
FITTING = {"train_size": 1.0, "check_val_every_n_epoch": None, "plan_kwargs": {"weight_decay": 0.0, "eps": 1e-8}}
QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": None}
DENOISING, PLAIN = "denoising autoencoder", "autoencoder"


def trained(adata: AnnData, epochs: int) -> dict[str, curvi.CurviVAE]:
    """Two autoencoders of the clean digits, one of which saw them through noise."""
    curvi.CurviVAE.setup_anndata(adata)
    kinds = {DENOISING: presets.denoising | {"corruption_kwargs": {"scale": NOISE}}, PLAIN: presets.autoencoder}
    models = {}
    for name, preset in kinds.items():
        set_seed(0)
        models[name] = curvi.CurviVAE(adata, **preset, n_latent=DIM, n_hidden=[128, 64], normalization="none")
        models[name].train(max_epochs=epochs, **FITTING, **QUIET)
    return models


def restored(clean: np.ndarray, noisy: np.ndarray, models: dict[str, curvi.CurviVAE]) -> Figure:
    """Twelve digits: clean, noisy, and what both autoencoders make of the noisy ones."""
    lines = {"clean": clean, "noisy": noisy} | {
        name: model.decode(model.encode(noisy)) for name, model in models.items()
    }
    figure, axes = plt.subplots(len(lines), 1, figsize=(7.4, 2.2))
    for ax, (name, pixels) in zip(axes, lines.items(), strict=True):
        pl.images(pixels[:12].reshape(-1, 28, 28), seed=None, n_columns=12, ax=ax, show=False)
        ax.text(-0.01, 0.5, name, transform=ax.transAxes, ha="right", va="center", fontsize=8.5, color=INK)
    figure.subplots_adjust(0.2, 0.01, 0.995, 0.99, hspace=0.06)
    return figure


def maps(test: AnnData, noisy: np.ndarray, models: dict[str, curvi.CurviVAE]) -> Figure:
    """t-SNE of the noisy digits, as pixels and as codes."""
    test.obsm["noisy pixels"] = PCA(50, random_state=0).fit_transform(noisy)
    for name, model in models.items():
        test.obsm[name] = model.encode(noisy)
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.3))
    for ax, name in zip(axes, ["noisy pixels", PLAIN, DENOISING], strict=True):
        share = knn_accuracy(test, name, "label", k=15, metric="euclidean")
        test.obsm["X_tsne"] = TSNE(random_state=0).fit_transform(test.obsm[name])
        pl.plane(test, "X_tsne", "label", labels=None, size=4, title="", ax=ax, show=False)
        ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
        ax.set_title(f"{name}\n15 neighbours right: {share:.1%}", fontsize=9.5, color=INK)
        print(f"{name}: {share:.3f}")
    digits = test.obs["label"].cat.categories
    dots = [Line2D([], [], color=color, marker="o", linestyle="") for color in test.uns["label_colors"]]
    figure.legend(dots, digits, loc="center right", frameon=False, fontsize=9, labelcolor=INK, handletextpad=0.1)
    figure.tight_layout(w_pad=1.0, rect=(0, 0, 0.955, 1))
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent.parent / "_static")
    parser.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args()
    mpl.use("Agg")
    torch.set_num_threads(1)
    adata = curvi.datasets.mnist(n_train=N_TRAIN, n_test=N_TEST)
    models = trained(adata[:N_TRAIN].copy(), options.epochs)
    test = adata[N_TRAIN:].copy()
    clean = np.asarray(test.X)
    torch.manual_seed(0)
    noisy = GaussianNoise(NOISE)(torch.from_numpy(clean)).numpy()
    for name, figure in {"restored": restored(clean, noisy, models), "tsne": maps(test, noisy, models)}.items():
        path = options.to / f"family_{name}.png"
        figure.savefig(path, dpi=DOTS_PER_INCH)
        # A table of colours makes the file a third as large.
        Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
