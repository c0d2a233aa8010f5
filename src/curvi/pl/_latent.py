"""Cells in two dimensions of any latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curvi.pl._color import ColorSource
from curvi.pl._flat import draw_flat
from curvi.pl._panels import check_labels, checked_titles, new_panels
from curvi.pl._scene import dimensions_scene

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.manifolds import Manifold
    from curvi.pl._color import Palette
    from curvi.pl._places import Place


def latent(
    adata: AnnData,
    basis: str = "X_curvi",
    color: str | Sequence[str] | None = None,
    *,
    dims: tuple[int, int] = (0, 1),
    base: Place | None = None,
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
    """Draw cells in two dimensions of a latent space of any number of them, flat or curved.

    In flat space the dimensions are the coordinates. On a curved manifold they are tangent coordinates, as
    :func:`curvi.explore.activations` gives them: the distance from ``base`` in the direction of the geodesic that leads
    to the cell. On a sphere of radius 1 that is an angle, at most pi; cells opposite to the base lie on the outer
    circle, all around. Along the axes it says which point they are around. Each category is labelled at its Frechet
    mean.

    The columns of an embedding as they are, such as the coordinates of the space around a sphere, are drawn by
    :func:`curvi.pl.plane`; all of a globe by :func:`curvi.pl.map`, and of a hyperbolic plane by :func:`curvi.pl.disk`.

    Parameters
    ----------
    adata
        Cells, with points in ``.obsm[basis]``.
    basis
        Key of ``.obsm`` for the points ``(n_obs, ambient_dim)``.
    color
        Columns of ``.obs`` or genes; each gets its own panel.
    dims
        Which two dimensions, counted from 0.
    base
        Where the coordinates are 0: a cell by its name or number, ``(column, category)`` for the Frechet mean of a
        category, or a point. By default the origin of flat space, and on a curved manifold the Frechet mean of all
        cells, around which the picture bends them least.
    manifold
        Where the points lie; by default as recorded in ``.uns["curvi"][basis]["manifold"]``, or flat space if nothing
        is.
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
        If ``basis`` is not in ``.obsm`` or does not lie on the manifold, there is no such dimension or ``base``,
        ``color`` is neither a column nor a gene, or another argument has a value that it cannot have.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=200, n_vars=10, shape="sphere", n_types=4)
    >>> globe = curvi.manifolds.Sphere(2)
    >>> ax = curvi.pl.latent(adata, "latent", "cell_type", base=("cell_type", "type1"), manifold=globe, show=False)
    >>> ax.get_xlabel()
    'z0 around type1'
    """
    check_labels(labels)
    scene = dimensions_scene(adata, basis, dims, base, manifold)
    source = ColorSource(layer, use_raw, palette, cmap, vmin, vmax, sort_order, groups)
    colorings = source.colorings(adata, color)
    titles = checked_titles(title, colorings)
    panels = new_panels(len(colorings), 1, ax, size=scene.size, left=scene.left, foot=scene.foot)
    draw_flat(
        panels,
        scene.background,
        scene.xy,
        colorings,
        titles,
        [scene.means(coloring) for coloring in colorings],
        labels=labels,
        size=size,
        alpha=alpha,
        fontsize=fontsize,
    )
    return panels.finish(show=show, save=save, return_fig=return_fig)
