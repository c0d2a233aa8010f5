"""Cells on the unit sphere, all of them at once, on a flat map of equal areas."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import Ellipse

from curvi.manifolds import Sphere
from curvi.pl._color import ColorSource
from curvi.pl._flat import LINES, draw_flat
from curvi.pl._globe import View, direction_text, graticule
from curvi.pl._panels import LINE, PAPER, check_labels, checked_titles, draw_caption, new_panels
from curvi.pl._places import Places, category_means, drawn_columns, unit_rows
from curvi.pl._projection import Projection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.pl._color import Palette
    from curvi.pl._places import Place


def map(
    adata: AnnData,
    basis: str = "X_curvi",
    color: str | Sequence[str] | None = None,
    *,
    projection: str = "mollweide",
    centre: Place | None = None,
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
    fontsize: float | str | None = None,
    title: str | Sequence[str] | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | Axes | list[Axes] | None:
    """Draw cells on a map of the whole sphere on which equal areas are equal: densities can be compared by eye.

    Meridians and parallels of the sphere are 30 degrees apart. With a ``centre`` the sphere is turned until that point
    is in the middle of the map, with the meridian through it upright. Each category is labelled at its Frechet mean.

    Parameters
    ----------
    adata
        Cells, with unit rows in ``.obsm[basis]``. Colours of categories are read from ``.uns[f"{color}_colors"]``, and
        written there where they are missing or ``palette`` is given, as scanpy does (never to a view).
    basis
        Key of ``.obsm`` for the points ``(n_obs, 3)`` on the unit sphere.
    color
        Columns of ``.obs`` or genes; each gets its own panel.
    projection
        ``"mollweide"``: an ellipse with straight parallels; ``"hammer"``: an ellipse with bent ones, which shears
        shapes near its edge less; ``"lambert"``: two disks, the half of the sphere around the middle and the half
        behind it, with the least distortion.
    centre
        What is in the middle: the name or the number of a cell; the Frechet mean of a category, by its name if it is
        one of ``color``, else as ``(column, category)``; a point of three numbers; or ``(elev, azim)``, latitude and
        longitude in degrees, as ``views`` of :func:`curvi.pl.sphere`. By default latitude and longitude 0.
    groups, labels, palette, cmap, vmin, vmax, layer, use_raw, sort_order, size, alpha, fontsize
        As in :func:`curvi.pl.sphere`.
    title, show, save, return_fig
        As in :func:`curvi.pl.sphere`.
    ax
        Axes to draw on, one a colour.

    Returns
    -------
    The figure with ``return_fig``; otherwise the axes (a list of them if there are several), or ``None`` if the figure
    was shown.

    Raises
    ------
    ValueError
        If ``basis`` is not in ``.obsm`` or holds no unit rows of three numbers, ``color`` is neither a column nor a
        gene, there is no such ``centre`` or ``projection``, or another argument has a value that it cannot have.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=200, n_vars=10, shape="sphere", n_types=4)
    >>> ax = curvi.pl.map(adata, basis="latent", color="cell_type", centre="type2", show=False)
    >>> ax.get_title()
    'cell_type'
    """
    check_labels(labels)
    points = unit_rows(adata, basis)
    onto = Projection.named(projection)()
    view = _view(Places(adata, points, Sphere(2), drawn_columns(adata, color)), centre)
    source = ColorSource(layer, use_raw, palette, cmap, vmin, vmax, sort_order, groups)
    colorings = source.colorings(adata, color)
    titles = checked_titles(title, colorings)
    means = category_means(Sphere(2), points, colorings) if labels == "on data" else []
    labelled = any(named.names for named in means)
    panels = new_panels(len(colorings), 1, ax, size=(5.9 if labelled else 5.4, 2.7), left=0.0, foot=0.2)
    draw_flat(
        panels,
        partial(map_background, projection=onto, view=view, labelled=labelled),
        onto.points(view.turn(points)),
        colorings,
        titles,
        [named.at(onto.points(view.turn(named.points))) for named in means],
        labels=labels,
        size=size,
        alpha=alpha,
        fontsize=fontsize,
    )
    return panels.finish(show=show, save=save, return_fig=return_fig)


def _view(places: Places, centre: Place | None) -> View:
    """The view whose middle is the point that ``centre`` names."""
    if centre is None:
        return View(0.0, 0.0)
    numbers = np.asarray(centre, dtype=object)
    if numbers.shape != (2,) or isinstance(numbers[0], str):
        x, y, z = places.find("centre", centre)[0]
        return View(float(np.degrees(np.arctan2(z, np.hypot(x, y)))), float(np.degrees(np.arctan2(y, x))))
    elev, azim = numbers.astype(np.float64)
    if not (abs(elev) <= 90 and np.isfinite(azim)):
        raise ValueError(f"`centre` is {centre!r}; an elevation is a latitude in degrees, from -90 to 90.")
    return View(float(elev), float(azim))


def map_background(ax: Axes, projection: Projection, view: View, *, labelled: bool) -> None:
    """Draw the empty map and set the limits."""
    for x, y, a, b in projection.ellipses:
        ax.add_patch(Ellipse((x, y), 2 * a, 2 * b, facecolor=PAPER, edgecolor="none", zorder=0.5))
        ax.add_patch(Ellipse((x, y), 2 * a, 2 * b, fill=False, edgecolor=LINE, linewidth=0.9, zorder=LINES))
    lines = [piece for line in graticule() for piece in projection.line(view.turn(line))]
    ax.add_collection(LineCollection(lines, colors=LINE, linewidths=0.5, alpha=0.45, zorder=LINES))
    width = np.abs(projection.ellipses[:, 0]).max() + projection.ellipses[:, 2].max()
    height = projection.ellipses[:, 3].max()
    # Points on the outline are not to be cut, and labels may reach beyond it.
    reach = (1.12 if labelled else 1.02) * width
    ax.set(xlim=(-reach, reach), ylim=(-1.03 * height, 1.03 * height), aspect="equal")
    ax.set_axis_off()
    for view_of_half, (x, *_rest) in zip((view, view.opposite), projection.ellipses, strict=False):
        draw_caption(ax, 0.5 + x / (2 * reach), direction_text(view_of_half))
