"""Draws the pictures of the page "Exploring a latent space", on MNIST.

Trains on 9,000 digits a Gaussian model of ten dimensions, one on the globe and one on the sphere of nine (von
Mises-Fisher), and two more Gaussian ones with other weights of the divergence: some minutes each on one core. What is
drawn are 2,000 other digits. Models that lie in the folder ``--models`` already are loaded, not trained.

Usage: ``python docs/_figures/exploring.py [--to docs/_static/exploring] [--models FOLDER] [--only NAME ...]``
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt
import scanpy as sc
from PIL import Image

import curvi
from curvi import explore, pl
from curvi.model import set_seed

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData
    from matplotlib.figure import Figure

    from curvi import CurviVAE

N_TRAIN, N_TEST, EPOCHS = 10_000, 2_000, 60
# By name: the latent space, its dimension and the weight of the divergence.
SETTINGS = {
    "gaussian": ("normal", 10, 1.0),
    "globe": ("vmf", 2, 1.0),
    "sphere9": ("vmf", 9, 1.0),
    "beta025": ("normal", 10, 0.25),
    "beta4": ("normal", 10, 4.0),
}
EXPLORED = ("gaussian", "globe", "sphere9")
SWEEP = {"beta025": "kl_weight=0.25", "gaussian": "kl_weight=1", "beta4": "kl_weight=4"}
DOTS_PER_INCH, MOST_BYTES = 100, 60_000


def fitted(train: AnnData, name: str, folder: Path) -> CurviVAE:
    """A model of the digits: the one in the folder, or a new one, which is written there."""
    if (folder / name).exists():
        return curvi.CurviVAE.load(folder / name, train)
    latent, dim, weight = SETTINGS[name]
    set_seed(0)
    curvi.CurviVAE.setup_anndata(train)
    model = curvi.CurviVAE(
        train,
        latent=latent,
        n_latent=dim,
        likelihood="bernoulli",
        n_hidden=[256, 128],
        dropout_rate=0.0,
        normalization="none",
    )
    model.train(EPOCHS, kl_weight=weight, enable_progress_bar=False)
    model.save(folder / name)
    return model


def embedded(model: CurviVAE, test: AnnData) -> AnnData:
    """The digits with their embedding, its components, t-SNE and UMAP."""
    digits = test.copy()
    model.embed(digits)
    explore.pca(digits, key_added="X_pca")
    sc.pp.neighbors(digits, use_rep="X_curvi", transformer=model.knn_transformer())
    sc.tl.umap(digits)
    sc.tl.tsne(digits, use_rep="X_curvi")
    return digits


def history(model: CurviVAE, digits: AnnData) -> Figure:
    return pl.history(model, ["elbo", "kl_local"], scale="log", return_fig=True)


def reconstructions(model: CurviVAE, digits: AnnData) -> Figure:
    return pl.reconstructions(model, digits, color="label", n=9, seed=3, binarise=True, return_fig=True)


def samples(model: CurviVAE, digits: AnnData) -> Figure:
    return pl.samples(model, n=9, n_columns=9, coordinates=True, return_fig=True)


def latent(model: CurviVAE, digits: AnnData) -> Figure:
    return pl.latent(digits, color="label", return_fig=True)


def pairs(model: CurviVAE, digits: AnnData) -> Figure:
    # As many cells in as many panels again would make the file too large.
    return pl.pairs(digits[:1000], color="label", dims=range(min(4, model.manifold.dim)), return_fig=True)


def prototypes(model: CurviVAE, digits: AnnData) -> Figure:
    return pl.prototypes(model, explore.prototypes(digits, "label"), return_fig=True)


def prototypes_heatmap(model: CurviVAE, digits: AnnData) -> Figure:
    return pl.prototypes_heatmap(explore.prototypes(digits, "label"), return_fig=True)


def traversal(model: CurviVAE, digits: AnnData) -> Figure:
    steps = explore.traversal(digits, ("label", "3"), dims=range(min(5, model.manifold.dim)), n=9)
    return pl.traversal(model, steps, return_fig=True)


def manifold_grid(model: CurviVAE, digits: AnnData) -> Figure:
    grid = explore.grid(adata=digits, n=9 if model.manifold.dim == 9 else 10, base=("label", "3"))
    return pl.manifold_grid(model, grid, return_fig=True)


def line(model: CurviVAE, digits: AnnData) -> Figure:
    way = explore.line(digits, ("label", "0"), ("label", "7"), n=10)
    return pl.line(model, way, digits, "label", return_fig=True)


def points(model: CurviVAE, digits: AnnData) -> Figure:
    chosen = explore.points(digits, [("label", "6"), 17, 3, ("label", "1"), None])
    return pl.points(model, chosen, digits, "label", return_fig=True)


def line_umap(model: CurviVAE, digits: AnnData) -> Figure:
    way = explore.line(digits, ("label", "6"), ("label", "9"), n=10, basis_2d="X_umap")
    return pl.line(model, way, digits, "label", basis_2d="X_umap", return_fig=True)


def points_tsne(model: CurviVAE, digits: AnnData) -> Figure:
    chosen = explore.points(digits, [(-25, 0), (0, 25), (25, 0), (0, -25), (0, 0)], basis_2d="X_tsne")
    return pl.points(model, chosen, digits, "label", basis_2d="X_tsne", return_fig=True)


def line_pca(model: CurviVAE, digits: AnnData) -> Figure:
    way = explore.line(digits, ("label", "0"), ("label", "1"), n=10, basis_2d="X_pca")
    return pl.line(model, way, digits, "label", basis_2d="X_pca", return_fig=True)


def pca_loadings(model: CurviVAE, digits: AnnData) -> Figure:
    return pl.pca_loadings(explore.pca(digits), return_fig=True)


OF_A_MODEL: tuple[Callable[[CurviVAE, AnnData], Figure], ...] = (
    history,
    reconstructions,
    samples,
    latent,
    pairs,
    prototypes,
    prototypes_heatmap,
    traversal,
    manifold_grid,
    line,
    points,
    line_umap,
    points_tsne,
    line_pca,
    pca_loadings,
)


def beta(models: dict[str, CurviVAE], test: AnnData) -> Figure:
    """Reconstructions and samples for three weights of the divergence, with what they cost, in nats a digit."""
    figure, axes = plt.subplots(2, len(SWEEP), figsize=(8.4, 2.85), gridspec_kw={"height_ratios": [2, 3]})
    for (above, below), (name, called) in zip(axes.T, SWEEP.items(), strict=True):
        model = models[name]
        set_seed(0)
        error = model.get_reconstruction_error(test)["reconstruction_loss"]
        # The same draws, so that the difference is the divergence.
        set_seed(0)
        divergence = -model.get_elbo(test) - error
        pl.reconstructions(model, test, n=6, seed=3, ax=above, show=False)
        above.set_title(f"{called}\nreconstruction {error:.0f}, KL {divergence:.1f} nats", fontsize=9)
        # Beside the first only.
        for text in above.texts[: None if above is axes[0, 0] else 2]:
            text.set_visible(above is axes[0, 0])
        pl.samples(model, n=18, n_columns=6, ax=below, show=False)
    axes[1, 0].text(-0.02, 0.5, "from the prior", ha="right", va="center", fontsize=7, transform=axes[1, 0].transAxes)
    figure.subplots_adjust(left=0.1, right=0.99, bottom=0.01, top=0.86, wspace=0.06, hspace=0.12)
    return figure


def written(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG with a table of colours, which makes the file a third as large."""
    figure.savefig(path, dpi=DOTS_PER_INCH)
    plt.close("all")
    for colours in (256, 128, 64, 32):
        Image.open(path).convert("RGB").quantize(colours, kmeans=2, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size < MOST_BYTES:
            break
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent.parent / "_static" / "exploring")
    parser.add_argument("--models", type=Path, help="where models are kept; by default they are forgotten")
    parser.add_argument("--only", nargs="+", help="names of pictures, such as pairs or beta; by default all")
    options = parser.parse_args()
    mpl.use("Agg")
    warnings.simplefilter("ignore")
    options.to.mkdir(parents=True, exist_ok=True)
    folder = options.models or Path(tempfile.mkdtemp())
    digits = curvi.datasets.mnist(N_TRAIN, N_TEST)
    train, test = (digits[digits.obs["split"] == split].copy() for split in ("train", "test"))
    models = {name: fitted(train, name, folder) for name in SETTINGS}
    if options.only is None or "images" in options.only:
        written(pl.images(train, color="label", n=24, n_columns=12, return_fig=True), options.to / "images.png")
    if options.only is None or "beta" in options.only:
        written(beta(models, test), options.to / "beta.png")
    chosen = [draw for draw in OF_A_MODEL if options.only is None or draw.__name__ in options.only]
    for name in EXPLORED if chosen else ():
        shown = embedded(models[name], test)
        for draw in chosen:
            written(draw(models[name], shown), options.to / f"{draw.__name__}_{name}.png")


if __name__ == "__main__":
    main()
