"""Points of an embedding on their manifold, and what names one of them: a cell, the mean of a category, numbers."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING

import numpy as np
import torch

from curvi.manifolds import Euclidean, from_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from anndata import AnnData

    from curvi.manifolds import Manifold

    Place = int | str | tuple[str, object] | Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Space:
    """A manifold and the cells that lie on it.

    Attributes
    ----------
    manifold
        Where they lie, in float64 and without gradients.
    points
        Their points `(n_obs, ambient_dim)`, float64; no rows without cells.
    adata
        The cells; None for a bare manifold.
    """

    manifold: Manifold
    points: np.ndarray
    adata: AnnData | None

    @property
    def origin(self) -> np.ndarray:
        """The origin of the manifold, `(ambient_dim,)`."""
        return self.manifold.origin.to(torch.float64).numpy()

    def find(self, argument: str, place: Place | None) -> tuple[np.ndarray, str, int]:
        """The point `(ambient_dim,)` that ``place``, given as ``argument``, names, what to call it, and its row.

        A place is a cell by its number or name, a category as (column, category), which means the Frechet mean of its
        cells, a point, or None for the origin. The row is -1 where the place is no cell.

        Raises
        ------
        ValueError
            If there is no such cell, category or point, or the category has no mean.
        """
        if place is None:
            return self.origin, "origin", -1
        if isinstance(place, str | int | np.integer):
            row = self._row(argument, place)
            return self.points[row], str(self._cells(argument).obs_names[row]), row
        if isinstance(place, tuple | list) and len(place) == 2 and isinstance(place[0], str):
            return self._mean(argument, place[0], place[1]), str(place[1]), -1
        point = self._point(argument, place)
        return point, f"({', '.join(f'{number:.2g}' for number in point)})", -1

    def members(self, argument: str, column: str, category: object) -> np.ndarray:
        """The rows of the cells of a category.

        Raises
        ------
        ValueError
            If there is no such column, or no cell has that value.
        """
        values = column_of(self._cells(argument), argument, column)
        rows = np.flatnonzero((values.notna() & (values.astype(str) == str(category))).to_numpy(dtype=bool))
        if len(rows) == 0:
            raise ValueError(
                f"`{argument}` names {category!r} of {column!r}, which no cell has; it has {listed(values.unique())}."
            )
        return rows

    def _cells(self, argument: str) -> AnnData:
        if self.adata is None:
            raise ValueError(f"`{argument}` names cells, but there are none; pass `adata`, or a point of the manifold.")
        return self.adata

    def _row(self, argument: str, place: str | int) -> int:
        cells = self._cells(argument)
        if not isinstance(place, str):
            if not 0 <= index(place) < len(self.points):
                raise ValueError(f"`{argument}` is {place}; cells are numbered from 0 to {len(self.points) - 1}.")
            return index(place)
        rows = np.flatnonzero(cells.obs_names == place)
        if len(rows) != 1:
            raise ValueError(
                f"`{argument}` is {place!r}, which is the name of {len(rows)} cells of `adata.obs_names`; pass a name "
                "or a number, (column, category), or a point."
            )
        return int(rows[0])

    def _mean(self, argument: str, column: str, category: object) -> np.ndarray:
        rows = self.members(argument, column, category)
        try:
            return self.manifold.mean(torch.from_numpy(self.points[rows])).numpy()
        except ValueError as error:
            raise ValueError(f"`{argument}` is {(column, category)!r}, which has no centre: {error}") from None

    def _point(self, argument: str, place: object) -> np.ndarray:
        wanted = f"a cell, (column, category), or a point of {self.manifold.ambient_dim} numbers on {self.manifold}"
        try:
            point = np.array(place, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"`{argument}` is {place!r}; expected {wanted}.") from None
        inside, reason = self.manifold.contains(torch.from_numpy(point))
        if point.ndim != 1 or not inside:
            raise ValueError(f"`{argument}` is {place!r}; expected {wanted}: {reason or 'that is more than one.'}")
        return self.manifold.project(torch.from_numpy(point)).numpy()


def space(adata: AnnData | None, basis: str, manifold: Manifold | None) -> Space:
    """The cells ``adata.obsm[basis]`` on their manifold, or a bare manifold.

    Parameters
    ----------
    adata
        Cells with an embedding; None for a bare ``manifold``.
    basis
        Key of ``adata.obsm``, points `(n_obs, ambient_dim)`.
    manifold
        Where they lie; by default what ``adata.uns["curvi"][basis]["manifold"]`` records.

    Raises
    ------
    ValueError
        If neither cells nor a manifold are given, there is no such key, no manifold is given or recorded, or the
        points do not lie on it.
    """
    if adata is None:
        if manifold is None:
            raise ValueError("`adata` and `manifold` are both None; pass cells with an embedding, or a manifold.")
        return Space(_copied(manifold), np.empty((0, manifold.ambient_dim)), None)
    held = held_points(adata, "basis", basis)
    record = adata.uns.get("curvi", {}).get(basis, {}).get("manifold")
    if manifold is None and record is None:
        raise ValueError(
            f"no manifold is recorded for `adata.obsm[{basis!r}]`; write the embedding with `model.embed()`, or pass "
            "`manifold=`, such as curvi.manifolds.Euclidean(2) for straight lines."
        )
    where = from_config(record).requires_grad_(False).double() if manifold is None else _copied(manifold)
    rows = torch.from_numpy(held)
    inside, reason = where.contains(rows)
    if not inside:
        raise ValueError(f"`adata.obsm[{basis!r}]` does not lie on {where}: {reason} Pass the right `manifold=`.")
    return Space(where, where.project(rows).numpy(), adata)


def plane(adata: AnnData, basis_2d: str) -> Space:
    """The first two columns of ``adata.obsm[basis_2d]``, as points of the flat plane.

    Raises
    ------
    ValueError
        If there is no such key, or it has fewer than two columns, or values that are not finite.
    """
    held = held_points(adata, "basis_2d", basis_2d)
    if held.ndim != 2 or held.shape[1] < 2 or not np.isfinite(held[:, :2]).all():
        raise ValueError(
            f"`adata.obsm[{basis_2d!r}]` (`basis_2d`) has shape {held.shape}; expected (n_obs, 2) finite numbers."
        )
    return Space(_copied(Euclidean(2)), held[:, :2].copy(), adata)


def held_points(adata: AnnData, argument: str, key: str) -> np.ndarray:
    """What ``adata.obsm[key]``, named by ``argument``, holds, float64, for at least one cell."""
    if key not in adata.obsm:
        raise ValueError(f"`{argument}` is {key!r}, but `adata.obsm` has {listed(adata.obsm)}.")
    if adata.n_obs == 0:
        raise ValueError("`adata` has no cells.")
    return np.array(adata.obsm[key], dtype=np.float64)


def column_of(adata: AnnData, argument: str, column: str) -> pd.Series:
    """The column ``adata.obs[column]``, named by ``argument``."""
    if column not in adata.obs:
        raise ValueError(f"`{argument}` is {column!r}, but `adata.obs` has {listed(adata.obs.columns)}.")
    return adata.obs[column]


def at_least(argument: str, value: int, least: int) -> int:
    """``value``, given as ``argument``, as an ``int``, or a ``ValueError`` where it is below ``least``."""
    if index(value) < least:
        raise ValueError(f"`{argument}` is {value}; it must be at least {least}.")
    return index(value)


def listed(names: Iterable[object]) -> str:
    """Names for an error message."""
    return ", ".join(map(repr, names)) or "none"


def _copied(manifold: Manifold) -> Manifold:
    """The same manifold on the CPU, in float64 and without gradients."""
    return from_config(manifold.config()).requires_grad_(False).double()
