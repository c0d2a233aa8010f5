"""Draws the pictures of the page "Speed and scale": cost against size, from the figures in ``benchmarks/results``.

Usage: ``python docs/_figures/speed.py [--to docs/_static]``; ``docs/_figures/speed_page.py`` writes the page
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
INK, FAINT = "#333f4b", "#c8ccd0"
ORANGE, BLUE, GREEN, PURPLE, RED = "#b5651d", "#1f5f8b", "#3f9b6c", "#8e5ea2", "#b23a48"
DOTS_PER_INCH = 150
MODELS = {
    "scvi": ("scVI, its defaults", ORANGE, "s"),
    "scphere": ("curvi, scPhere's architecture", BLUE, "o"),
    "scvi_like": ("curvi, scVI's architecture", GREEN, "^"),
}
KINDS = {"memory": ("in memory", BLUE, "o"), "h5ad": ("from h5ad", PURPLE, "s"), "zarr": ("from zarr", RED, "D")}
EMBEDDED = {
    "scVI": (ORANGE, "s"),
    "curvi, Gaussian, 10-d": (GREEN, "^"),
    "curvi, vMF S^2": (BLUE, "o"),
    "curvi, vMF S^10": ("#6fa8cf", "v"),
    "curvi, hyperbolic, 10-d": (PURPLE, "D"),
}
# By geometry, so that one colour has the two kinds of points on it.
SPACES = {"S^2": "#6fa8cf", "S^10": BLUE, "H^2": "#b08cc4", "H^10": PURPLE, "S^2 x H^2 x R^3": GREEN}

Row = dict[str, Any]
Panel = Callable[["Axes", dict[str, Any]], None]


def series(rows: list[Row], key: str, size: str = "n_cells", **chosen: object) -> tuple[np.ndarray, np.ndarray]:
    """A figure against the size, of the rows that have the chosen values."""
    found = sorted((r[size], r[key]) for r in rows if all(r[name] == value for name, value in chosen.items()))
    return np.array([n for n, _ in found], float), np.array([y for _, y in found], float)


def proportional(ax: Axes, n: np.ndarray, y: np.ndarray, ends: tuple[float, float], color: str) -> None:
    """The line through a series on which twice the size costs twice as much."""
    x = np.array(ends)
    ax.plot(x, x * np.median(y / n), color=color, linewidth=0.8, alpha=0.55, zorder=0)


def formula(name: str) -> str:
    return re.sub(r"([SHR])\^(\d+)", r"$\1^{\2}$", name).replace(" x ", r" $\times$ ")


def training_time(ax: Axes, results: dict[str, Any]) -> None:
    rows = results["training_scale"]
    ends = (min(r["n_cells"] for r in rows) / 1.3, max(r["n_cells"] for r in rows) * 1.3)
    for name, (title, color, marker) in MODELS.items():
        n, seconds = series(rows, "cpu_s", model=name)
        ax.plot(n, seconds, marker, color=color, label=title, markersize=6)
        proportional(ax, n, seconds, ends, color)
    finish(ax, "processor seconds an epoch", "an epoch", ends)


def training_memory(ax: Axes, results: dict[str, Any]) -> None:
    """Peak memory of all tasks, beside the matrix alone and the bound of what is in memory."""
    rows = results["training_scale"]
    n, peak = series(rows, "peak_gb", model="scphere")
    _, size = series(rows, "matrix_gb", model="scphere")
    ends = (n.min() / 1.3, n.max() * 1.3)
    x = np.geomspace(*ends, 60)
    matrix = x * size[-1] / n[-1]
    ax.plot(x, 1.3 * matrix + 0.7, color="#9aa1a8", linewidth=1.2, linestyle=":", label="1.3 × the matrix + 0.7 GB")
    ax.plot(x, matrix, color=INK, linewidth=1, linestyle="--", label="the matrix alone")
    ax.plot(n, peak, "o-", color=BLUE, linewidth=1, markersize=6, label="training, in memory")
    for kind, (title, color, marker) in KINDS.items():
        if kind != "memory":
            n, peak = series(results["streaming"], "peak_gb", kind=kind)
            look = {"color": color, "linewidth": 1, "markersize": 6, "markerfacecolor": "white", "markeredgewidth": 1.3}
            ax.plot(n, peak, f"{marker}-", label=f"training, {title}", **look)
    for kind, marker in {"memory": "+", "zarr": "x"}.items():
        n, peak = series(results["memory"], "peak_gb", task="embed", kind=kind)
        ax.plot(n, peak, marker, color=GREEN, markersize=7, markeredgewidth=1.6, label=f"embedding, {KINDS[kind][0]}")
    ax.set_ylim(0.3, 4)
    finish(ax, "peak memory of the process, GB", "memory", ends)


def streaming(ax: Axes, results: dict[str, Any]) -> None:
    rows = [row | {"us": 1e6 * row["cpu_s"] / min(row["steps"] * 128, row["n_cells"])} for row in results["streaming"]]
    for kind, (title, color, marker) in KINDS.items():
        n, cost = series(rows, "us", kind=kind)
        ax.plot(n, cost, f"{marker}-", color=color, linewidth=1, markersize=6, label=title)
    every = [row["us"] for row in rows]
    ax.set_ylim(min(every) / 3, max(every) * 3)
    finish(ax, "processor µs for each cell that is read", "training from disk")


def embedding(ax: Axes, results: dict[str, Any]) -> None:
    rows = [row for row in results["embedding_throughput"] if row["set"] == "synthetic"]
    ends = (min(r["n_cells"] for r in rows) / 1.3, max(r["n_cells"] for r in rows) * 1.3)
    for name, (color, marker) in EMBEDDED.items():
        n, seconds = series(rows, "cpu_s", model=name, batch_size="default")
        look = {"color": color, "markersize": 6.5, "markerfacecolor": "none", "markeredgewidth": 1.3}
        ax.plot(n, seconds, marker, label=formula(name), **look)
        proportional(ax, n, seconds, ends, color)
    finish(ax, "processor seconds", "embedding", ends)


def search(key: str, title: str, power: int, said: str) -> Panel:
    """A panel of one of the two searches."""

    def panel(ax: Axes, results: dict[str, Any]) -> None:
        rows = results["geodesic_knn"]["searches"]
        for case in dict.fromkeys(row["case"] for row in rows):
            space, points = case.split(", ")
            n, seconds = series(rows, key, size="n", case=case)
            grouped = points == "groups"
            look = {"color": SPACES[space], "linewidth": 1, "linestyle": "--" if grouped else "-"}
            ax.plot(n, seconds, marker="s" if grouped else "o", markersize=5, label=formula(case), **look)
        every = [row[other] for row in rows for other in ("exact_seconds", "approximate_seconds")]
        ax.set_ylim(min(every) / 4, max(every) * 1.6)
        finish(ax, "processor seconds", title, xlabel="points")
        # Below the points, a line of the slope to expect.
        least = min(rows, key=lambda row: row["n"] ** -power * row[key])
        x = np.geomspace(*ax.get_xlim(), 3)
        y = least[key] / 2.2 * (x / least["n"]) ** power
        ax.plot(x, y, color="#9aa1a8", linewidth=0.9, linestyle=":", zorder=0)
        ax.annotate(said, (x[1], y[1]), xytext=(6, -10), textcoords="offset points", fontsize=8, color="#7b848c")
        ax.set_xlim(x[0], x[-1])

    return panel


def short(value: float, _: object) -> str:
    """5k in the place of 5000."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def finish(
    ax: Axes, ylabel: str, title: str, ends: tuple[float, float] | None = None, *, xlabel: str = "cells"
) -> None:
    """Logarithmic axes with plain numbers, and a legend."""
    ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
    if ends is not None:
        ax.set_xlim(*ends)
    for axis in (ax.xaxis, ax.yaxis):
        low, high = axis.get_view_interval()
        if high / low < 50:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(short))
        axis.set_minor_formatter(NullFormatter())
        axis.label.set(color=INK, fontsize=9)
    ax.set_title(title, color=INK, fontsize=10, loc="left")
    ax.grid(color=FAINT, linewidth=0.5, alpha=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(FAINT)
    ax.tick_params(which="both", colors=INK, labelsize=8.5, length=3)
    ax.tick_params(which="minor", length=0)


def drawn(panels: list[Panel], results: dict[str, Any]) -> Figure:
    """Panels beside each other, with a legend to the right."""
    width = 5.0 if len(panels) == 1 else 3.6
    figure, axes = plt.subplots(1, len(panels), figsize=(width * len(panels) + 2.4, 3.8), squeeze=False)
    for ax, panel in zip(axes[0], panels, strict=True):
        panel(ax, results)
    axes[0, -1].legend(frameon=False, fontsize=8, labelcolor=INK, loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.tight_layout(w_pad=1.5)
    return figure


PICTURES: dict[str, list[Panel]] = {
    "speed_training": [training_time],
    "speed_memory": [training_memory],
    "speed_streaming": [streaming],
    "speed_embedding": [embedding],
    "speed_neighbours": [
        search("exact_seconds", "all pairs", 2, "as the square"),
        search("approximate_seconds", "approximate", 1, "in proportion"),
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent.parent / "_static")
    options = parser.parse_args()
    mpl.use("Agg")
    results = {path.stem: json.loads(path.read_text())["figures"] for path in RESULTS.glob("*.json")}
    for name, panels in PICTURES.items():
        path = options.to / f"{name}.png"
        figure = drawn(panels, results)
        figure.savefig(path, dpi=DOTS_PER_INCH)
        plt.close(figure)
        # A table of colours makes the file a third as large.
        Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
