"""Cells in two coordinates of a flat latent space."""

from __future__ import annotations

from functools import partial
from operator import index
from typing import TYPE_CHECKING

import numpy as np

from curvi.pl._color import ColorSource
from curvi.pl._flat import draw_axes, draw_flat, middles
from curvi.pl._panels import check_labels, checked_titles, new_panels
from curvi.pl._places import embedded_points

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.pl._color import Palette


def plane(
    adata: AnnData,
    basis: str = "X_curvi",
    color: str | Sequence[str] | None = None,
    *,
    dims: tuple[int, int] = (0, 1),
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
    """Draw cells in two coordinates of their embedding, to the same scale on both axes.

    Each category is labelled at the mean of its cells. Cells without a number to sort by are drawn in a fixed random
    order, so that no category hides another by its place in the data.

    The coordinates are the columns of the embedding as they are, such as those of the space around a sphere.
    :func:`curvi.pl.latent` draws dimensions of curved manifolds.

    Parameters
    ----------
    adata
        Cells, with coordinates in ``.obsm[basis]``. Colours of categories are read from ``.uns[f"{color}_colors"]``,
        and written there where they are missing or ``palette`` is given, as scanpy does (never to a view).
    basis
        Key of ``.obsm`` for the points ``(n_obs, ambient_dim)``.
    color
        Columns of ``.obs`` or genes; each gets its own panel.
    dims
        Which two coordinates, counted from 0.
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
        If ``basis`` is not in ``.obsm`` or lacks these coordinates, ``color`` is neither a column nor a gene, or
        another argument has a value that it cannot have.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=200, n_vars=10, shape="circle", n_types=4)
    >>> ax = curvi.pl.plane(adata, basis="latent", color="cell_type", show=False)
    >>> ax.get_xlabel()
    'latent 0'
    """
    check_labels(labels)
    xy = _coordinates(adata, basis, dims)
    source = ColorSource(layer, use_raw, palette, cmap, vmin, vmax, sort_order, groups)
    colorings = source.colorings(adata, color)
    titles = checked_titles(title, colorings)
    panels = new_panels(len(colorings), 1, ax, size=(3.9, 3.9), left=0.6, foot=0.5)
    names = [f"{basis.removeprefix('X_')} {dim}" for dim in dims]
    draw_flat(
        panels,
        partial(draw_axes, names=names),
        xy,
        colorings,
        titles,
        [middles(xy, coloring) for coloring in colorings],
        labels=labels,
        size=size,
        alpha=alpha,
        fontsize=fontsize,
    )
    return panels.finish(show=show, save=save, return_fig=return_fig)


def _coordinates(adata: AnnData, basis: str, dims: tuple[int, int]) -> np.ndarray:
    """The two coordinates `(n_obs, 2)` of ``basis``, float64."""
    points = embedded_points(adata, basis)
    if points.ndim != 2 or points.shape[1] < 2:
        raise ValueError(f"`adata.obsm[{basis!r}]` has shape {points.shape}; a plane needs at least two columns.")
    chosen = [index(dim) for dim in dims]
    if len(chosen) != 2 or not all(0 <= dim < points.shape[1] for dim in chosen):
        raise ValueError(
            f"`dims` is {dims!r}; expected two of the {points.shape[1]} columns of `adata.obsm[{basis!r}]`, from 0."
        )
    xy = points[:, chosen]
    n_bad = int((~np.isfinite(xy)).any(axis=1).sum())
    if n_bad:
        raise ValueError(f"`adata.obsm[{basis!r}]` is NaN or infinite in {n_bad} cells; drop them or embed them anew.")
    return xy
