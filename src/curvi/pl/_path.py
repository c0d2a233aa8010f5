"""A path over the cells of the plane that it is seen in, and below it what its points decode to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke

from curvi.pl._color import ColorSource
from curvi.pl._decoded import decoded_images
from curvi.pl._flat import LINES, draw_flat
from curvi.pl._mosaic import MOST_COLUMNS, Captions, ImageStyle, draw_mosaic
from curvi.pl._panels import check_labels, new_panels
from curvi.pl._scene import finely, scene_of_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes

    from curvi.explore import Path
    from curvi.model import CurviVAE
    from curvi.pl._color import Palette
    from curvi.pl._panels import Panels
    from curvi.pl._places import Place
    from curvi.pl._scene import Scene

# Inches between the cells and the images.
_GAP = 0.1
_INK = "#222222"
# Points: how wide dots and circles are, how long an arrow is.
_DOT, _NUMBER, _ARROW = 4.5, 11.0, 9.0
_HALO = [withStroke(linewidth=3.2, foreground="white", alpha=0.9)]


@dataclass(frozen=True)
class Backdrop:
    """The cells that a path is drawn over, and the plane that they are seen in.

    Attributes
    ----------
    adata
        The cells; None for those of the model.
    color, groups, palette, labels
        How they are coloured and named.
    basis
        Key of ``.obsm`` for their points.
    basis_2d
        Key of ``.obsm`` for the picture that the path was chosen in; None for none.
    dims
        The two dimensions of a latent space of more; None for those in which the path goes farthest.
    base
        What is in the middle; None for what suits the manifold.
    alpha
        Opacity of the cells.
    """

    adata: AnnData | None
    color: str | None
    groups: str | Sequence[str] | None
    palette: Palette | None
    labels: str | None
    basis: str
    basis_2d: str | None
    dims: tuple[int, int] | None
    base: Place | None
    alpha: float

    def draw(self, model: CurviVAE, path: Path, ax: Axes | None, title: str | None) -> tuple[Panels, Scene]:
        """Draw the cells on one panel."""
        check_labels(self.labels)
        cells = model.adata if self.adata is None else self.adata
        if cells is None:
            raise ValueError("`adata` is None and the model was loaded without data; pass `adata`.")
        scene = scene_of_path(cells, path, basis=self.basis, basis_2d=self.basis_2d, dims=self.dims, base=self.base)
        source = ColorSource(None, None, self.palette, None, None, None, True, self.groups)
        if self.color is not None and not isinstance(self.color, str):
            raise ValueError(f"`color` is {self.color!r}; expected one column or gene.")
        colorings = source.colorings(cells, self.color)
        panels = new_panels(1, 1, ax, size=scene.size, left=scene.left, foot=scene.foot)
        draw_flat(
            panels,
            scene.background,
            scene.xy,
            colorings,
            [colorings[0].title if title is None else title],
            [scene.means(coloring) for coloring in colorings],
            labels=self.labels,
            size=None,
            alpha=self.alpha,
            fontsize=None,
        )
        return panels, scene


def draw_path(
    model: CurviVAE,
    path: Path,
    backdrop: Backdrop,
    style: ImageStyle,
    *,
    joined: bool,
    batch: Mapping[str, object] | None,
    continuous: Mapping[str, object] | None,
    n_columns: int | None,
    title: str | None,
    ax: Sequence[Axes] | None,
) -> Panels:
    """Draw cells, the path over them as a line or as numbered points, and its images below.

    Raises
    ------
    ValueError
        If the path does not belong to the picture or the model, or ``ax`` is not two axes.
    """
    if ax is not None and np.size(np.asarray(ax, dtype=object)) != 2:
        raise ValueError(f"`ax` is {ax!r}; expected two axes, for the cells and for the images.")
    if backdrop.basis_2d is not None and path.positions is None:
        raise ValueError(
            f"`basis_2d` is {backdrop.basis_2d!r}, but `path` was not chosen in a picture; pass `basis_2d` to "
            "`curvi.explore` too, or leave it out here."
        )
    if backdrop.basis_2d is None and path.positions is not None:
        raise ValueError("`path` was chosen in a picture; pass the `basis_2d` that it was chosen in.")
    pixels = decoded_images(model, path.points, batch, continuous)
    over, below = (None, None) if ax is None else np.ravel(np.asarray(ax, dtype=object))
    panels, scene = backdrop.draw(model, path, over, title)
    (panel,) = panels.groups[0]
    limits = panel.axis()
    at = scene.place(path.points) if path.positions is None else path.positions
    if path.positions is not None and path.rows is not None:
        _draw_ways(panel, path.positions, scene.xy[path.rows])
    if joined:
        _draw_line(panel, scene.pieces(finely(path) if path.positions is None else path.positions), at)
    else:
        _draw_numbers(panel, at)
    if panel.get_aspect() != "auto" and not panel.axison:
        # Maps and disks keep their limits.
        panel.axis(limits)
    captions = Captions(path.names if joined else [f"{i}: {name}" for i, name in enumerate(path.names, 1)])
    strip = _draw_strip(panels, pixels, captions, style, n_columns, below)
    return replace(panels, groups=[[panel, strip]])


def _draw_line(ax: Axes, pieces: list[np.ndarray], at: np.ndarray) -> None:
    """A line with an arrow head at its end, and a dot at each of the points ``at (n, 2)``."""
    ax.add_collection(
        LineCollection(pieces, colors=_INK, linewidths=1.4, zorder=LINES + 0.2, path_effects=_HALO), autolim=True
    )
    ax.plot(*at.T, "o", color=_INK, markersize=_DOT, markeredgecolor="white", markeredgewidth=0.7, zorder=LINES + 0.4)
    end = pieces[-1]
    before = np.flatnonzero(np.linalg.norm(end - end[-1], axis=1) > 0)
    if len(before):
        ahead = (end[-1] - end[before[-1]]) / np.linalg.norm(end[-1] - end[before[-1]])
        arrow = {"arrowstyle": "-|>,head_length=0.55,head_width=0.26", "color": _INK, "shrinkA": 0, "shrinkB": 0}
        # Long enough for the head to point the right way, however short the last step is.
        ax.annotate(
            "",
            end[-1],
            -_ARROW * ahead,
            textcoords="offset points",
            arrowprops=arrow,
            zorder=LINES + 0.5,
            annotation_clip=False,
        )


def _draw_numbers(ax: Axes, at: np.ndarray) -> None:
    """The numbers of points ``at (n, 2)``, from 1, in circles."""
    ax.plot(
        *at.T,
        "o",
        color="white",
        markersize=_NUMBER,
        markeredgecolor=_INK,
        markeredgewidth=1.0,
        zorder=LINES + 3,
        clip_on=False,
    )
    for i, (x, y) in enumerate(at):
        ax.text(x, y, str(i + 1), ha="center", va="center_baseline", fontsize=6.5, color=_INK, zorder=LINES + 4)


def _draw_ways(ax: Axes, positions: np.ndarray, cells: np.ndarray) -> None:
    """Thin lines from what was asked for, ``positions (n, 2)``, to rings around the nearest cells ``(n, 2)``."""
    ways = LineCollection([*np.stack([positions, cells], axis=1)], colors=_INK, linewidths=0.6, zorder=LINES)
    ax.add_collection(ways, autolim=True)
    ax.plot(*cells.T, "o", color=_INK, fillstyle="none", markersize=6, markeredgewidth=0.9, zorder=LINES + 0.1)


def _draw_strip(
    panels: Panels, pixels: np.ndarray, captions: Captions, style: ImageStyle, n_columns: int | None, ax: Axes | None
) -> Axes:
    """Images `(n, h, w, c)` below everything else on the figure, which grows, or on axes of the caller."""
    figure = panels.figure
    columns = min(len(pixels), MOST_COLUMNS) if n_columns is None else n_columns
    strip = figure.add_axes((0, 0, 1, 1)) if ax is None else ax
    draw_mosaic(pixels, style, captions, n_columns=columns, ax=strip, title=None)
    if ax is not None:
        return strip
    inch = max(pixels.shape[1:3]) / style.size
    # The extent of an image is that of its pixels, from the first to the last, y downwards.
    left, right, bottom, top = strip.images[0].get_extent()
    width, height = (right - left) / inch, (bottom - top) / inch
    old_width, old_height = figure.get_size_inches()
    new_width, new_height = max(old_width, width + 2 * _GAP), old_height + height + _GAP
    for drawn in figure.axes:
        x, y, w, h = drawn.get_position(original=True).bounds
        left = x * old_width + (new_width - old_width) / 2
        place = (left, y * old_height + height + _GAP, w * old_width, h * old_height)
        if drawn is strip:
            place = ((new_width - width) / 2, _GAP, width, height)
        drawn.set_position(np.array(place) / np.tile([new_width, new_height], 2))
    figure.set_size_inches(new_width, new_height)
    return strip
