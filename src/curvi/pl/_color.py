"""What the points of an embedding are coloured by: a column of cells or a gene, as scanpy colours it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, is_color_like, to_hex, to_rgba_array
from scanpy.plotting import palettes
from scipy import sparse

from curvi.data import layer_names

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.colors import Colormap

    Palette = str | Sequence[str] | Mapping[str, str]

MISSING = "#cfcfcf"
PLAIN = "#5b7c99"


@dataclass(frozen=True)
class Coloring:
    """The colours of all points of one panel.

    Attributes
    ----------
    title
        What the colours mean; empty where all points have the same one.
    rgba
        One colour a point, `(n_obs, 4)` in [0, 1].
    rank
        Points of a higher rank are drawn over those of a lower one, `(n_obs,)`: missing values come first.
    codes
        The category of each point, `(n_obs,)`, -1 where it has none.
    categories, palette
        The categories that occur, and their colours; empty for numbers.
    mappable
        From numbers to colours; ``None`` for categories.
    rest
        What to call cells without a category.
    """

    title: str
    rgba: np.ndarray
    rank: np.ndarray
    codes: np.ndarray
    categories: tuple[str, ...] = ()
    palette: tuple[str, ...] = ()
    mappable: ScalarMappable | None = None
    rest: str = "NA"

    def only(self, groups: set[str]) -> Coloring:
        """The same with other categories than ``groups`` as if missing."""
        kept = [code for code, name in enumerate(self.categories) if name in groups]
        position = np.full(len(self.categories) + 1, -1)
        position[kept] = np.arange(len(kept))
        codes = position[self.codes]
        return replace(
            self,
            rgba=np.where((codes >= 0)[:, None], self.rgba, to_rgba_array([MISSING])),
            rank=np.where(codes >= 0, 0.0, -np.inf),
            codes=codes,
            categories=tuple(self.categories[code] for code in kept),
            palette=tuple(self.palette[code] for code in kept),
            rest="other",
        )


@dataclass(frozen=True)
class ColorSource:
    """Where colours come from and how values become colours: the arguments that all embedding plots share.

    Attributes
    ----------
    layer, use_raw
        Where a gene's values are read.
    palette
        Colours of categories.
    cmap, vmin, vmax
        Colours of numbers, and the values (or, as ``"p99"``, percentiles) at the ends of the scale.
    sort_order
        Whether points of higher numbers are drawn over those of lower ones.
    groups
        The only categories that keep their colours and names, in the columns that have one of them; ``None`` for all.
    """

    layer: str | None
    use_raw: bool | None
    palette: Palette | None
    cmap: str | Colormap | None
    vmin: float | str | None
    vmax: float | str | None
    sort_order: bool
    groups: str | Sequence[str] | None = None

    def colorings(self, adata: AnnData, color: str | Sequence[str] | None) -> list[Coloring]:
        """One colouring for each key of ``color``; one of a single colour for ``None``."""
        if color is None:
            rgba = to_rgba_array([PLAIN]).repeat(adata.n_obs, axis=0)
            return [Coloring("", rgba, np.zeros(adata.n_obs), np.full(adata.n_obs, -1))]
        keys = [color] if isinstance(color, str) else list(color)
        if not keys:
            raise ValueError("`color` is an empty list; name at least one column or gene, or pass None.")
        return self._only_groups([self._coloring(adata, key) for key in keys])

    def _only_groups(self, colorings: list[Coloring]) -> list[Coloring]:
        """The colourings without the categories that are not in ``groups``, where these occur."""
        if self.groups is None:
            return colorings
        groups = {self.groups} if isinstance(self.groups, str) else set(self.groups)
        lacking = groups.difference(*(coloring.categories for coloring in colorings))
        if lacking or not groups:
            known = listed(name for coloring in colorings for name in coloring.categories)
            raise ValueError(f"`groups` has {listed(sorted(lacking))}; the categories that are drawn are {known}.")
        return [
            coloring.only(groups) if groups.intersection(coloring.categories) else coloring for coloring in colorings
        ]

    def _coloring(self, adata: AnnData, key: str) -> Coloring:
        values = self._values(adata, key)
        if isinstance(values.dtype, pd.CategoricalDtype):
            return _categorical(adata, key, values, self.palette)
        if pd.api.types.is_complex_dtype(values.dtype) or not pd.api.types.is_numeric_dtype(values.dtype):
            raise ValueError(
                f"`adata.obs[{key!r}]` has dtype {values.dtype}; colours need categories, strings, booleans or numbers."
            )
        return self._continuous(key, values.to_numpy(dtype=np.float64, na_value=np.nan))

    def _values(self, adata: AnnData, key: str) -> pd.Series:
        """The column of cells named ``key``, with strings and booleans as categories, or else the gene's values."""
        if key not in adata.obs:
            return pd.Series(self._gene(adata, key))
        column = adata.obs[key]
        if pd.api.types.is_bool_dtype(column.dtype):
            return column.astype("string").astype("category")
        if pd.api.types.is_string_dtype(column.dtype) and not isinstance(column.dtype, pd.CategoricalDtype):
            return column.astype("category")
        return column

    def _gene(self, adata: AnnData, gene: str) -> np.ndarray:
        """The values `(n_obs,)` of a gene in the matrix that the arguments name."""
        if self.use_raw and self.layer is not None:
            raise ValueError(f"`use_raw` and `layer` ({self.layer!r}) were both given; pass one or the other.")
        if self.use_raw and adata.raw is None:
            raise ValueError("`use_raw` is True, but `adata.raw` is not set; leave it out.")
        if self.layer is not None and self.layer not in adata.layers:
            raise ValueError(f"`layer` is {self.layer!r}, but `adata.layers` has {listed(layer_names(adata))}.")
        use_raw = self.use_raw if self.use_raw is not None else self.layer is None and adata.raw is not None
        source, name = (adata.raw, "adata.raw") if use_raw else (adata, "adata")
        count = int((source.var_names == gene).sum())
        if count == 0:
            near = get_close_matches(gene, [str(known) for known in [*adata.obs.columns, *source.var_names]])
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
            raise ValueError(
                f"`color` has {gene!r}, which is neither a column of `adata.obs` nor a gene of `{name}`{hint}"
            )
        if count > 1:
            raise ValueError(f"`{name}` has {count} genes called {gene!r}; call `var_names_make_unique()` first.")
        column = source[:, [gene]]
        values = column.X if self.layer is None else column.layers[self.layer]
        return (values.toarray() if sparse.issparse(values) else np.asarray(values)).ravel()

    def _continuous(self, key: str, values: np.ndarray) -> Coloring:
        """Colours of numbers ``values (n_obs,)``, of which NaN and infinite ones are missing."""
        known = np.isfinite(values)
        low, high = _limit("vmin", self.vmin, values[known], 0), _limit("vmax", self.vmax, values[known], 100)
        if low > high:
            raise ValueError(f"the colours of {key!r} go from {low:g} to {high:g}; `vmin` must not be above `vmax`.")
        cmap = mpl.colormaps.get_cmap(self.cmap or mpl.rcParams["image.cmap"])
        mappable = ScalarMappable(Normalize(low, high), cmap)
        rgba = to_rgba_array([MISSING]).repeat(len(values), axis=0)
        rgba[known] = mappable.to_rgba(values[known])
        rank = np.where(known, values if self.sort_order else 0.0, -np.inf)
        return Coloring(key, rgba, rank, np.full(len(values), -1), mappable=mappable)


def _limit(argument: str, given: float | str | None, values: np.ndarray, percentile: float) -> float:
    """One end of the colour scale of ``values (n,)``: the number given, a percentile, or the extreme value."""
    if isinstance(given, str):
        try:
            percentile = float(given.removeprefix("p"))
        except ValueError:
            percentile = np.nan
        if not (given.startswith("p") and 0 <= percentile <= 100):
            raise ValueError(f"`{argument}` is {given!r}; expected a number, or a percentile such as 'p99'.")
    elif given is not None:
        return float(given)
    return float(np.percentile(values, percentile)) if len(values) else percentile / 100


def _categorical(adata: AnnData, key: str, values: pd.Series, palette: Palette | None) -> Coloring:
    """Colours of categories; recorded in ``adata.uns`` as scanpy does, unless ``adata`` is a view."""
    names = list(values.cat.categories)
    recorded = list(adata.uns.get(f"{key}_colors", ()))
    if palette is None and len(recorded) >= len(names):
        colors = _valid(f"adata.uns['{key}_colors']", recorded[: len(names)])
    else:
        colors = _chosen(key, names, palette)
        if not adata.is_view:
            adata.uns[f"{key}_colors"] = colors
    codes = values.cat.codes.to_numpy()
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(names)))
    position = np.full(len(names) + 1, -1)
    position[used] = np.arange(len(used))
    # In both, the last entry is what the code -1 of missing values picks.
    rgba = to_rgba_array([*colors, MISSING])
    return Coloring(
        title=key,
        rgba=rgba[codes],
        rank=np.where(codes >= 0, 0.0, -np.inf),
        codes=position[codes],
        categories=tuple(str(names[i]) for i in used),
        palette=tuple(colors[i] for i in used),
    )


def _chosen(key: str, names: list[str], palette: Palette | None) -> list[str]:
    """One colour a category: those asked for, or scanpy's default ones."""
    if palette is None:
        cycle = mpl.rcParams["axes.prop_cycle"].by_key().get("color", [])
        defaults = (cycle, palettes.default_20, palettes.default_28, palettes.default_102, ["grey"] * len(names))
        colors = next(colors for colors in defaults if len(colors) >= len(names))
        return [to_hex(color) for color in colors[: len(names)]]
    if isinstance(palette, Mapping):
        lacking = [name for name in names if name not in palette]
        if lacking:
            raise ValueError(f"`palette` has no colour for {listed(lacking)} of {key!r}.")
        return _valid("palette", [palette[name] for name in names])
    if isinstance(palette, str):
        if palette not in mpl.colormaps:
            raise ValueError(f"`palette` is {palette!r}, which is no colour map of matplotlib, such as 'tab20'.")
        cmap = mpl.colormaps[palette]
        return [to_hex(cmap(value)) for value in np.linspace(0, 1, len(names))]
    if len(palette) < len(names):
        raise ValueError(f"`palette` has {len(palette)} colours; {key!r} has {len(names)} categories.")
    return _valid("palette", palette[: len(names)])


def _valid(argument: str, colors: Sequence[str]) -> list[str]:
    """The colours as strings, or an error that names the first that matplotlib does not know."""
    for color in colors:
        if not is_color_like(color):
            raise ValueError(f"`{argument}` has {color!r}, which is not a colour that matplotlib knows.")
    return [color if isinstance(color, str) else to_hex(color) for color in colors]


def listed(names: object) -> str:
    """Names for an error message."""
    return ", ".join(map(repr, names)) or "nothing"  # type: ignore[call-overload]
