"""Cells in every two of several dimensions, with the density of each group along one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.legend import Legend
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import gaussian_filter1d

from curvi.manifolds._frame import checked_dims
from curvi.pl._color import MISSING, PLAIN, ColorSource
from curvi.pl._dimensions import dimensions
from curvi.pl._flat import cell_area
from curvi.pl._panels import Panels, draw_frame

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.manifolds import Manifold
    from curvi.pl._color import Coloring, Palette
    from curvi.pl._places import Place

_MOST_DIMS = 5
# Inches around all panels, and between two.
_LEFT, _FOOT, _HEAD, _RIGHT, _GAP = 0.55, 0.5, 0.3, 0.1, 0.07
# Bins of a density.
_BINS = 200


def pairs(
    adata: AnnData,
    basis: str = "X_curvi",
    color: str | None = None,
    *,
    dims: Sequence[int] | None = None,
    base: Place | None = None,
    manifold: Manifold | None = None,
    groups: str | Sequence[str] | None = None,
    palette: Palette | None = None,
    cmap: str | Colormap | None = None,
    vmin: float | str | None = None,
    vmax: float | str | None = None,
    layer: str | None = None,
    use_raw: bool | None = None,
    sort_order: bool = True,
    size: float | None = None,
    alpha: float = 0.7,
    panel_size: float = 1.5,
    title: str | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | Axes | list[Axes] | None:
    """Draw cells in every two of several dimensions, and on the diagonal how dense each category is along one.

    The dimensions are those of :func:`curvi.pl.latent`: coordinates in flat space, tangent coordinates around ``base``
    on a curved manifold. Each density has the area 1, so that rare categories are seen; it is a histogram, smoothed by
    a Gaussian whose width is Scott's rule, the deviation of the category over the fifth root of its number of cells.

    Parameters
    ----------
    adata
        Cells, with points in ``.obsm[basis]``.
    basis
        Key of ``.obsm`` for the points ``(n_obs, ambient_dim)``.
    color
        A column of ``.obs`` or a gene. Numbers colour the cells; the densities are then those of all cells.
    dims
        Which dimensions, counted from 0; by default the first five.
    base, manifold
        As in :func:`curvi.pl.latent`.
    groups, palette, cmap, vmin, vmax, layer, use_raw, sort_order, size, alpha
        As in :func:`curvi.pl.sphere`.
    panel_size
        Inches of a side of each panel.
    title, show, save, return_fig
        As in :func:`curvi.pl.sphere`.

    Returns
    -------
    The figure with ``return_fig``; otherwise the axes, row by row, those left of the diagonal and on it, or ``None`` if
    the figure was shown.

    Raises
    ------
    ValueError
        If ``basis`` is not in ``.obsm`` or does not lie on the manifold, there is no such dimension or ``base``,
        ``color`` is neither a column nor a gene, or another argument has a value that it cannot have.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=200, n_vars=10, shape="sphere", n_types=4)
    >>> axes = curvi.pl.pairs(adata, "latent", "cell_type", manifold=curvi.manifolds.Sphere(2), show=False)
    >>> len(axes), axes[1].get_xlabel(), axes[1].get_ylabel()
    (3, 'z0', 'z1')
    """
    seen = dimensions(adata, basis, base, manifold)
    chosen = checked_dims(seen.manifold, range(min(_MOST_DIMS, seen.manifold.dim)) if dims is None else dims)
    if not panel_size > 0:
        raise ValueError(f"`panel_size` is {panel_size}; expected inches above 0.")
    source = ColorSource(layer, use_raw, palette, cmap, vmin, vmax, sort_order, groups)
    if color is not None and not isinstance(color, str):
        raise ValueError(f"`color` is {color!r}; expected one column or gene.")
    (coloring,) = source.colorings(adata, color)
    values = seen.coordinates[:, chosen]
    panels = _square(len(chosen), panel_size)
    order = np.lexsort((np.random.default_rng(0).permutation(len(values)), coloring.rank))
    area = cell_area(len(values), size) * (0.4 if size is None else 1.0)
    for i, row in enumerate(panels.groups):
        for j, ax in enumerate(row[:-1]):
            ax.scatter(
                values[order, j],
                values[order, i],
                s=area,
                c=coloring.rgba[order],
                alpha=alpha,
                linewidths=0,
                rasterized=True,
            )
        _draw_densities(row[-1], values[:, i], coloring)
    _finish_axes(panels, values, [seen.names[dim] for dim in chosen])
    heading = coloring.title if title is None else title
    # Along a curved manifold the numbers mean nothing without the point that they are around.
    around = f"around {seen.around}" if seen.around else ""
    panels.groups[0][0].set_title(", ".join(part for part in (heading, around) if part), loc="left", fontsize=11, pad=4)
    _draw_key(panels, coloring)
    return panels.finish(show=show, save=save, return_fig=return_fig)


def _square(n: int, side: float) -> Panels:
    """Panels of a new figure, on the diagonal of an n x n square and left of it."""
    step = side + _GAP
    width, height = _LEFT + n * step - _GAP + _RIGHT, _FOOT + n * step - _GAP + _HEAD
    figure = plt.figure(figsize=(width, height))
    groups = []
    for i in range(n):
        bottom = _FOOT + (n - 1 - i) * step
        places = [(_LEFT + j * step, bottom, side, side) for j in range(i + 1)]
        groups.append([figure.add_axes(tuple(np.array(place) / [width, height, width, height])) for place in places])
    return Panels(figure, groups, (side, side), 1, _LEFT, _FOOT)


def _draw_densities(ax: Axes, values: np.ndarray, coloring: Coloring) -> None:
    """The density of ``values (n_obs,)`` in each category, or in all cells where there are none."""
    groups = [(values[coloring.codes == code], color) for code, color in enumerate(coloring.palette)]
    low, high = _extent(values)
    edges = np.linspace(low, high, _BINS + 1)
    for members, color in groups or [(values, PLAIN)]:
        density = _density(members, edges)
        middle = (edges[1:] + edges[:-1]) / 2
        ax.fill_between(middle, density, color=color, alpha=0.18, linewidth=0)
        ax.plot(middle, density, color=color, linewidth=1.1)
    if groups and (coloring.codes < 0).any():
        ax.plot((edges[1:] + edges[:-1]) / 2, _density(values[coloring.codes < 0], edges), color=MISSING, linewidth=1.1)


def _density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The density of ``values (n,)`` in the middles of bins, by a smoothed histogram."""
    counts, _ = np.histogram(values, edges)
    bin_width = edges[1] - edges[0]
    width = max(float(values.std()) * len(values) ** -0.2, 2 * bin_width)
    smooth = gaussian_filter1d(counts.astype(np.float64), width / bin_width, mode="constant", truncate=5.0)
    return smooth / (len(values) * bin_width)


def _extent(values: np.ndarray) -> tuple[float, float]:
    """From where to where an axis of ``values (n,)`` goes."""
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def _ticks(values: np.ndarray) -> np.ndarray:
    """A few round numbers on an axis of ``values (n,)``, so far from its ends that they do not reach the next panel."""
    low, high = _extent(values)
    round_ones = np.asarray(MaxNLocator(4).tick_values(low, high))
    return round_ones[(round_ones > low + 0.12 * (high - low)) & (round_ones < high - 0.12 * (high - low))]


def _finish_axes(panels: Panels, values: np.ndarray, names: list[str]) -> None:
    """The same limits along a column and along a row, with numbers on the outermost panels only."""
    last = len(names) - 1
    for i, row in enumerate(panels.groups):
        for j, ax in enumerate(row):
            draw_frame(ax)
            ax.set_xlim(_extent(values[:, j]))
            ax.set_xticks(_ticks(values[:, j]))
            if i == j:
                ax.set_ylim(bottom=0)
                ax.set_yticks([])
            else:
                ax.set_ylim(_extent(values[:, i]))
                ax.set_yticks(_ticks(values[:, i]))
            ax.tick_params(labelbottom=i == last, labelleft=j == 0 and i > 0)
            if i == last:
                ax.set_xlabel(names[j], fontsize=9)
            if j == 0:
                ax.set_ylabel(names[i], fontsize=9)
    panels.figure.align_ylabels([row[0] for row in panels.groups])


def _draw_key(panels: Panels, coloring: Coloring) -> None:
    """The legend or the colour bar, in the free corner; the figure gets wider where that is too small."""
    artist = panels.draw_beside(panels.groups[0], coloring, "legend")
    if artist is None:
        return
    figure = panels.figure
    step = panels.groups[0][0].get_position().height * figure.get_figheight() + _GAP
    if isinstance(artist, Legend):
        # The rows that it reaches down have panels up to the diagonal.
        height = artist.get_window_extent().height / figure.dpi
        rows = int(np.clip(np.ceil(height / step), 1, len(panels.groups)))
        corner = (_LEFT + rows * step, figure.get_figheight() - _HEAD)
        artist.set_loc("upper left")
        artist.set_bbox_to_anchor(corner, transform=figure.dpi_scale_trans)
    box = artist.get_tightbbox()
    width, wanted = figure.get_figwidth(), box.x1 / figure.dpi + _RIGHT if box is not None else 0.0
    if wanted <= width:
        return
    for ax in (ax for row in panels.groups for ax in row):
        x, y, w, h = ax.get_position().bounds
        ax.set_position((x * width / wanted, y, w * width / wanted, h))
    figure.set_figwidth(wanted)
