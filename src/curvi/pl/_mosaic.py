"""Images side by side on one picture, with what is written above and beside them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath

from curvi.pl._panels import new_panels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

    from curvi.pl._panels import Panels

# Inches for a line of text above an image.
_HEAD = 0.16
MOST_COLUMNS = 12
_FONT = 7.0


@dataclass(frozen=True)
class ImageStyle:
    """How numbers become colours: the arguments that all pictures of images share.

    Attributes
    ----------
    channel
        The only channel to draw; None for all.
    cmap
        Colours of images of one channel.
    vmin, vmax
        The values of black and white.
    size
        Inches of the longer side of each image.
    """

    channel: int | None
    cmap: str | Colormap
    vmin: float
    vmax: float
    size: float

    def __post_init__(self) -> None:
        """Raise unless black is below white and the size is positive."""
        if not self.vmin < self.vmax:
            raise ValueError(f"`vmin` is {self.vmin} and `vmax` is {self.vmax}; black must be below white.")
        if not self.size > 0:
            raise ValueError(f"`size` is {self.size}; expected inches above 0.")

    def tiles(self, pixels: np.ndarray) -> np.ndarray:
        """Images `(n, h, w)` or `(n, h, w, c)` as colours `(n, h, w, 4)` in [0, 1]."""
        unit = np.clip((pixels.astype(np.float64) - self.vmin) / (self.vmax - self.vmin), 0.0, 1.0)
        n_channels = unit.shape[3] if unit.ndim == 4 else 1
        if self.channel is not None:
            if not 0 <= self.channel < n_channels:
                raise ValueError(f"`channel` is {self.channel}; the images have {n_channels} channels, counted from 0.")
            unit = unit[..., self.channel] if unit.ndim == 4 else unit
        elif n_channels not in (1, 3, 4):
            raise ValueError(f"the images have {n_channels} channels, which are no colours; choose one with `channel`.")
        if unit.ndim == 3 or unit.shape[3] == 1:
            return mpl.colormaps.get_cmap(self.cmap)(unit.reshape(unit.shape[:3]))
        return unit if unit.shape[3] == 4 else np.concatenate([unit, np.ones_like(unit[..., :1])], axis=3)


@dataclass(frozen=True)
class Captions:
    """What stands around images.

    Attributes
    ----------
    above
        What is written above each image, in their order; fewer where only the first ones have a caption.
    beside
        What is written to the left of each line of images.
    frames
        The colour of the frame of each, `(n, 4)`; None for no frames.
    first_line
        Whether only the first line of images has room for what is written above.
    """

    above: Sequence[str] = ()
    beside: Sequence[str] = ()
    frames: np.ndarray | None = None
    first_line: bool = False


def draw_mosaic(
    pixels: np.ndarray,
    style: ImageStyle,
    captions: Captions,
    *,
    n_columns: int | None,
    ax: Axes | None,
    title: str | None,
) -> Panels:
    """Images `(n, h, w)` or `(n, h, w, c)` in reading order on one panel.

    Raises
    ------
    ValueError
        If ``n_columns`` is below 1, or the images have no colours.
    """
    tiles = style.tiles(pixels)
    columns = min(MOST_COLUMNS, ceil(sqrt(len(tiles)))) if n_columns is None else n_columns
    if columns < 1:
        raise ValueError(f"`n_columns` is {n_columns}; expected at least 1.")
    inch = max(tiles.shape[1:3]) / style.size
    n_lines = max((text.count("\n") + 1 for text in captions.above), default=0)
    mosaic, corners = _mosaic(tiles, columns, ceil(n_lines * _HEAD * inch), captions.first_line)
    left = max((_width(text) for text in captions.beside), default=-0.08) + 0.08
    panels = new_panels(1, 1, ax, size=(mosaic.shape[1] / inch, mosaic.shape[0] / inch), left=left, foot=0.0)
    ax = panels.groups[0][0]
    ax.imshow(mosaic, interpolation="nearest")
    ax.set_axis_off()
    height, width = tiles.shape[1:3]
    font: dict[str, Any] = {"fontsize": _FONT, "clip_on": False}
    for text, (x, y) in zip(captions.above, corners, strict=False):
        ax.text(x + width / 2 - 0.5, y - 0.5 - 0.02 * inch, text, ha="center", va="bottom", **font)
    for text, (_, y) in zip(captions.beside, corners[::columns], strict=False):
        ax.text(-0.5 - 0.06 * inch, y + height / 2 - 0.5, text, ha="right", va="center", **font)
    if captions.frames is not None:
        boxes = [Rectangle((x - 0.5, y - 0.5), width, height) for x, y in corners]
        lines = PatchCollection(boxes, facecolor="none", edgecolor=captions.frames, linewidth=1.2, clip_on=False)
        ax.add_collection(lines)
    panels.arrange([None])
    if title is not None:
        panels.set_title(panels.groups[0], title)
    return panels


def _width(text: str) -> float:
    """How many inches wide a caption is."""
    return float(TextPath((0, 0), text, size=_FONT).get_extents().x1) / 72 if text.strip() else 0.0


def _mosaic(tiles: np.ndarray, columns: int, head: int, first_line: bool) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """All images on one picture ``(height, width, 4)``, and the left upper corner ``(x, y)`` of each."""
    n, height, width, _ = tiles.shape
    gap = max(1, round(0.08 * width))
    columns, lines = min(columns, n), ceil(n / columns)
    step_x, step_y = width + gap, height + gap + (0 if first_line else head)
    mosaic = np.zeros((lines * step_y - gap + (head if first_line else 0), columns * step_x - gap, 4))
    corners = [(i % columns * step_x, i // columns * step_y + head) for i in range(n)]
    for tile, (x, y) in zip(tiles, corners, strict=True):
        mosaic[y : y + height, x : x + width] = tile
    return mosaic, corners
