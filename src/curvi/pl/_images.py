"""A grid of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData

from curvi.data import to_images
from curvi.data._loader import as_rows
from curvi.pl._color import ColorSource, listed
from curvi.pl._mosaic import Captions, ImageStyle, draw_mosaic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from curvi.pl._color import Palette


def images(
    data: AnnData | ArrayLike,
    indices: Sequence[int] | Sequence[bool] | np.ndarray | None = None,
    color: str | None = None,
    *,
    n: int = 36,
    seed: int | None = 0,
    n_columns: int | None = None,
    channel: int | None = None,
    layer: str | None = None,
    palette: Palette | None = None,
    cmap: str | Colormap = "gray",
    vmin: float = 0.0,
    vmax: float = 1.0,
    size: float = 0.7,
    title: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | Axes | list[Axes] | None:
    """Draw images in a grid, each with its label.

    Parameters
    ----------
    data
        AnnData from :func:`curvi.data.from_images`, or images ``(n, h, w)`` or ``(n, h, w, c)``.
    indices
        Which images, in this order: numbers or a boolean mask. None draws ``n`` of them.
    color
        A column of ``.obs``: it is written above each image, and categories give the frame its colour, as in
        :func:`curvi.pl.sphere`.
    n
        How many images are drawn where ``indices`` is None, at least 1.
    seed
        Of the choice of these, which are drawn in the order of the data; None for the first ones.
    n_columns
        Images side by side; by default as many as make the grid about square, at most 12.
    channel
        The only channel to draw, counted from 0. Images of one channel are drawn with ``cmap``, those of three and four
        as red, green, blue and opacity; of any other number, one must be chosen.
    layer
        The layer of the AnnData to draw instead of ``.X``.
    palette
        As in :func:`curvi.pl.sphere`.
    cmap
        Colours of images of one channel.
    vmin, vmax
        The values of black and white; those beyond are drawn as these.
    size
        Inches of the longer side of each image.
    title, show, save, return_fig
        As in :func:`curvi.pl.sphere`.
    ax
        Axes to draw on.

    Returns
    -------
    The figure with ``return_fig``; otherwise the axes, or ``None`` if the figure was shown.

    Raises
    ------
    ValueError
        If the data are no images, ``color`` is no column, or an argument is out of its range.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.digits()
    >>> ax = curvi.pl.images(adata, color="label", n=10, n_columns=5, show=False)
    >>> len(ax.texts)
    10
    """
    style = ImageStyle(channel, cmap, vmin, vmax, size)
    pixels, captions = _chosen(data, indices, color, n, seed, layer, palette)
    panels = draw_mosaic(pixels, style, captions, n_columns=n_columns, ax=ax, title=title)
    return panels.finish(show=show, save=save, return_fig=return_fig)


def _chosen(
    data: AnnData | ArrayLike,
    indices: Any,
    color: str | None,
    n: int,
    seed: int | None,
    layer: str | None,
    palette: Palette | None,
) -> tuple[np.ndarray, Captions]:
    """Images ``(n, h, w)`` or ``(n, h, w, c)``, and what stands around them."""
    array = data if isinstance(data, AnnData) else np.asarray(data)
    if not isinstance(array, AnnData) and (array.ndim not in (3, 4) or not array.size):
        raise ValueError(f"`data` has shape {array.shape}; expected images (n, h, w) or (n, h, w, c), or an AnnData.")
    rows = chosen_rows(indices, array.shape[0], n, seed)
    if not isinstance(array, AnnData):
        if color is not None or layer is not None:
            raise ValueError("`color` and `layer` need an AnnData; `data` is an array.")
        return array[rows], Captions()
    pixels = to_images(array[rows], layer)
    return pixels, Captions() if color is None else captions_of(array, color, rows, palette)


def captions_of(adata: AnnData, color: str, rows: np.ndarray, palette: Palette | None) -> Captions:
    """What a column of ``.obs`` has to say of some rows, with frames where it has categories.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    if color not in adata.obs:
        raise ValueError(
            f"`color` is {color!r}, which is no column of `adata.obs`; it has {listed(adata.obs.columns)}."
        )
    (coloring,) = ColorSource(None, None, palette, None, None, None, False).colorings(adata, color)
    if coloring.mappable is not None:
        return Captions([f"{value:.3g}" for value in adata.obs[color].iloc[rows]])
    names = [*coloring.categories, coloring.rest]
    return Captions([names[code] for code in coloring.codes[rows]], frames=coloring.rgba[rows])


def chosen_rows(indices: Any, n_obs: int, n: int, seed: int | None) -> np.ndarray:
    """The numbers of the images to draw, at least one."""
    if indices is not None:
        rows = as_rows(indices, n_obs)
    elif n < 1:
        raise ValueError(f"`n` is {n}; expected at least 1.")
    elif seed is None or n >= n_obs:
        rows = np.arange(min(n, n_obs))
    else:
        rows = np.sort(np.random.default_rng(seed).choice(n_obs, n, replace=False))
    if not len(rows):
        raise ValueError("`indices` names no image; name at least one.")
    return rows
