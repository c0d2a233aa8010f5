"""What two dimensions of a latent space decode to, as a map of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.image import AxesImage
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator
from scipy.spatial.distance import cdist

from curvi.pl._decoded import decoded_images
from curvi.pl._mosaic import ImageStyle
from curvi.pl._panels import LINE, PAPER, draw_frame, new_panels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.explore import Grid
    from curvi.model import CurviVAE

# Inches for the numbers and the name of an axis.
_LEFT, _FOOT = 0.5, 0.42
# Points.
_SEAM = 1.2
# A disk is as wide as this many images in a table.
_DISK = 16


def manifold_grid(
    model: CurviVAE,
    grid: Grid,
    *,
    batch: Mapping[str, object] | None = None,
    continuous: Mapping[str, object] | None = None,
    channel: int | None = None,
    cmap: str | Colormap = "gray",
    vmin: float = 0.0,
    vmax: float = 1.0,
    size: float = 0.35,
    title: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | Axes | list[Axes] | None:
    """Draw the expected images at points that cover two dimensions, each where its point stands, y upwards.

    A grid with rows and columns is a mosaic, whose axes are linear between the middles of images. In the
    Poincare disk images get smaller towards the rim, as all lengths do there; none covers another.

    Parameters
    ----------
    model
        A model trained on images.
    grid
        The points and their positions, from :func:`curvi.explore.grid`.
    batch, continuous
        The category of each batch level and the value of each continuous covariate, as in
        :meth:`curvi.CurviVAE.decode`.
    channel, cmap, vmin, vmax
        As in :func:`curvi.pl.images`.
    size
        Inches of the longer side of each image of a mosaic; a disk is 16 times as wide.
    title, ax, show, save, return_fig
        As in :func:`curvi.pl.images`.

    Returns
    -------
    The figure with ``return_fig``; otherwise the axes, or ``None`` if the figure was shown.

    Raises
    ------
    ValueError
        If the model was not trained on images, the points do not lie on its manifold, a level or covariate of it is
        not given, or an argument is out of its range.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.digits()
    >>> curvi.CurviVAE.setup_anndata(adata)
    >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, likelihood="bernoulli")
    >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    >>> ax = curvi.pl.manifold_grid(model, curvi.explore.grid(model.manifold, n=5), show=False)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('longitude', 'sine of latitude')
    """
    style = ImageStyle(channel, cmap, vmin, vmax, size)
    tiles = style.tiles(decoded_images(model, grid.points, batch, continuous))
    height, width = tiles.shape[1:3]
    if grid.shape is None:
        extent = (_DISK * size, _DISK * size)
    else:
        lines, columns = grid.shape
        inch = max(height, width) / size
        extent = (columns * width / inch, lines * height / inch)
    panels = new_panels(1, 1, ax, size=extent, left=_LEFT, foot=_FOOT)
    ax = panels.groups[0][0]
    draw_frame(ax)
    ax.grid(visible=False)
    if grid.shape is None:
        _draw_disk(ax, tiles, grid.positions)
    else:
        _draw_table(ax, tiles, grid.positions, grid.shape)
    ax.set_xlabel(grid.axes[0], fontsize=9)
    ax.set_ylabel(grid.axes[1], fontsize=9)
    panels.arrange([None])
    if title is not None:
        panels.set_title(panels.groups[0], title)
    return panels.finish(show=show, save=save, return_fig=return_fig)


def _draw_table(ax: Axes, tiles: np.ndarray, positions: np.ndarray, shape: tuple[int, int]) -> None:
    """Images `(n, h, w, 4)` row by row from the upper left, with the numbers of ``positions (n, 2)`` along the axes."""
    lines, columns = shape
    height, width = tiles.shape[1:3]
    rows = tiles.reshape(lines, columns, height, width, 4).swapaxes(1, 2)
    # One unit of the axes is an image, whose middles have whole numbers from the lower left.
    ax.imshow(
        rows.reshape(lines * height, columns * width, 4),
        extent=(-0.5, columns - 0.5, -0.5, lines - 0.5),
        aspect=height / width,
        interpolation="nearest",
    )
    # Seams of paper, as thin at any size, keep apart what black margins do not.
    ax.vlines(np.arange(1, columns) - 0.5, -0.5, lines - 0.5, color="white", linewidth=_SEAM)
    ax.hlines(np.arange(1, lines) - 0.5, -0.5, columns - 0.5, color="white", linewidth=_SEAM)
    ticks, names = _ticks(positions.reshape(lines, columns, 2)[0, :, 0])
    ax.set_xticks(ticks, names)
    ticks, names = _ticks(positions.reshape(lines, columns, 2)[::-1, 0, 1])
    ax.set_yticks(ticks, names)


def _ticks(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Where round numbers stand among upward ``values (n,)`` at 0, 1, ..., and what to write there."""
    if len(values) == 1:
        return np.zeros(1), [_written(values[0])]
    # The outer halves of the first and the last image are as wide as half of the step beside them.
    first, last = 1.5 * values[[0, -1]] - 0.5 * values[[1, -2]]
    known = np.array([first, *values, last])
    nice = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(first, last)
    nice = nice[(nice > first - 1e-9) & (nice < last + 1e-9)]
    at = np.array([-0.5, *range(len(values)), len(values) - 0.5])
    return np.interp(nice, known, at), [_written(value) for value in nice]


def _written(value: float) -> str:
    """A number as matplotlib writes it."""
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def _draw_disk(ax: Axes, tiles: np.ndarray, positions: np.ndarray) -> None:
    """Images `(n, h, w, 4)` around their ``positions (n, 2)`` in the unit disk, none over another."""
    height, width = tiles.shape[1:3]
    half = 0.5 * _sides(positions)[:, None] * np.array([width, height]) / max(height, width)
    ax.add_patch(Circle((0, 0), 1, facecolor=PAPER, edgecolor=LINE, linewidth=1.1, zorder=0.5))
    for tile, (left, bottom), (right, top) in zip(tiles, positions - half, positions + half, strict=True):
        image = AxesImage(ax, extent=(left, right, bottom, top), interpolation="nearest", origin="upper", zorder=1.0)
        image.set_data(tile)
        ax.add_image(image)
    ax.set(xticks=[-1, -0.5, 0, 0.5, 1], yticks=[-1, -0.5, 0, 0.5, 1])
    ax.set(xlim=(-1.01, 1.01), ylim=(-1.01, 1.01), aspect="equal", facecolor="none")


def _sides(positions: np.ndarray) -> np.ndarray:
    """How large squares around ``positions (n, 2)`` in the unit disk are, `(n,)`: about the same in the plane.

    Two squares do not overlap where half their sides are together at most the larger of both distances.
    """
    # How long a short piece of the hyperbolic plane is drawn.
    scale = 1 - (positions**2).sum(axis=1)
    if len(positions) == 1:
        return scale
    apart = cdist(positions, positions, "chebyshev")
    np.fill_diagonal(apart, np.inf)
    nearest = apart.min(axis=1)
    most = np.quantile(nearest / scale, 0.75) * scale
    sides = np.minimum(nearest, most)
    # Squares of their nearest distance leave room beside smaller ones.
    for i in range(len(sides)):
        sides[i] = min(most[i], (2 * apart[i] - sides).min())
    return sides
