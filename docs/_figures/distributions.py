"""Draws the pictures of the page "Distributions on curved spaces".

Usage: ``python docs/_figures/distributions.py [--to docs/_static]``
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

import anndata
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from PIL import Image

from curvi import pl
from curvi.distributions import PowerSpherical, VonMisesFisher, WrappedNormal, Zonal
from curvi.manifolds import Poincare

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY = "#333f4b", "#66727e"
COLOURS = ["#2b6cb0", "#d9822b", "#2f9e6e", "#c0487a", "#7059b5", "#8a6d3b"]
DOTS_PER_INCH = 130
# The mean direction of the globes, up and to the left of who looks at them.
POLE = torch.nn.functional.normalize(torch.tensor([1.0, -0.25, 0.3], dtype=torch.float64), dim=0)
DISK = Poincare(2).double()


def cells(points: torch.Tensor, **columns: object) -> anndata.AnnData:
    """Draws as an AnnData, which the functions of curvi.pl take."""
    adata = anndata.AnnData(obs=pd.DataFrame(columns, index=[str(i) for i in range(len(points))]))
    adata.obsm["X_draws"] = points.numpy()
    return adata


def globes() -> Figure:
    """Both families of the sphere, coloured by their density as a share of that at the mean direction."""
    figure = plt.figure(figsize=(7.2, 5.1))
    rows: list[tuple[type[Zonal], str, int]] = [
        (VonMisesFisher, "von Mises-Fisher", 1),
        (PowerSpherical, "power spherical", 2),
    ]
    for i, (family, name, times) in enumerate(rows):
        for j, kappa in enumerate([1, 10, 100]):
            q = family(POLE, float(times * kappa))
            z = q.sample((1500,))
            adata = cells(z, density=(q.log_prob(z) - q.log_prob(POLE)).exp().numpy())
            ax = figure.add_subplot()
            look = {"views": (15, 10), "cmap": "viridis", "vmin": 0, "vmax": 1, "size": 3.5}
            pl.sphere(adata, "X_draws", "density", **look, title="", ax=ax, show=False)
            # One scale for all: the bar beside each globe and the words below it go.
            figure.axes[-1].remove()
            ax.texts[-1].remove()
            ax.set_position((0.02 + 0.325 * j, 0.5 * (1 - i), 0.31, 0.45))
            ax.set_title(rf"{name}, $\kappa = {times * kappa}$", fontsize=9.5, color=INK, pad=2)
    return figure


def disks() -> Figure:
    """Wrapped normals by their location, their scale and the shape of their Gaussian."""
    figure, axes = plt.subplots(1, 3, figsize=(7.4, 2.75))
    places = [polar(0, 0), polar(1, 75), polar(2, 310), polar(3, 190)]
    by_location = [(str(i), place, (0.3, 0.3)) for i, place in enumerate(places)]
    corners = zip([1.0, 0.5, 0.25, 0.1], [45, 315, 225, 135], strict=True)
    by_scale = [(f"{scale:g}", polar(2, angle), (scale, scale)) for scale, angle in corners]
    shapes = [((0.8, 0.1), 90), ((0.1, 0.8), 210), ((0.3, 0.3), 330)]
    by_shape = [(f"{shape}", polar(1.6, angle), shape) for shape, angle in shapes]
    titles = [r"locations; $\sigma = 0.3$", r"scales $\sigma$", r"scales $(\sigma_1, \sigma_2)$"]
    for ax, laws, title in zip(axes, (by_location, by_scale, by_shape), titles, strict=True):
        draws = [WrappedNormal.from_tangent(DISK, row(mean), row(scale)).sample((800,)) for _, mean, scale in laws]
        names = [name for name, _, _ in laws]
        adata = cells(torch.cat(draws), law=pd.Categorical(np.repeat(names, 800), categories=names))
        # The circles of the disk say the distances of the first.
        look = {"palette": COLOURS, "size": 2, "labels": None if ax is axes[0] else "on data", "fontsize": 7.5}
        pl.disk(adata, "X_draws", "law", manifold=DISK, **look, title="", ax=ax, show=False)
        next(text for text in ax.texts if text.get_text().startswith("centre")).remove()
        ax.set(xlim=(-1.03, 1.03))
        ax.set_title(title, fontsize=9.5, color=INK)
    figure.subplots_adjust(0, 0, 1, 0.9, wspace=0.05)
    return figure


def polar(radius: float, degrees: float) -> tuple[float, float]:
    """Tangent coordinates of the point at a distance and in a direction from the origin."""
    return radius * math.cos(math.radians(degrees)), radius * math.sin(math.radians(degrees))


def row(numbers: tuple[float, float]) -> torch.Tensor:
    """Numbers as a row in float64."""
    return torch.tensor(numbers, dtype=torch.float64)


def densities() -> Figure:
    """Histograms of draws, and what log_prob says of them."""
    figure, axes = plt.subplots(1, 3, figsize=(7.4, 2.6))
    grid = torch.linspace(1e-3, math.pi, 600, dtype=torch.float64)
    for colour, kappa in zip(COLOURS, [0.0, 2.0, 10.0, 50.0], strict=False):
        angles(
            axes[0], VonMisesFisher(torch.eye(3, dtype=torch.float64)[0], kappa), grid, colour, rf"$\kappa = {kappa:g}$"
        )
    axes[0].set_title("von Mises-Fisher on $S^2$", fontsize=9, color=INK)
    for colour, m in zip(COLOURS, [3, 10, 50, 250], strict=False):
        angles(axes[1], PowerSpherical(torch.eye(m, dtype=torch.float64)[0], 100.0), grid, colour, f"$m = {m}$")
    axes[1].set_title(r"power spherical, $\kappa = 100$", fontsize=9, color=INK)
    for colour, scale in zip(COLOURS, [0.2, 0.5, 1.0], strict=False):
        distances(axes[2], scale, colour)
    axes[2].set_title("wrapped normal, $r = 2$", fontsize=9, color=INK)
    for ax in axes:
        ax.legend(frameon=False, fontsize=7.5, handlelength=1.2, labelcolor=INK)
        ax.set_yticks([])
        ax.set_ylim(bottom=0)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.spines["bottom"].set_color(GREY)
        ax.tick_params(labelsize=7.5, colors=GREY)
    for ax in axes[:2]:
        ax.set(xlim=(0, math.pi), xticks=[0, math.pi / 4, math.pi / 2, 3 * math.pi / 4, math.pi])
        ax.set_xticklabels(["0", "45°", "90°", "135°", "180°"])
        ax.set_xlabel("angle to the mean direction", fontsize=8, color=INK)
    axes[2].set_xlim(0, 5)
    axes[2].set_xlabel("distance from the origin", fontsize=8, color=INK)
    figure.tight_layout(w_pad=1.2)
    return figure


def angles(ax: Axes, q: Zonal, grid: torch.Tensor, colour: str, label: str) -> None:
    """The law of the angle to the mean direction: the density times the area of the circle at that angle."""
    m = len(q.loc)
    z = torch.cos(grid)[:, None] * q.loc + torch.sin(grid)[:, None] * torch.eye(m, dtype=grid.dtype)[1]
    log_circle = math.log(2) + (m - 1) / 2 * math.log(math.pi) - math.lgamma((m - 1) / 2)
    density = (q.log_prob(z) + log_circle + (m - 2) * torch.log(torch.sin(grid).clamp_min(1e-300))).exp()
    draws = 2 * torch.asin((torch.linalg.vector_norm(q.sample((5_000,)) - q.loc, dim=-1) / 2).clamp_max(1))
    against(ax, draws, grid, density, colour, label)


def distances(ax: Axes, scale: float, colour: str) -> None:
    """The law of the distance from the origin: the density, integrated around circles of hyperbolic circumference."""
    q = WrappedNormal.from_tangent(DISK, row((2.0, 0.0)), row((scale, scale)))
    grid = torch.linspace(1e-3, 6, 500, dtype=torch.float64)
    around = torch.arange(400, dtype=torch.float64) * (2 * math.pi / 400)
    rows = torch.stack([torch.cos(around), torch.sin(around)], -1)
    mean = q.log_prob(DISK.exp0(grid[:, None, None] * rows)).exp().mean(-1)
    density = mean * 2 * math.pi * torch.sinh(grid)
    against(ax, DISK.dist(DISK.origin, q.sample((5_000,))), grid, density, colour, rf"$\sigma = {scale:g}$")


def against(ax: Axes, draws: torch.Tensor, grid: torch.Tensor, density: torch.Tensor, colour: str, label: str) -> None:
    """A histogram, filled, and a density as a line."""
    low, high = np.quantile(draws.numpy(), [0, 1])
    ax.hist(draws.numpy(), bins=np.linspace(low, high, 40), density=True, color=colour, alpha=0.3, linewidth=0)
    ax.plot(grid, density, color=colour, linewidth=1.4, label=label)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent.parent / "_static")
    folder = parser.parse_args().to
    mpl.use("Agg")
    mpl.rcParams["mathtext.fontset"] = "cm"
    for draw in (globes, disks, densities):
        torch.manual_seed(0)
        path = folder / f"distributions_{draw.__name__}.png"
        draw().savefig(path, dpi=DOTS_PER_INCH)
        # A table of colours makes the file a third as large.
        Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
