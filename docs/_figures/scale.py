"""Draws the picture of the page "Scale" from what the benchmarks wrote: time and memory against the number of cells.

Usage: ``python docs/_figures/scale.py FOLDER [--to docs/_static]``, the folder with ``training_scale.json`` and
``streaming.json``, written by the benchmarks of these names with ``--json``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT = "#333f4b", "#c8ccd0"
DOTS_PER_INCH = 130
MODELS = {
    "scvi": ("scVI, its defaults", "#b5651d", "s"),
    "scphere": ("curvi, scPhere's architecture", "#1f5f8b", "o"),
    "scvi_like": ("curvi, scVI's architecture", "#3f9b6c", "^"),
}


def figures(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())["figures"]


def of(rows: list[dict[str, Any]], model: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    found = sorted((row["n_cells"], row[key]) for row in rows if row["model"] == model)
    return np.array([n for n, _ in found], float), np.array([y for _, y in found])


def times(ax: Axes, rows: list[dict[str, Any]]) -> None:
    """Processor time of an epoch, beside lines on which twice the cells cost twice the time."""
    for name, (title, color, marker) in MODELS.items():
        n, seconds = of(rows, name, "cpu_s")
        if not len(n):
            continue
        ax.plot(n, seconds, marker, color=color, label=title, markersize=6)
        ends = np.array([4e3, 1.3e6])
        ax.plot(ends, ends * np.median(seconds / n), color=color, linewidth=0.8, alpha=0.6, zorder=0)
    ax.set(yscale="log", ylabel="processor seconds an epoch", title="time; lines: proportional to the cells")
    ax.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="upper left")


def memory(ax: Axes, rows: list[dict[str, Any]], streams: list[dict[str, Any]]) -> None:
    """Peak memory, beside the size of the matrix and what streams need."""
    n, peak = of(rows, "scphere", "peak_gb")
    _, size = of(rows, "scphere", "matrix_gb")
    ax.plot(n, peak, "o-", color=MODELS["scphere"][1], linewidth=1, label="training in memory")
    ax.plot(n, size, color=INK, linewidth=1, linestyle="--", label="the matrix alone")
    for kind, look in {
        "h5ad": {"marker": "o", "s": 90, "facecolors": "none"},
        "zarr": {"marker": "D", "s": 22, "facecolors": "#8e5ea2"},
    }.items():
        found = [(row["n_cells"], row["peak_gb"]) for row in streams if row["kind"] == kind]
        ax.scatter(
            *zip(*found, strict=True), edgecolors="#8e5ea2", zorder=3, label=f"training from {kind} on disk", **look
        )
    ax.set(ylabel="peak memory of the process, GB", title="memory", ylim=(0, 2.6))
    ax.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="upper left")


def drawn(rows: list[dict[str, Any]], streams: list[dict[str, Any]]) -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.9))
    times(axes[0], rows)
    memory(axes[1], rows, streams)
    for ax in axes:
        ax.set(xscale="log", xlabel="cells")
        ax.title.set(color=INK, fontsize=10)
        ax.grid(color=FAINT, linewidth=0.5, alpha=0.6)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(colors=INK, labelsize=8.5)
    figure.tight_layout(w_pad=2.0)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent.parent / "_static")
    options = parser.parse_args()
    mpl.use("Agg")
    figure = drawn(figures(options.folder / "training_scale.json"), figures(options.folder / "streaming.json"))
    path = options.to / "scale_training.png"
    figure.savefig(path, dpi=DOTS_PER_INCH)
    # A table of colours makes the file a third as large.
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
