"""Names of categories written over their points, moved apart where they would overlap."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patheffects import withStroke

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation


def label_size(n_labels: int, fontsize: float | str | None) -> float | str:
    """The font size asked for, or one that is smaller for many labels."""
    return fontsize if fontsize is not None else (9 if n_labels <= 14 else 7)


def draw_labels(
    ax: Axes,
    names: Sequence[str],
    xy: np.ndarray,
    colors: Sequence[str],
    *,
    fontsize: float | str,
    zorder: float,
) -> list[Annotation]:
    """Write each name at its point of ``xy (n, 2)``, in data coordinates; the final layout must be set.

    Names are written in a dark shade of their ``colors``. One that would overlap another is moved beside its point, and
    a thin line connects them.
    """
    labels = [
        ax.annotate(
            fill(name, 18, break_long_words=False, break_on_hyphens=False),
            point,
            point,
            ha="center",
            va="center",
            fontsize=fontsize,
            linespacing=0.95,
            color=0.4 * np.array(to_rgb(color)),
            zorder=zorder,
            annotation_clip=False,
            path_effects=[withStroke(linewidth=2.5, foreground="white", alpha=0.85)],
            arrowprops={"arrowstyle": "-", "color": "#333333", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0},
        )
        for name, point, color in zip(names, xy, colors, strict=True)
    ]
    if not labels:
        return labels
    ax.apply_aspect()
    anchors = ax.transData.transform(xy)
    boxes = [label.get_window_extent() for label in labels]
    sizes = np.array([[box.width, box.height] for box in boxes]) + 2.0
    frame = ax.get_window_extent()
    centres = spread_out(anchors, sizes, np.array([[frame.x0, frame.y0], [frame.x1, frame.y1]]))
    for label, anchor, centre, extent in zip(labels, anchors, centres, sizes, strict=True):
        x, y = ax.transData.inverted().transform(centre)
        label.set_position((float(x), float(y)))
        outside = (np.abs(centre - anchor) > extent / 2 + 0.05 * ax.figure.dpi).any()
        if label.arrow_patch is not None:
            label.arrow_patch.set_visible(bool(outside))
    return labels


def spread_out(anchors: np.ndarray, sizes: np.ndarray, frame: np.ndarray, n_steps: int = 600) -> np.ndarray:
    """Centres `(n, 2)` of boxes of ``sizes (n, 2)`` near ``anchors (n, 2)`` that do not overlap, if there is room.

    Boxes that overlap push each other apart along the axis on which they overlap less, a weak spring pulls each back to
    its anchor, and ``frame (2, 2)``, the lower left and upper right corner, holds them in. A box that touches no other
    stays on its anchor.
    """
    low, high = frame[0] + sizes / 2, frame[1] - sizes / 2
    low, high = np.minimum(low, high), np.maximum(low, high)
    centres = anchors.astype(float).clip(low, high)
    room = (sizes[:, None] + sizes[None]) / 2
    # Of two boxes at the same place the first goes up.
    before = np.sign(np.arange(len(anchors))[None, :] - np.arange(len(anchors))[:, None])
    for step in range(n_steps):
        apart = centres[:, None] - centres[None]
        overlap = room - np.abs(apart)
        touching = (overlap > 0).all(-1)
        np.fill_diagonal(touching, val=False)
        if step and not touching.any():
            break
        side = np.where(apart == 0, before[..., None], np.sign(apart))
        vertical = overlap[..., 1] <= overlap[..., 0]
        axis = np.stack([~vertical, vertical], axis=-1)
        push = np.where(touching[..., None] & axis, 0.5 * overlap * side, 0.0).sum(axis=1)
        # The springs let go in time for the pushes to settle.
        pull = 0.05 * max(0.0, 1 - 3 * step / n_steps) * (anchors - centres)
        centres = (centres + 0.7 * push + pull).clip(low, high)
    return centres
