"""Cells in the hyperbolic plane, seen as a Poincare disk."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from matplotlib.patches import Circle, PathPatch
from matplotlib.patheffects import withStroke

from curvi.manifolds import from_config
from curvi.pl._color import ColorSource
from curvi.pl._dimensions import FLAT, stretch
from curvi.pl._flat import LINES, draw_flat
from curvi.pl._panels import LINE, PAPER, check_labels, checked_titles, draw_caption, new_panels
from curvi.pl._places import Places, category_means, drawn_columns, embedded_points
from curvi.pl._poincare import DiskView, free_angle, geodesic_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import matplotlib.path
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.manifolds import Hyperbolic, Manifold
    from curvi.pl._color import Palette
    from curvi.pl._places import Place


def disk(
    adata: AnnData,
    basis: str = "X_curvi",
    color: str | Sequence[str] | None = None,
    *,
    centre: Place | None = None,
    geodesics: Sequence[tuple[Place, Place]] = (),
    manifold: Manifold | None = None,
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
    r"""Draw cells of a two-dimensional hyperbolic embedding in the Poincare disk.

    The rim is infinitely far away. Circles in the background are all points at one distance from the middle, with that
    distance written on them, and straight lines are the geodesics through the middle; the angle between two lines is
    the true one. At the distance r from the middle a length is drawn :math:`\cosh(\sqrt c \, r / 2)^2` times smaller
    than in the middle, for curvature -c: to see details that are far out, move them there with ``centre``, which is an
    isometry. Each category is labelled at its Frechet mean.

    Parameters
    ----------
    adata
        Cells, with points of a hyperbolic plane in ``.obsm[basis]``. Colours of categories are read from
        ``.uns[f"{color}_colors"]``, and written there where they are missing or ``palette`` is given, as scanpy does
        (never to a view).
    basis
        Key of ``.obsm`` for the points: ``(n_obs, 2)`` in the Poincare ball or ``(n_obs, 3)`` on the hyperboloid.
    color
        Columns of ``.obs`` or genes; each gets its own panel.
    centre
        What is in the middle: the name or the number of a cell; the Frechet mean of a category, by its name if it is
        one of ``color``, else as ``(column, category)``; or a point. By default the origin of the embedding.
    geodesics
        Pairs of places, named as ``centre`` is, between which the shortest way is drawn: circular arcs that would meet
        the rim at right angles.
    manifold
        Where the points lie; by default as recorded in ``.uns["curvi"][basis]["manifold"]``.
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
        If ``basis`` is not in ``.obsm`` or does not lie on a hyperbolic plane, ``color`` is neither a column nor a
        gene, there is no such ``centre`` or end of a geodesic, or another argument has a value that it cannot have.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=200, n_vars=10, shape="circle", n_types=4)
    >>> adata.obsm["X_ring"] = 0.8 * adata.obsm["latent"]
    >>> plane = curvi.manifolds.Poincare(2)
    >>> ax = curvi.pl.disk(adata, "X_ring", "cell_type", manifold=plane, geodesics=[("type1", "type3")], show=False)
    >>> ax.get_title()
    'cell_type'
    """
    check_labels(labels)
    plane, points = hyperbolic_points(adata, basis, manifold)
    places = Places(adata, points, plane, drawn_columns(adata, color))
    middle, name = (plane.origin.numpy(), "origin") if centre is None else places.find("centre", centre)
    view = DiskView(plane, plane.log0(torch.from_numpy(middle)).numpy())
    arcs = _arcs(view, places, geodesics)
    source = ColorSource(layer, use_raw, palette, cmap, vmin, vmax, sort_order, groups)
    colorings = source.colorings(adata, color)
    titles = checked_titles(title, colorings)
    means = category_means(plane, points, colorings) if labels == "on data" else []
    labelled = any(named.names for named in means)
    panels = new_panels(len(colorings), 1, ax, size=(4.2 if labelled else 3.7, 3.7), left=0.0, foot=0.2)
    xy = view.place(points)
    draw_flat(
        panels,
        partial(disk_background, view=view, arcs=arcs, xy=xy, caption=f"centre: {name}", wide=labelled),
        xy,
        colorings,
        titles,
        [named.at(view.place(named.points)) for named in means],
        labels=labels,
        size=size,
        alpha=alpha,
        fontsize=fontsize,
    )
    return panels.finish(show=show, save=save, return_fig=return_fig)


def hyperbolic_points(adata: AnnData, basis: str, manifold: Manifold | None) -> tuple[Hyperbolic, np.ndarray]:
    """The hyperbolic plane that ``basis`` lies on, in float64, and its points `(n_obs, ambient_dim)`."""
    points = embedded_points(adata, basis)
    record = adata.uns.get("curvi", {}).get(basis, {}).get("manifold")
    if manifold is None and record is None:
        raise ValueError(
            f"no manifold is recorded for `adata.obsm[{basis!r}]`; pass `manifold=`, such as "
            "curvi.manifolds.Poincare(2), or draw two coordinates with `pl.plane`."
        )
    manifold = from_config(record if manifold is None else manifold.config()).double().requires_grad_(False)
    if manifold.dim != 2 or stretch(manifold) <= FLAT:
        raise ValueError(
            f"`adata.obsm[{basis!r}]` lies on {manifold}; the disk shows a hyperbolic plane, of dimension "
            "2. Draw two coordinates of other embeddings with `pl.plane`, and a sphere with `pl.sphere` or `pl.map`."
        )
    inside, reason = manifold.contains(torch.from_numpy(points), atol=1e-3)
    if not inside:
        raise ValueError(f"`adata.obsm[{basis!r}]` does not lie on {manifold}: {reason}")
    return cast("Hyperbolic", manifold), manifold.project(torch.from_numpy(points)).numpy()


def _arcs(view: DiskView, places: Places, geodesics: Sequence[tuple[Place, Place]]) -> list[matplotlib.path.Path]:
    """The geodesics between pairs of places, as they are seen."""
    arcs = []
    for pair in geodesics if isinstance(geodesics, Iterable) else [geodesics]:
        if not isinstance(pair, tuple | list | np.ndarray) or len(pair) != 2:
            raise ValueError(f"`geodesics` has {pair!r}; expected pairs of places, as [('B cell', 'T cell')].")
        ends = [places.find("geodesics", place)[0] for place in pair]
        arcs.append(geodesic_path(*view.place(np.stack(ends))))
    return arcs


def disk_background(
    ax: Axes, view: DiskView, arcs: list[matplotlib.path.Path], xy: np.ndarray, caption: str, *, wide: bool
) -> None:
    """Draw the empty disk with its circles and geodesics, and set the limits; marks avoid the cells at ``xy``."""
    ax.add_patch(Circle((0, 0), 1, facecolor=PAPER, edgecolor="none", zorder=0.5))
    ax.add_patch(Circle((0, 0), 1, fill=False, edgecolor=LINE, linewidth=1.1, zorder=LINES - 0.5))
    for angle in np.radians(np.arange(0, 180, 30)):
        x, y = np.cos(angle), np.sin(angle)
        ax.plot([-x, x], [-y, y], color=LINE, linewidth=0.5, alpha=0.3, zorder=1.0)
    distances = view.circles()
    radii = view.radius(distances)
    angle = free_angle(xy, radii)
    for distance, radius in zip(distances, radii, strict=True):
        ring = Circle((0, 0), radius, fill=False, edgecolor=LINE, linewidth=0.6, alpha=0.6, zorder=LINES - 0.5)
        # Seen over many cells too.
        ring.set_path_effects([withStroke(linewidth=1.6, foreground=PAPER, alpha=0.6)])
        ax.add_patch(ring)
        if radius < 0.93:
            ax.text(
                radius * np.cos(angle),
                radius * np.sin(angle),
                f"{distance:g}",
                ha="center",
                va="center",
                fontsize=7,
                color="#66727e",
                zorder=LINES - 0.5,
                path_effects=[withStroke(linewidth=2.5, foreground=PAPER)],
            )
    for arc in arcs:
        halo = [withStroke(linewidth=2.8, foreground="white", alpha=0.85)]
        ax.add_patch(PathPatch(arc, fill=False, edgecolor="#333333", linewidth=1.2, zorder=LINES, path_effects=halo))
    ax.set(xlim=(-1.169, 1.169) if wide else (-1.03, 1.03), ylim=(-1.03, 1.03), aspect="equal")
    ax.set_axis_off()
    draw_caption(ax, 0.5, caption)
