"""A table of numbers as colours, from blue below 0 to red above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage

# Inches of a cell whose number is written, and of one without.
WIDE, NARROW = (0.42, 0.26), (0.26, 0.22)
# More numbers than these cannot be read.
_MOST = 200


def are_written(table: np.ndarray, values: bool | None) -> bool:
    """Whether to write the numbers of ``table (n, m)``: as asked for, or where they are few."""
    return table.size <= _MOST if values is None else values


def draw_table(
    ax: Axes,
    table: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    limit: float,
    cmap: str | Colormap,
    values: bool,
) -> AxesImage:
    """Draw ``table (n_rows, n_columns)``, with colours from -``limit`` to ``limit`` and white in the middle."""
    drawn = ax.imshow(table, cmap=cmap, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(labelsize=8, length=0, colors="#4a5561", top=False, labeltop=False)
    ax.spines[:].set_visible(False)
    if values:
        for (i, j), number in np.ndenumerate(table):
            red, green, blue, _ = drawn.cmap(drawn.norm(number))
            ink = "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.45 else "#222222"
            ax.text(j, i, _written(number), ha="center", va="center", fontsize=6.5, color=ink)
    return drawn


def _written(number: float) -> str:
    """Two digits after the point, and no minus before what is rounded to 0."""
    return f"{round(float(number), 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")
