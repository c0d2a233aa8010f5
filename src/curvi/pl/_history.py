"""The course of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from curvi.pl._color import listed
from curvi.pl._panels import draw_frame, new_panels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from curvi.model import CurviVAE

_COLORS = {"train": "#3b6ea5", "validation": "#d1603d", "test": "#4f9d69", "": "#4a5561"}
_TITLES = {"elbo": "negative ELBO", "kl_local": "KL divergence", "kl_weight": "weight of the KL divergence"}
_FIRST = ("elbo", "reconstruction_loss", "kl_local")
SCALES = ("linear", "log")


def history(
    model: CurviVAE,
    keys: str | Sequence[str] | None = None,
    *,
    scale: str = "linear",
    title: str | Sequence[str] | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | Axes | list[Axes] | None:
    """Draw how losses went down during training, with training and validation cells in one panel.

    A ring marks the best epoch of each loss on the validation cells.

    Parameters
    ----------
    model
        A trained model, or anything with a ``history``: a mapping from names to data frames of one column, with epochs
        or steps as their index, as all models of scvi-tools have it.
    keys
        Quantities, such as ``"elbo"`` for the curves ``elbo_train`` and ``elbo_validation`` (either of their names
        stands for both); by default all that changed, except the loss itself where the ELBO is there.
    scale
        Of the vertical axis, ``"linear"`` or ``"log"``.
    title
        One title a panel, in the place of its name.
    ax
        Axes to draw on, one a quantity.
    show, save, return_fig
        As in :func:`curvi.pl.sphere`.

    Returns
    -------
    The figure with ``return_fig``; otherwise the axes (a list of them if there are several), or ``None`` if the figure
    was shown.

    Raises
    ------
    ValueError
        If the model has no history, a key is unknown, the scale is unknown, or a curve has negative values on a
        logarithmic scale.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import pandas as pd
    >>> import curvi
    >>> epochs = pd.RangeIndex(3, name="epoch")
    >>> curves = {
    ...     f"elbo_{cells}": pd.DataFrame({f"elbo_{cells}": [9.0, 5.0, 4.0]}, epochs)
    ...     for cells in ("train", "validation")
    ... }
    >>> ax = curvi.pl.history(SimpleNamespace(history=curves), show=False)
    >>> ax.get_xlabel(), len(ax.get_lines())
    ('epoch', 3)
    """
    if scale not in SCALES:
        raise ValueError(f"`scale` is {scale!r}; expected one of {listed(SCALES)}.")
    curves = _curves(model)
    chosen = _chosen(curves, keys)
    titles = [_TITLES.get(key, key.replace("_", " ")) for key in chosen] if title is None else title
    titles = [titles] if isinstance(titles, str) else list(titles)
    if len(titles) != len(chosen):
        raise ValueError(f"`title` has {len(titles)} titles; there are {len(chosen)} panels: {listed(chosen)}.")
    if scale == "log":
        for key in chosen:
            _check_positive(key, _finite(curves[key]))
    panels = new_panels(len(chosen), 1, ax, size=(3.3, 2.5), left=0.55, foot=0.5)
    for (panel,), key, heading in zip(panels.groups, chosen, titles, strict=True):
        draw_frame(panel)
        for cells, curve in curves[key].items():
            _draw_curve(panel, key, cells, curve)
        if scale == "log":
            _set_log_scale(panel, _finite(curves[key]))
        panels.set_title([panel], heading)
        if len(curves[key]) > 1:
            panel.legend(frameon=False, fontsize=8.5, handlelength=1.4)
    panels.arrange([None] * len(chosen))
    return panels.finish(show=show, save=save, return_fig=return_fig)


def _curves(model: CurviVAE) -> dict[str, dict[str, pd.Series]]:
    """The curves of each quantity by the cells that they were measured on; ``""`` where the name does not say."""
    recorded = model.history
    if not recorded:
        raise ValueError("`model` has no history; call `model.train()` first.")
    curves: dict[str, dict[str, pd.Series]] = {}
    for name, frame in recorded.items():
        quantity, cells = _split(name)
        curve = frame.iloc[:, 0].astype(float).dropna()
        if len(curve):
            curves.setdefault(quantity, {})[cells] = curve
    if not curves:
        raise ValueError("the history of `model` holds no numbers; train it for at least one epoch.")
    return {quantity: dict(sorted(pair.items())) for quantity, pair in curves.items()}


def _split(name: str) -> tuple[str, str]:
    """The quantity and the cells in the name of a curve: ``"elbo_train"``, ``"train_loss_epoch"``, ``"kl_weight"``."""
    name = name.removesuffix("_epoch")
    for cells in ("train", "validation", "test"):
        if name.endswith(f"_{cells}"):
            return name.removesuffix(f"_{cells}"), cells
        if name.startswith(f"{cells}_"):
            return name.removeprefix(f"{cells}_"), cells
    return name, ""


def _chosen(curves: dict[str, dict[str, pd.Series]], keys: str | Sequence[str] | None) -> list[str]:
    """The quantities to draw; the name of a single curve stands for its quantity."""
    if keys is None:
        changed = [key for key, pair in curves.items() if any(len(c) == 1 or c.min() < c.max() for c in pair.values())]
        changed = changed or list(curves)
        first = [key for key in _FIRST if key in changed]
        return first + [key for key in changed if key not in first and not (key == "loss" and "elbo" in first)]
    chosen = []
    for key in [keys] if isinstance(keys, str) else keys:
        quantity = key if key in curves else _split(key)[0]
        if quantity not in curves:
            raise ValueError(f"`keys` has {key!r}; the history has {listed(curves)}.")
        chosen.append(quantity)
    if not chosen:
        raise ValueError(f"`keys` is an empty list; choose of {listed(curves)}, or pass None.")
    return list(dict.fromkeys(chosen))


def _draw_curve(ax: Axes, key: str, cells: str, curve: pd.Series) -> None:
    """One line, with a ring at the lowest validation loss."""
    marker = "o" if len(curve) == 1 else None
    ax.plot(curve.index, curve, color=_COLORS[cells], linewidth=1.6, marker=marker, markersize=4, label=cells)
    ax.set_xlabel(curve.index.name or "epoch", fontsize=9)
    if cells == "validation" and (key == "elbo" or key.endswith("loss")):
        best = curve.idxmin()
        ax.plot(best, curve[best], "o", color=_COLORS[cells], fillstyle="none", markersize=7, label="_best")


def _check_positive(key: str, values: np.ndarray) -> None:
    """Raise unless finite ``values (n,)`` can be shown on a logarithmic scale, on which zeros are left out."""
    if len(values) == 0 or values.min() < 0 or values.max() <= 0:
        extent = f"from {values.min():g} to {values.max():g}" if len(values) else "none that is finite"
        raise ValueError(
            f"scale='log' cannot show {key!r}, whose values are {extent}; use scale='linear' or leave it out of `keys`."
        )


def _finite(pair: dict[str, pd.Series]) -> np.ndarray:
    """All finite values of the curves of one quantity, `(n,)`."""
    values = np.concatenate([curve.to_numpy() for curve in pair.values()])
    return values[np.isfinite(values)]


def _set_log_scale(ax: Axes, values: np.ndarray) -> None:
    """A logarithmic vertical axis with round numbers for ``values (n,)``."""
    ax.set_yscale("log", nonpositive="mask")
    decades = np.log10(values.max() / values[values > 0].min())
    # Within half a decade there may be no number such as 1, 2 or 5 times a power of ten.
    ax.yaxis.set_major_locator(MaxNLocator(5) if decades < 0.5 else LogLocator(subs=(1, 2, 5) if decades < 3 else (1,)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
