"""Points of an embedding, and what names a point of it: a cell, the mean of a category, or the point itself."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from operator import index
from typing import TYPE_CHECKING

import numpy as np
import torch

from curvi.manifolds import Sphere
from curvi.pl._color import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from curvi.manifolds import Manifold
    from curvi.pl._color import Coloring

    Place = int | str | tuple[str, object] | Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Means:
    """The categories of one colouring that have a Frechet mean.

    Attributes
    ----------
    names, colors
        What they are called, and their colours.
    points
        Their means, `(n_means, ambient_dim)`.
    """

    names: tuple[str, ...]
    colors: tuple[str, ...]
    points: np.ndarray

    def at(self, xy: np.ndarray) -> Means:
        """The same means, drawn at ``xy (n_means, 2)``."""
        return replace(self, points=xy)


@dataclass(frozen=True)
class Places:
    """What finds the point that an argument names.

    Attributes
    ----------
    adata
        Cells.
    points
        Their points on the manifold, `(n_obs, ambient_dim)`, float64.
    manifold
        Where they lie.
    columns
        The columns of cells whose categories go by their mere names.
    """

    adata: AnnData
    points: np.ndarray
    manifold: Manifold
    columns: tuple[str, ...]

    def find(self, argument: str, place: Place) -> tuple[np.ndarray, str]:
        """The point `(ambient_dim,)` that ``place``, given as ``argument``, names, and what to call it.

        Raises
        ------
        ValueError
            If there is no such cell, category or point, more than one, or the category has no mean.
        """
        if isinstance(place, str):
            return self._named(argument, place)
        if isinstance(place, int | np.integer):
            return self._row(argument, index(place))
        if isinstance(place, tuple | list) and len(place) == 2 and isinstance(place[0], str):
            return self._mean(argument, place[0], str(place[1]))
        return self._point(argument, place)

    def _named(self, argument: str, name: str) -> tuple[np.ndarray, str]:
        """The cell or the category, of one of the columns that are drawn, of this name."""
        rows = np.flatnonzero(self.adata.obs_names == name)
        columns = [column for column in self.columns if self._members(column, name).any()]
        if len(rows) + len(columns) > 1:
            found = [*(f"cell {row}" for row in rows), *(f"a category of {column!r}" for column in columns)]
            raise ValueError(
                f"`{argument}` is {name!r}, which is the name of {' and of '.join(found)}; pass the cell's number or "
                "(column, category)."
            )
        if len(rows):
            return self.points[rows[0]], name
        if columns:
            return self._mean(argument, columns[0], name)
        hint = f" nor a category of {listed(self.columns)}" if self.columns else ""
        raise ValueError(
            f"`{argument}` is {name!r}, which is no cell of `adata.obs_names`{hint}; name a category of another column "
            "as (column, category)."
        )

    def _row(self, argument: str, row: int) -> tuple[np.ndarray, str]:
        """The cell of this number."""
        if not 0 <= row < len(self.points):
            raise ValueError(f"`{argument}` is {row}; cells are numbered from 0 to {len(self.points) - 1}.")
        return self.points[row], str(self.adata.obs_names[row])

    def _mean(self, argument: str, column: str, category: str) -> tuple[np.ndarray, str]:
        """The Frechet mean of a category."""
        if column not in self.adata.obs:
            raise ValueError(
                f"`{argument}` is {(column, category)!r}, but `adata.obs` has {listed(self.adata.obs.columns)}."
            )
        members = self._members(column, category)
        if not members.any():
            raise ValueError(f"`{argument}` is {(column, category)!r}, but no cell has that value.")
        try:
            return self.manifold.mean(torch.from_numpy(self.points[members])).numpy(), category
        except ValueError as error:
            raise ValueError(f"`{argument}` is {(column, category)!r}, which has no centre: {error}") from None

    def _members(self, column: str, category: str) -> np.ndarray:
        values = self.adata.obs[column]
        return (values.notna() & (values.astype(str) == category)).to_numpy(dtype=bool)

    def _point(self, argument: str, place: object) -> tuple[np.ndarray, str]:
        """The point that the numbers are."""
        wanted = f"a cell, a category, or a point of {self.manifold.ambient_dim} numbers on {self.manifold}"
        try:
            point = np.asarray(place, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"`{argument}` is {place!r}; expected {wanted}.") from None
        inside, reason = self.manifold.contains(torch.from_numpy(point))
        if point.ndim != 1 or not inside:
            raise ValueError(f"`{argument}` is {place!r}; expected {wanted}: {reason or 'that is more than one.'}")
        return point, f"({', '.join(f'{number:.2g}' for number in point)})"


def drawn_columns(adata: AnnData, color: str | Sequence[str] | None) -> tuple[str, ...]:
    """Those keys of ``color`` that are columns of cells and not numbers."""
    keys = [color] if isinstance(color, str) else list(color or ())
    return tuple(key for key in dict.fromkeys(keys) if key in adata.obs and adata.obs[key].dtype.kind not in "iufc")


def embedded_points(adata: AnnData, basis: str, argument: str = "basis") -> np.ndarray:
    """What ``adata.obsm[basis]``, named by ``argument``, holds, float64, for at least one cell."""
    if basis not in adata.obsm:
        raise ValueError(f"`{argument}` is {basis!r}, but `adata.obsm` has {listed(adata.obsm)}.")
    points = np.asarray(adata.obsm[basis], dtype=np.float64)
    if len(points) == 0:
        raise ValueError("`adata` has no cells to draw.")
    return points


def unit_rows(adata: AnnData, basis: str) -> np.ndarray:
    """The points `(n_obs, 3)` of ``basis`` on the unit sphere, float64."""
    points = embedded_points(adata, basis)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(
            f"`adata.obsm[{basis!r}]` has shape {points.shape}; the globe needs (n_obs, 3), as a model with n_latent=2 "
            "gives. Draw two coordinates of other embeddings with `pl.plane`."
        )
    inside, reason = Sphere(2).contains(torch.from_numpy(points), atol=1e-2)
    if not inside:
        raise ValueError(f"`adata.obsm[{basis!r}]` does not lie on the unit sphere: {reason}")
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def category_means(manifold: Manifold, points: np.ndarray, colorings: list[Coloring]) -> list[Means]:
    """The Frechet means of the categories of each colouring of ``points (n_obs, ambient_dim)``.

    A category without one, as two antipodal points on a sphere, is left out with a warning.
    """
    found = []
    for coloring in colorings:
        means: dict[int, np.ndarray] = {}
        for code, name in enumerate(coloring.categories):
            try:
                means[code] = manifold.mean(torch.from_numpy(points[coloring.codes == code])).numpy()
            except ValueError as error:
                warnings.warn(f"category {name!r} of {coloring.title!r} is not labelled: {error}", stacklevel=3)
        found.append(
            Means(
                tuple(coloring.categories[code] for code in means),
                tuple(coloring.palette[code] for code in means),
                np.array([*means.values()]).reshape(-1, points.shape[1]),
            )
        )
    return found
