"""Panels side by side: their places on a figure, legends and colour bars beside them, and what is done in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scanpy import settings

from curvi.pl._color import MISSING, listed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.artist import Artist
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    from curvi.pl._color import Coloring

# Inches.
_GAP, _MARGIN, _HEAD = 0.1, 0.1, 0.3
# Grid lines and outlines, and what is inside them.
LINE, PAPER = "#6d7f91", "#f6f8fa"
LABELS = ("on data", "legend", None)


@dataclass(frozen=True)
class Panels:
    """Groups of panels on a figure; the panels of one group show the same colours from several sides.

    Attributes
    ----------
    figure
        What they are drawn on.
    groups
        The axes of each group, in rows from left to right.
    size
        Width and height of a panel in inches, or ``None`` on axes that the caller gave.
    n_columns
        Groups side by side.
    left, foot
        Inches to the left of each panel and below it for what is written there.
    """

    figure: Figure
    groups: list[list[Axes]]
    size: tuple[float, float] | None
    n_columns: int
    left: float
    foot: float

    def arrange(self, beside: list[Artist | None]) -> None:
        """Give all panels their size and what stands beside a group its room; nothing on axes of the caller."""
        if self.size is None:
            return
        width, height = self.size
        step = self.left + width + _GAP
        row_height = _HEAD + height + self.foot
        room = [0.0] * self.n_columns
        for i, (group, artist) in enumerate(zip(self.groups, beside, strict=True)):
            room[i % self.n_columns] = max(room[i % self.n_columns], _inches_beyond(group[-1], artist))
        starts = _MARGIN + np.cumsum([0.0, *(len(self.groups[0]) * step + extra for extra in room)])
        n_rows = -(-len(self.groups) // self.n_columns)
        total_width, total_height = float(starts[-1]) - _GAP + _MARGIN, n_rows * row_height + 2 * _MARGIN
        self.figure.set_size_inches(total_width, total_height)
        for i, group in enumerate(self.groups):
            row, column = divmod(i, self.n_columns)
            bottom = total_height - _MARGIN - (row + 1) * row_height + self.foot
            for j, ax in enumerate(group):
                start = float(starts[column]) + j * step + self.left
                ax.set_position(
                    (start / total_width, bottom / total_height, width / total_width, height / total_height)
                )

    def draw_beside(self, group: list[Axes], coloring: Coloring, labels: str | None) -> Artist | None:
        """What stands to the right of a group: a colour bar for numbers, a legend if asked for, or nothing."""
        if coloring.mappable is not None:
            return self.draw_scale(group, coloring.mappable)
        if labels != "legend" or not coloring.categories:
            return None
        entries = [*zip(coloring.categories, coloring.palette, strict=True)]
        if (coloring.codes < 0).any():
            entries.append((coloring.rest, MISSING))
        return group[-1].legend(
            handles=[_dot(name, color) for name, color in entries],
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            ncols=-(-len(entries) // 16),
            frameon=False,
            fontsize=8.5,
            handletextpad=0.2,
            columnspacing=1.0,
            labelspacing=0.45,
        )

    def draw_scale(self, group: list[Axes], mappable: ScalarMappable) -> Axes:
        """The colour bar to the right of a group."""
        if self.size is None:
            bar = self.figure.colorbar(mappable, ax=group, shrink=0.6, aspect=17, pad=0.03)
        else:
            inch = 1 / self.size[0]
            place = group[-1].inset_axes((1 + 0.11 * inch, 0.2, 0.13 * inch, 0.6))
            bar = self.figure.colorbar(mappable, cax=place)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, length=2, width=0.6)
        return bar.ax

    def set_title(self, group: list[Axes], title: str) -> None:
        """Write a title over the middle of a group, or over its first panel on axes of the caller."""
        middle = 0.5
        if self.size is not None:
            middle = 0.5 * (len(group) + (len(group) - 1) * (_GAP + self.left) / self.size[0])
        group[0].set_title(title, x=middle, fontsize=11, pad=4)

    def finish(
        self, *, show: bool | None, save: str | Path | None, return_fig: bool
    ) -> Figure | Axes | list[Axes] | None:
        """Save, show and return as the arguments ask; see :func:`curvi.pl.sphere`."""
        if save is not None:
            resolution = mpl.rcParams["savefig.dpi"]
            self.figure.savefig(save, dpi=200 if resolution == "figure" else resolution)
        show = (mpl.is_interactive() and settings.autoshow and not return_fig) if show is None else show
        if show:
            plt.show()
        elif save is not None and self.size is not None and not return_fig:
            # Otherwise pyplot would keep the figures of a loop alive.
            plt.close(self.figure)
        if return_fig:
            return self.figure
        axes = [ax for group in self.groups for ax in group]
        return None if show else axes[0] if len(axes) == 1 else axes


def _dot(name: str, color: str) -> Line2D:
    """What stands for a category in a legend."""
    return Line2D([], [], marker="o", linestyle="", markersize=6, color=color, label=name)


def new_panels(
    n_groups: int,
    n_views: int,
    ax: Axes | Sequence[Axes] | np.ndarray | None,
    *,
    size: tuple[float, float],
    left: float,
    foot: float,
) -> Panels:
    """Panels on a new figure of pyplot, or on the axes of the caller, which are as many and in reading order.

    Raises
    ------
    ValueError
        If the number of axes is not the number of panels.
    """
    if ax is None:
        # Panels have their true size from the start, so that what stands beside them can be measured.
        figure = plt.figure(figsize=size)
        n_columns = max(1, min(n_groups, int(18.5 / (left + size[0] + _GAP)))) if n_views == 1 else 1
        groups = [[figure.add_axes((0, 0, 1, 1)) for _ in range(n_views)] for _ in range(n_groups)]
        return Panels(figure, groups, size, n_columns, left, foot)
    given = [ax] if isinstance(ax, Axes) else list(np.ravel(np.asarray(ax, dtype=object)))
    if len(given) != n_groups * n_views:
        raise ValueError(
            f"`ax` has {len(given)} axes; expected {n_groups * n_views}, one for each of {n_views} views of {n_groups} "
            "quantities."
        )
    groups = [given[i * n_views : (i + 1) * n_views] for i in range(n_groups)]
    return Panels(given[0].figure.canvas.figure, groups, None, 1, left, foot)


def check_labels(labels: str | None) -> None:
    """Raise unless ``labels`` is one of the known places."""
    if labels not in LABELS:
        raise ValueError(f"`labels` is {labels!r}; expected one of {listed(LABELS)}.")


def checked_titles(title: str | Sequence[str] | None, colorings: list[Coloring]) -> list[str]:
    """One title for each colouring: those given, or the names of the columns and genes."""
    if title is None:
        return [coloring.title for coloring in colorings]
    titles = [title] if isinstance(title, str) else list(title)
    if len(titles) != len(colorings):
        raise ValueError(f"`title` has {len(titles)} titles; `color` has {len(colorings)} keys.")
    return titles


def draw_frame(ax: Axes) -> None:
    """Axes of flat pictures, in the colours of the globe."""
    ax.set_facecolor(PAPER)
    ax.grid(color=LINE, alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left", "bottom"]].set_visible(False)
    ax.tick_params(which="both", labelsize=8, length=0, colors="#66727e")


def draw_caption(ax: Axes, x: float, text: str) -> None:
    """Write below a picture, around ``x`` in [0, 1] of its width, from where it is seen."""
    ax.text(x, 0.0, text, transform=ax.transAxes, ha="center", va="top", fontsize=7, color="#8a949e")


def _inches_beyond(ax: Axes, artist: Artist | None) -> float:
    """How far something beside a panel reaches to the right of it."""
    if artist is None:
        return 0.0
    box = artist.get_tightbbox()
    return 0.0 if box is None else max(0.0, (box.x1 - ax.get_window_extent().x1) / ax.figure.dpi + 0.05)
