"""A grid of images."""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from anndata import AnnData
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle

from curvi.data import to_images
from curvi.data._loader import as_rows
from curvi.pl._color import ColorSource, listed
from curvi.pl._panels import new_panels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from curvi.pl._color import Palette

# Inches above an image for its label.
_HEAD = 0.16
_MOST_COLUMNS = 12


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
    if not vmin < vmax:
        raise ValueError(f"`vmin` is {vmin} and `vmax` is {vmax}; black must be below white.")
    if not size > 0:
        raise ValueError(f"`size` is {size}; expected inches above 0.")
    pixels, names, frames = _chosen(data, indices, color, n, seed, layer, palette)
    tiles = _tiles(pixels, channel, cmap, vmin, vmax)
    columns = min(_MOST_COLUMNS, ceil(sqrt(len(tiles)))) if n_columns is None else n_columns
    if columns < 1:
        raise ValueError(f"`n_columns` is {n_columns}; expected at least 1.")
    inch = max(tiles.shape[1:3]) / size
    head = ceil(_HEAD * inch) if names else 0
    mosaic, corners = _mosaic(tiles, columns, head)
    panels = new_panels(1, 1, ax, size=(mosaic.shape[1] / inch, mosaic.shape[0] / inch), left=0.0, foot=0.0)
    ax = panels.groups[0][0]
    ax.imshow(mosaic, interpolation="nearest")
    ax.set_axis_off()
    height, width = tiles.shape[1:3]
    for name, (x, y) in zip(names, corners, strict=False):
        ax.text(x + width / 2 - 0.5, y - 0.5 - 0.02 * inch, name, ha="center", va="bottom", fontsize=7, clip_on=False)
    if frames is not None:
        boxes = [Rectangle((x - 0.5, y - 0.5), width, height) for x, y in corners]
        ax.add_collection(PatchCollection(boxes, facecolor="none", edgecolor=frames, linewidth=1.2, clip_on=False))
    panels.arrange([None])
    if title is not None:
        panels.set_title(panels.groups[0], title)
    return panels.finish(show=show, save=save, return_fig=return_fig)


def _chosen(
    data: AnnData | ArrayLike,
    indices: Any,
    color: str | None,
    n: int,
    seed: int | None,
    layer: str | None,
    palette: Palette | None,
) -> tuple[np.ndarray, list[str], np.ndarray | None]:
    """Images ``(n, h, w)`` or ``(n, h, w, c)``, what is written above them, and the colours of their frames."""
    array = data if isinstance(data, AnnData) else np.asarray(data)
    if not isinstance(array, AnnData) and (array.ndim not in (3, 4) or not array.size):
        raise ValueError(f"`data` has shape {array.shape}; expected images (n, h, w) or (n, h, w, c), or an AnnData.")
    rows = _rows(indices, array.shape[0], n, seed)
    if not isinstance(array, AnnData):
        if color is not None or layer is not None:
            raise ValueError("`color` and `layer` need an AnnData; `data` is an array.")
        return array[rows], [], None
    pixels = to_images(array[rows], layer)
    if color is None:
        return pixels, [], None
    if color not in array.obs:
        raise ValueError(
            f"`color` is {color!r}, which is no column of `adata.obs`; it has {listed(array.obs.columns)}."
        )
    (coloring,) = ColorSource(None, None, palette, None, None, None, False).colorings(array, color)
    values = array.obs[color].iloc[rows]
    if coloring.mappable is not None:
        return pixels, [f"{value:.3g}" for value in values], None
    names = [*coloring.categories, coloring.rest]
    return pixels, [names[code] for code in coloring.codes[rows]], coloring.rgba[rows]


def _rows(indices: Any, n_obs: int, n: int, seed: int | None) -> np.ndarray:
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


def _tiles(pixels: np.ndarray, channel: int | None, cmap: str | Colormap, vmin: float, vmax: float) -> np.ndarray:
    """Images as colours ``(n, h, w, 4)`` in [0, 1]."""
    unit = np.clip((pixels.astype(np.float64) - vmin) / (vmax - vmin), 0.0, 1.0)
    n_channels = unit.shape[3] if unit.ndim == 4 else 1
    if channel is not None:
        if not 0 <= channel < n_channels:
            raise ValueError(f"`channel` is {channel}; the images have {n_channels} channels, counted from 0.")
        unit = unit[..., channel] if unit.ndim == 4 else unit
    elif n_channels not in (1, 3, 4):
        raise ValueError(f"the images have {n_channels} channels, which are no colours; choose one with `channel`.")
    if unit.ndim == 3 or unit.shape[3] == 1:
        return mpl.colormaps.get_cmap(cmap)(unit.reshape(unit.shape[:3]))
    return unit if unit.shape[3] == 4 else np.concatenate([unit, np.ones_like(unit[..., :1])], axis=3)


def _mosaic(tiles: np.ndarray, columns: int, head: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """All images on one picture ``(height, width, 4)``, and the left upper corner ``(x, y)`` of each."""
    n, height, width, _ = tiles.shape
    gap = max(1, round(0.08 * width))
    columns, lines = min(columns, n), ceil(n / columns)
    step_x, step_y = width + gap, height + head + gap
    mosaic = np.zeros((lines * step_y - gap, columns * step_x - gap, 4))
    corners = [(i % columns * step_x, i // columns * step_y + head) for i in range(n)]
    for tile, (x, y) in zip(tiles, corners, strict=True):
        mosaic[y : y + height, x : x + width] = tile
    return mosaic, corners
