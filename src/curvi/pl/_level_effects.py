"""What each batch level explains, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from curvi.pl._color import listed
from curvi.pl._panels import draw_frame, new_panels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = {"observed": "#8a97a5", "decoded": "#d1603d", "corrected": "#3b6ea5", "latent": "#4f9d69"}
_CALLED = {
    "observed": "data",
    "decoded": "decoded, before correction",
    "corrected": "decoded, after correction",
    "latent": "latent space",
}
# Inches: a bar, the space between levels, a letter of a level's name.
_BAR, _SEAM, _LETTER = 0.15, 0.16, 0.07


def level_effects(
    effects: pd.DataFrame,
    keys: Sequence[str] = ("observed", "decoded", "corrected", "latent"),
    *,
    title: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | Axes | list[Axes] | None:
    """Draw which share of the variance each batch level explains, before the correction and after it.

    The full colour is the unique share, what no other level explains; the pale rest of a bar is shared with others.
    Shares below 0, less than chance, are drawn as 0; where a share is missing, there is no bar.

    Parameters
    ----------
    effects
        From :meth:`curvi.CurviVAE.get_level_effects`, a row a level.
    keys
        Which shares, from top to bottom.
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
        If the table has no such share, or no rows.

    Examples
    --------
    >>> import pandas as pd
    >>> import curvi
    >>> shares = {"decoded": 0.4, "decoded_unique": 0.3, "corrected": 0.02, "corrected_unique": 0.01}
    >>> effects = pd.DataFrame(shares, index=["donor"])
    >>> ax = curvi.pl.level_effects(effects, ["decoded", "corrected"], show=False)
    >>> [label.get_text() for label in ax.get_yticklabels()], len(ax.patches)
    (['donor'], 4)
    """
    chosen = list(keys)
    unknown = [key for key in chosen if key not in _CALLED or not {key, f"{key}_unique"} <= set(effects.columns)]
    if unknown or not chosen:
        known = [key for key in _CALLED if {key, f"{key}_unique"} <= set(effects.columns)]
        raise ValueError(f"`keys` is {listed(chosen)}; the shares in `effects` are {listed(known)}.")
    if not len(effects):
        raise ValueError("`effects` has no rows; there must be at least one level.")
    names = [str(name) for name in effects.index]
    step = len(chosen) * _BAR + _SEAM
    left = 0.15 + _LETTER * max(map(len, names))
    panels = new_panels(1, 1, ax, size=(3.4, len(names) * step), left=left, foot=0.45)
    (panel,) = panels.groups[0]
    draw_frame(panel)
    panel.grid(visible=False, axis="y")
    middle = np.arange(len(names)) * step
    for i, key in enumerate(chosen):
        at = middle + (i - (len(chosen) - 1) / 2) * _BAR
        whole = effects[key].to_numpy(dtype=float).clip(0)
        own = np.minimum(effects[f"{key}_unique"].to_numpy(dtype=float).clip(0), whole)
        panel.barh(at, whole, height=0.85 * _BAR, color=_COLORS[key], alpha=0.35)
        panel.barh(at, own, height=0.85 * _BAR, color=_COLORS[key], label=_CALLED[key])
    panel.set(yticks=middle, yticklabels=names, ylim=(middle[-1] + step / 2, middle[0] - step / 2), xlim=(0, None))
    panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    panel.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    panel.set_xlabel("share of the variance", fontsize=9)
    panels.set_title([panel], title or "")
    legend = panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8.5, handlelength=1.2)
    panels.arrange([legend])
    return panels.finish(show=show, save=save, return_fig=return_fig)
