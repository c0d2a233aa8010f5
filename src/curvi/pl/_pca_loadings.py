"""The principal components of a latent space: how much each explains, and what it is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from curvi.pl._color import PLAIN
from curvi.pl._heatmap import NARROW, WIDE, are_written, draw_table
from curvi.pl._panels import Panels, draw_frame, new_panels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.explore import Components

# Inches: how high the bars are, and the space between them and the table.
_BARS, _SEAM = 1.4, 0.12


def pca_loadings(
    components: Components,
    *,
    values: bool | None = None,
    cmap: str | Colormap = "RdBu_r",
    title: str | None = None,
    ax: Sequence[Axes] | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | Axes | list[Axes] | None:
    """Draw the share of the variance that each principal component explains, and below it the component itself.

    The bars are the shares, the line is their sum so far. The table has a column a component and a row a dimension of
    the latent space, with numbers between -1 and 1 whose squares sum to 1 down each column.

    Parameters
    ----------
    components
        From :func:`curvi.explore.pca`.
    values
        Whether the numbers are written, in the place of a colour bar; by default where there are at most 200 of them.
    cmap
        Colours from -1 to 1.
    title, show, save, return_fig
        As in :func:`curvi.pl.sphere`.
    ax
        Two axes to draw on, for the bars and for the table.

    Returns
    -------
    The figure with ``return_fig``; otherwise the axes of the bars and of the table, or ``None`` if the figure was
    shown.

    Raises
    ------
    ValueError
        If ``ax`` is not two axes.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=200, n_vars=10, shape="circle", n_types=4)
    >>> plane = curvi.manifolds.Euclidean(2)
    >>> bars, table = curvi.pl.pca_loadings(curvi.explore.pca(adata, "latent", manifold=plane), show=False)
    >>> [label.get_text() for label in table.get_xticklabels()]
    ['PC1', 'PC2']
    """
    written = are_written(components.loadings, values)
    n_rows, n_columns = components.loadings.shape
    cell = WIDE if written else NARROW
    size = (max(1.6, n_columns * cell[0]), n_rows * cell[1])
    panels, bars = _two_panels(size, ax)
    (panel,) = panels.groups[0]
    called = [f"PC{i + 1}" for i in range(n_columns)]
    drawn = draw_table(panel, components.loadings, components.names, called, limit=1.0, cmap=cmap, values=written)
    if not written and n_columns > 12:
        panel.set_xticks(range(0, n_columns, 5), called[::5])
    _draw_bars(bars, components.variance_ratio)
    bars.set_title(title or "", fontsize=11, pad=4)
    panels.arrange([None if written else panels.draw_scale([panel], drawn)])
    if ax is None:
        _place_above(panels, panel, bars)
    return replace(panels, groups=[[bars, panel]]).finish(show=show, save=save, return_fig=return_fig)


def _two_panels(size: tuple[float, float], ax: Sequence[Axes] | None) -> tuple[Panels, Axes]:
    """The panel of the table, alone as yet, and the axes of the bars."""
    if ax is None:
        panels = new_panels(1, 1, None, size=size, left=0.6, foot=0.3)
        return panels, panels.figure.add_axes((0, 0, 1, 1))
    given = [ax] if isinstance(ax, Axes) else list(np.ravel(np.asarray(ax, dtype=object)))
    if len(given) != 2:
        raise ValueError(f"`ax` has {len(given)} axes; expected two, for the bars and for the table.")
    return new_panels(1, 1, given[1], size=size, left=0.6, foot=0.3), given[0]


def _draw_bars(ax: Axes, shares: np.ndarray) -> None:
    """Bars of ``shares (n_comps,)``, and a line of their sum so far."""
    draw_frame(ax)
    ax.grid(visible=False, axis="x")
    at = np.arange(len(shares))
    ax.bar(at, shares, width=0.72, color=PLAIN)
    ax.plot(at, shares.cumsum(), "o-", color="#d1603d", markersize=3, linewidth=1.2)
    ax.set(xlim=(-0.5, len(shares) - 0.5), ylim=(0, 1.06), xticks=[])
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[2, 5, 10]))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_ylabel("variance", fontsize=9)


def _place_above(panels: Panels, table: Axes, bars: Axes) -> None:
    """Make the figure higher, with the bars above the columns of the table."""
    figure = panels.figure
    width, height = figure.get_size_inches()
    x, y, w, h = table.get_position(original=True).bounds
    new = height + _BARS + _SEAM
    figure.set_size_inches(width, new)
    table.set_position((x, y * height / new, w, h * height / new))
    bars.set_position((x, ((y + h) * height + _SEAM) / new, w, _BARS / new))
