"""Cells on the unit sphere, seen as a globe from several sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curvi.manifolds import Sphere
from curvi.pl._color import ColorSource
from curvi.pl._flat import cell_area
from curvi.pl._globe import FRONT, HIDDEN, LABELS, View, direction_text, draw_globe, views_around
from curvi.pl._labels import draw_labels, label_size
from curvi.pl._panels import check_labels, checked_titles, draw_caption, new_panels
from curvi.pl._places import category_means, unit_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.pl._color import Coloring, Palette
    from curvi.pl._places import Means


def sphere(
    adata: AnnData,
    basis: str = "X_curvi",
    color: str | Sequence[str] | None = None,
    *,
    views: int | tuple[float, float] | Sequence[tuple[float, float]] = 2,
    groups: str | Sequence[str] | None = None,
    labels: str | None = "on data",
    palette: Palette | None = None,
    cmap: str | Colormap | None = None,
    vmin: float | str | None = None,
    vmax: float | str | None = None,
    layer: str | None = None,
    use_raw: bool | None = None,
    sort_order: bool = True,
    size: float | None = None,
    alpha: float = 0.9,
    hidden_alpha: float = 0.35,
    fontsize: float | str | None = None,
    title: str | Sequence[str] | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | Axes | list[Axes] | None:
    """Draw cells on a lit, translucent globe, in orthographic projection.

    Cells on the near side lie over the globe; those on the far side shine through it, faded. Each category is labelled
    at its Frechet mean, in the views from which that point is seen.

    Parameters
    ----------
    adata
        Cells, with unit rows in ``.obsm[basis]``. Colours of categories are read from ``.uns[f"{color}_colors"]``, and
        written there where they are missing or ``palette`` is given, as scanpy does (never to a view).
    basis
        Key of ``.obsm`` for the points ``(n_obs, 3)`` on the unit sphere.
    color
        Columns of ``.obs`` or genes; each gets its own row of views (with one view, its own panel).
    views
        How many views, at equal angles around the sphere and turned to where the cells are; or the views themselves,
        each ``(elev, azim)``: latitude and longitude in degrees of the point that faces the viewer.
    groups
        The only categories to colour and to name; cells of the others are grey and lie below.
    labels
        Where categories are named: ``"on data"``, ``"legend"`` or ``None``.
    palette
        Colours of categories: a list, a mapping from category to colour, or the name of a colour map.
    cmap, vmin, vmax
        Colours of numbers, and the values at the ends of the scale: numbers, or percentiles such as ``"p99"``.
    layer, use_raw
        Where genes are read; by default ``.raw`` if it is set, else ``.X``.
    sort_order
        Whether cells with higher numbers are drawn over those with lower ones; otherwise nearer over farther ones.
    size
        Area of a point that faces the viewer, in square points; by default it falls with the number of cells.
    alpha, hidden_alpha
        Opacity in [0, 1] of cells on the near and on the far side.
    fontsize
        Of the labels on the data.
    title
        One title a colour, in the place of its name.
    ax
        Axes to draw on, one for each view of each colour, in reading order.
    show
        Whether to call ``plt.show``; by default where matplotlib is interactive.
    save
        File to write; its ending chooses the format.
    return_fig
        Whether to return the figure.

    Returns
    -------
    The figure with ``return_fig``; otherwise the axes (a list of them if there are several), or ``None`` if the figure
    was shown.

    Raises
    ------
    ValueError
        If ``basis`` is not in ``.obsm`` or holds no unit rows of three numbers, ``color`` is neither a column nor a
        gene, or another argument has a value that it cannot have.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=200, n_vars=10, shape="sphere", n_types=4)
    >>> axes = curvi.pl.sphere(adata, basis="latent", color="cell_type", show=False)
    >>> len(axes)
    2
    """
    check_labels(labels)
    points = unit_rows(adata, basis)
    seen_from = _checked_views(points, views)
    source = ColorSource(layer, use_raw, palette, cmap, vmin, vmax, sort_order, groups)
    colorings = source.colorings(adata, color)
    titles = checked_titles(title, colorings)
    area = cell_area(adata.n_obs, size)
    labelled = labels == "on data" and any(coloring.categories for coloring in colorings)
    size_inches = _panel_size(len(seen_from), labelled)
    panels = new_panels(len(colorings), len(seen_from), ax, size=size_inches, left=0.0, foot=0.2)
    beside = []
    for group, coloring, heading in zip(panels.groups, colorings, titles, strict=True):
        for panel, view in zip(group, seen_from, strict=True):
            draw_globe(panel, view, size_inches[0] / size_inches[1])
            _draw_points(panel, view, points, coloring, area, alpha, hidden_alpha)
            draw_caption(panel, 0.5, direction_text(view))
        panels.set_title(group, heading)
        beside.append(panels.draw_beside(group, coloring, labels))
    panels.arrange(beside)
    if labelled:
        for group, means in zip(panels.groups, category_means(Sphere(2), points, colorings), strict=True):
            _label(group, seen_from, means, fontsize)
    return panels.finish(show=show, save=save, return_fig=return_fig)


def _checked_views(points: np.ndarray, views: int | tuple[float, float] | Sequence[tuple[float, float]]) -> list[View]:
    """The views asked for by number or by ``(elev, azim)``."""
    wanted = f"`views` is {views!r}; expected a number of views, at least 1, or a list of (elev, azim) in degrees"
    if isinstance(views, int | np.integer):
        if views < 1:
            raise ValueError(f"{wanted}.")
        return views_around(points, int(views))
    try:
        angles = np.atleast_2d(np.asarray(views, dtype=np.float64))
    except (TypeError, ValueError):
        raise ValueError(f"{wanted}.") from None
    if angles.ndim != 2 or angles.shape[0] == 0 or angles.shape[1] != 2 or not np.isfinite(angles).all():
        raise ValueError(f"{wanted}.")
    if (np.abs(angles[:, 0]) > 90).any():
        raise ValueError(f"{wanted}; an elevation is a latitude, from -90 to 90.")
    return [View(float(elev), float(azim)) for elev, azim in angles]


def _panel_size(n_views: int, labelled: bool) -> tuple[float, float]:
    """Width and height of a panel in inches: many views are smaller, and labels may reach beyond the rim."""
    height = float(np.clip(10.8 / n_views, 2.7, 3.6))
    return height * (1.2 if labelled else 1.0), height


def _draw_points(
    ax: Axes,
    view: View,
    points: np.ndarray,
    coloring: Coloring,
    area: float,
    alpha: float,
    hidden_alpha: float,
) -> None:
    """Scatter the far side, then the near side, each from back to front."""
    xy, depth = view.project(points)
    order = np.lexsort((depth, coloring.rank))
    near = depth[order] >= 0
    for chosen, opacity, zorder in ((order[~near], hidden_alpha, HIDDEN), (order[near], alpha, FRONT)):
        ax.scatter(
            xy[chosen, 0],
            xy[chosen, 1],
            # A disc on the surface looks smaller towards the rim.
            s=area * (0.55 + 0.45 * np.abs(depth[chosen])),
            c=coloring.rgba[chosen],
            alpha=opacity,
            linewidths=0,
            zorder=zorder,
            rasterized=True,
        )


def _label(group: list[Axes], views: list[View], means: Means, fontsize: float | str | None) -> None:
    """Write the names of categories at their Frechet means, in the views from which these are seen."""
    for panel, view in zip(group, views, strict=True):
        xy, depth = view.project(means.points)
        near = np.flatnonzero(depth >= 0)
        draw_labels(
            panel,
            [means.names[i] for i in near],
            xy[near],
            [means.colors[i] for i in near],
            fontsize=label_size(len(means.names), fontsize),
            zorder=LABELS,
        )
