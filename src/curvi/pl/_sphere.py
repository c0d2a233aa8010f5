"""Cells on the unit sphere, seen as a globe from several sides."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from curvi.manifolds import Sphere
from curvi.pl._color import ColorSource, listed
from curvi.pl._globe import FRONT, HIDDEN, LABELS, View, draw_globe, views_around
from curvi.pl._labels import draw_labels, label_size
from curvi.pl._panels import check_labels, checked_titles, new_panels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.pl._color import Coloring, Palette


def sphere(
    adata: AnnData,
    basis: str = "X_curvi",
    color: str | Sequence[str] | None = None,
    *,
    views: int | tuple[float, float] | Sequence[tuple[float, float]] = 2,
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
    points = _unit_rows(adata, basis)
    seen_from = _checked_views(points, views)
    source = ColorSource(layer, use_raw, palette, cmap, vmin, vmax, sort_order)
    colorings = source.colorings(adata, color)
    titles = checked_titles(title, colorings)
    area = float(np.clip(24000 / adata.n_obs, 0.8, 22)) if size is None else size
    labelled = labels == "on data" and any(coloring.categories for coloring in colorings)
    size_inches = _panel_size(len(seen_from), labelled)
    panels = new_panels(len(colorings), len(seen_from), ax, size=size_inches, left=0.0, foot=0.2)
    beside = []
    for group, coloring, heading in zip(panels.groups, colorings, titles, strict=True):
        for panel, view in zip(group, seen_from, strict=True):
            draw_globe(panel, view, size_inches[0] / size_inches[1])
            _draw_points(panel, view, points, coloring, area, alpha, hidden_alpha)
            _draw_caption(panel, view)
        panels.set_title(group, heading)
        beside.append(panels.draw_beside(group, coloring, labels))
    panels.arrange(beside)
    if labelled:
        for group, coloring in zip(panels.groups, colorings, strict=True):
            _label(group, seen_from, points, coloring, fontsize)
    return panels.finish(show=show, save=save, return_fig=return_fig)


def _unit_rows(adata: AnnData, basis: str) -> np.ndarray:
    """The points `(n_obs, 3)` of ``basis``, float64."""
    if basis not in adata.obsm:
        raise ValueError(f"`basis` is {basis!r}, but `adata.obsm` has {listed(adata.obsm)}.")
    points = np.asarray(adata.obsm[basis], dtype=np.float64)
    if len(points) == 0:
        raise ValueError("`adata` has no cells to draw.")
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(
            f"`adata.obsm[{basis!r}]` has shape {points.shape}; the globe needs (n_obs, 3), as a model with n_latent=2 "
            "gives. Draw two coordinates of other embeddings with `pl.plane`."
        )
    inside, reason = Sphere(2).contains(torch.from_numpy(points), atol=1e-2)
    if not inside:
        raise ValueError(f"`adata.obsm[{basis!r}]` does not lie on the unit sphere: {reason}")
    return points / np.linalg.norm(points, axis=1, keepdims=True)


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


def _draw_caption(ax: Axes, view: View) -> None:
    """Write below a globe from where it is seen."""
    azim = (view.azim + 180) % 360 - 180
    north, east = ("NS"[view.elev < 0] if round(view.elev) else ""), ("EW"[azim < 0] if abs(round(azim)) % 180 else "")
    text = f"{abs(view.elev):.0f}°{north}  {abs(azim):.0f}°{east}"
    ax.text(0.5, 0.0, text, transform=ax.transAxes, ha="center", va="top", fontsize=7, color="#8a949e")


def _label(
    group: list[Axes], views: list[View], points: np.ndarray, coloring: Coloring, fontsize: float | str | None
) -> None:
    """Write the names of categories at their Frechet means, in the views from which these are seen."""
    manifold = Sphere(2)
    named, means = [], []
    for code, name in enumerate(coloring.categories):
        try:
            means.append(manifold.mean(torch.from_numpy(points[coloring.codes == code])).numpy())
        except ValueError as error:
            warnings.warn(f"category {name!r} of {coloring.title!r} is not labelled: {error}", stacklevel=3)
            continue
        named.append(code)
    for panel, view in zip(group, views, strict=True):
        xy, depth = view.project(np.array(means).reshape(-1, 3))
        near = np.flatnonzero(depth >= 0)
        draw_labels(
            panel,
            [coloring.categories[named[i]] for i in near],
            xy[near],
            [coloring.palette[named[i]] for i in near],
            fontsize=label_size(len(named), fontsize),
            zorder=LABELS,
        )
