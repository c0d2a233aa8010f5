"""Confusion matrices side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps

from curvi.pl._panels import new_panels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.metrics import ReconstructionConfusion

_INK = "#3f4a55"
# Inches of a letter in a name at the size of the class names.
_LETTER = 0.068


def confusion(
    result: ReconstructionConfusion | Mapping[str, pd.DataFrame],
    names: Sequence[str] | None = None,
    *,
    cmap: str | Colormap = "Blues",
    size: float = 0.6,
    title: str | Sequence[str] | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | Axes | list[Axes] | None:
    """Draw confusion matrices side by side: true classes downwards, predicted ones to the right.

    The counts are printed; the colour of a field is its share of its line, so that rare classes are seen as well as
    frequent ones. Below each matrix stand its accuracy and the mean of its classes' recalls.

    Parameters
    ----------
    result
        What :func:`curvi.metrics.reconstruction_confusion` found, or tables of counts by name, whose lines are the true
        classes and whose columns are the same classes, as predicted.
    names
        Which matrices, in this order; by default all.
    cmap
        Of the shares, from 0 to 1.
    size
        Inches of a field.
    title
        One title a matrix, in the place of its name.
    ax
        Axes to draw on, one a matrix.
    show, save, return_fig
        As in :func:`curvi.pl.sphere`.

    Returns
    -------
    The figure with ``return_fig``; otherwise the axes (a list of them if there are several), or ``None`` if the figure
    was shown.

    Raises
    ------
    ValueError
        If there is no such matrix, a table is not square with the same classes on both sides or has negative or no
        counts, or the titles or axes are not as many as the matrices.

    Examples
    --------
    >>> import pandas as pd
    >>> import curvi
    >>> classes = ["red cell", "platelet"]
    >>> counts = pd.DataFrame([[95, 5], [1, 9]], index=classes, columns=classes)
    >>> ax = curvi.pl.confusion({"originals": counts}, show=False)
    >>> [text.get_text() for text in ax.texts], ax.get_title()
    (['95', '5', '1', '9'], 'originals')
    """
    tables = dict(result if isinstance(result, Mapping) else result.matrices)
    chosen = list(tables) if names is None else list(names)
    unknown = [name for name in chosen if name not in tables]
    if unknown or not chosen:
        known = ", ".join(map(repr, tables)) or "none"
        raise ValueError(f"`names` is {names!r}; `result` has {known}.")
    for name in chosen:
        _check(name, tables[name])
    titles = chosen if title is None else [title] if isinstance(title, str) else list(title)
    if len(titles) != len(chosen):
        raise ValueError(f"`title` has {len(titles)} titles; {len(chosen)} matrices are drawn.")
    n = max(len(tables[name]) for name in chosen)
    longest = max(len(str(label)) for name in chosen for label in tables[name].index)
    width = max(n * size, 1.9)
    flat = longest * _LETTER < width / n
    panels = new_panels(
        len(chosen),
        1,
        ax,
        size=(width, width),
        left=0.35 + longest * _LETTER,
        foot=0.62 if flat else 0.55 + longest * _LETTER,
    )
    for (panel,), name, heading in zip(panels.groups, chosen, titles, strict=True):
        _draw(panel, tables[name], cmap, 0 if flat else 90)
        panels.set_title([panel], heading)
    panels.arrange([None] * len(chosen))
    return panels.finish(show=show, save=save, return_fig=return_fig)


def _check(name: str, table: pd.DataFrame) -> None:
    if list(table.index) != list(table.columns) or not len(table):
        raise ValueError(f"the table {name!r} needs the same classes, in the same order, in its lines and columns.")
    counts = table.to_numpy()
    if not np.isfinite(counts).all() or (counts < 0).any() or counts.sum() == 0:
        raise ValueError(f"the table {name!r} needs counts: numbers of at least 0, not all of them 0.")


def _draw(ax: Axes, table: pd.DataFrame, cmap: str | Colormap, rotation: float) -> None:
    """One matrix, with its counts and, below it, what they come to."""
    counts = table.to_numpy()
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    colors = colormaps.get_cmap(cmap)
    ax.imshow(share, cmap=colors, vmin=0, vmax=1, aspect="equal")
    numbers = f"{counts.max():g}"
    for (i, j), count in np.ndenumerate(counts):
        red, green, blue, _ = colors(share[i, j])
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
        ax.text(
            j,
            i,
            f"{count:g}",
            ha="center",
            va="center",
            fontsize=10 if len(numbers) < 5 and len(counts) < 8 else 8,
            color="white" if dark else _INK if count else "#b8c0c8",
        )
    places = range(len(counts))
    ax.set_xticks(places, [str(name) for name in table.columns], rotation=rotation)
    ax.set_yticks(places, [str(name) for name in table.index])
    ax.tick_params(length=0, labelsize=8.5, labelcolor=_INK)
    ax.spines[:].set_color("#d5dbe1")
    recall = np.diag(share)[total[:, 0] > 0].mean()
    accuracy = np.trace(counts) / counts.sum()
    ax.set_ylabel("true", fontsize=8.5, color=_INK)
    ax.set_xlabel(
        f"predicted\naccuracy {accuracy:.3f}, balanced {recall:.3f}", fontsize=8.5, color=_INK, linespacing=1.5
    )
