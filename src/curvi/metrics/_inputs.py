"""What the scores read from an AnnData: points, the manifold they lie on, and categories of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from curvi.manifolds import Euclidean, Manifold, from_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData


def embedding(adata: AnnData, use_rep: str) -> np.ndarray:
    """The points of ``adata.obsm[use_rep]``, float64 of shape `(n_obs, ambient_dim)`.

    Raises
    ------
    ValueError
        If there is no such key, or it does not hold finite numbers, one row per cell.
    """
    if use_rep not in adata.obsm:
        raise ValueError(f"`use_rep` is {use_rep!r}, but `adata.obsm` has {_listed(adata.obsm)}.")
    points = np.asarray(adata.obsm[use_rep], dtype=np.float64)
    if points.ndim != 2 or points.shape[1] == 0:
        raise ValueError(f"`adata.obsm[{use_rep!r}]` has shape {points.shape}; expected (n_obs, ambient_dim).")
    n_bad = int((~np.isfinite(points)).any(axis=1).sum())
    if n_bad:
        raise ValueError(
            f"`adata.obsm[{use_rep!r}]` is NaN or infinite in {n_bad} cells; drop them or embed them anew."
        )
    return points


def categories(adata: AnnData, argument: str, key: str) -> pd.Categorical:
    """The categories ``adata.obs[key]``, given as ``argument``, of every cell; unused ones are dropped.

    Raises
    ------
    ValueError
        If there is no such column, cells lack a value, or there are fewer than two categories.
    """
    if key not in adata.obs:
        raise ValueError(f"`{argument}` is {key!r}, but `adata.obs` has {_listed(adata.obs.columns)}.")
    column = adata.obs[key]
    n_missing = int(column.isna().sum())
    if n_missing:
        raise ValueError(f"`adata.obs[{key!r}]` (`{argument}`) has no value in {n_missing} cells; drop or label them.")
    values = pd.Categorical(column).remove_unused_categories()
    if len(values.categories) < 2:
        raise ValueError(
            f"`adata.obs[{key!r}]` (`{argument}`) has {len(values.categories)} category, {_listed(values.categories)}; "
            "at least two are needed."
        )
    return values


def geometry(adata: AnnData, use_rep: str, points: np.ndarray, manifold: Manifold | None, metric: str) -> Manifold:
    """The manifold on which nearness is measured.

    Parameters
    ----------
    adata, use_rep, points
        The embedding `(n_obs, ambient_dim)` and where it comes from.
    manifold
        The caller's choice; ``None`` reads ``adata.uns["curvi"][use_rep]["manifold"]``, and takes straight lines
        where nothing is recorded.
    metric
        ``"geodesic"``, or ``"euclidean"``: straight lines through the ambient space whatever the manifold.

    Raises
    ------
    ValueError
        If the metric is unknown, the points do not lie on the manifold, or they look like a hyperboloid's and nothing
        is recorded.
    """
    if metric not in _METRICS:
        raise ValueError(f"unknown metric {metric!r}; the known metrics are {_listed(_METRICS)}.")
    return _METRICS[metric](adata, use_rep, points, manifold)


def _geodesic(adata: AnnData, use_rep: str, points: np.ndarray, manifold: Manifold | None) -> Manifold:
    record = adata.uns.get("curvi", {}).get(use_rep, {}).get("manifold")
    if manifold is None and record is not None:
        manifold = from_config(record)
    if manifold is None:
        if on_a_hyperboloid(points):
            raise ValueError(
                f"the points of `adata.obsm[{use_rep!r}]` satisfy the equation of a hyperboloid, but no manifold is "
                "recorded for them; pass `manifold=`, or metric='euclidean' if straight lines are meant."
            )
        return Euclidean(points.shape[1])
    inside, reason = manifold.contains(torch.from_numpy(points))
    if not inside:
        raise ValueError(f"`adata.obsm[{use_rep!r}]` does not lie on {manifold}: {reason} Pass the right `manifold=`.")
    return manifold


def _euclidean(adata: AnnData, use_rep: str, points: np.ndarray, manifold: Manifold | None) -> Manifold:
    return Euclidean(points.shape[1])


_METRICS: dict[str, Callable[[AnnData, str, np.ndarray, Manifold | None], Manifold]] = {
    "geodesic": _geodesic,
    "euclidean": _euclidean,
}


def on_a_hyperboloid(points: np.ndarray) -> bool:
    """Whether x_0^2 - x_1^2 - ... is one positive number for all points `(n, ambient_dim)`, up to float32 rounding."""
    if points.shape[1] < 2 or np.ptp(points, axis=0).max() == 0:
        return False
    height = points[:, 0]
    square = height**2 - (points[:, 1:] ** 2).sum(axis=1)
    # The point nearest to the apex has lost the fewest digits in the difference of two squares.
    value = square[height.argmin()]
    return bool(height.min() > 0 and value > 0 and (np.abs(square - value) <= 1e-5 * height**2).all())


def _listed(names: object) -> str:
    """Names for an error message."""
    return ", ".join(map(repr, names)) or "none"  # type: ignore[call-overload]
