"""What pictures that show every cell once, in a plane, have in common: the cells, their labels and what is beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curvi.pl._labels import draw_labels, label_size
from curvi.pl._panels import draw_frame
from curvi.pl._places import Means

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from curvi.pl._color import Coloring
    from curvi.pl._panels import Panels

# What is drawn over what: the background is below 2.
CELLS, LINES, LABELS = 2.0, 3.0, 5.0


def draw_flat(
    panels: Panels,
    background: Callable[[Axes], None],
    xy: np.ndarray,
    colorings: list[Coloring],
    titles: list[str],
    means: list[Means],
    *,
    labels: str | None,
    size: float | None,
    alpha: float,
    fontsize: float | str | None,
) -> None:
    """Draw one panel a colouring: the background, cells at ``xy (n_obs, 2)``, and labels at ``means`` (in the plane).

    Cells without a number to sort by are drawn in a fixed random order, so that no category hides another by its place
    in the data. The other arguments are those of :func:`curvi.pl.sphere`.
    """
    area = cell_area(len(xy), size)
    shuffled = np.random.default_rng(0).permutation(len(xy))
    beside = []
    for (panel,), coloring, heading in zip(panels.groups, colorings, titles, strict=True):
        background(panel)
        order = np.lexsort((shuffled, coloring.rank))
        panel.scatter(
            xy[order, 0],
            xy[order, 1],
            s=area,
            c=coloring.rgba[order],
            alpha=alpha,
            linewidths=0,
            zorder=CELLS,
            rasterized=True,
        )
        panels.set_title([panel], heading)
        beside.append(panels.draw_beside([panel], coloring, labels))
    panels.arrange(beside)
    if labels == "on data":
        for (panel,), named in zip(panels.groups, means, strict=True):
            textsize = label_size(len(named.names), fontsize)
            draw_labels(panel, named.names, named.points, named.colors, fontsize=textsize, zorder=LABELS)


def cell_area(n_obs: int, size: float | None) -> float:
    """The area of a point in square points that was asked for, or one that falls with the number of cells."""
    return float(np.clip(24000 / n_obs, 0.8, 22)) if size is None else size


def draw_axes(ax: Axes, names: list[str]) -> None:
    """Draw an empty frame with one scale for both coordinates."""
    draw_frame(ax)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.06)
    for axis, name in zip((ax.xaxis, ax.yaxis), names, strict=True):
        axis.set_label_text(name, fontsize=9)


def middles(xy: np.ndarray, coloring: Coloring) -> Means:
    """The mean of each category's points `(n_obs, 2)`."""
    means = [xy[coloring.codes == code].mean(axis=0) for code in range(len(coloring.categories))]
    return Means(coloring.categories, coloring.palette, np.array(means).reshape(-1, 2))
