"""Closed ways through the cells of a group, for films."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from curvi.explore._path import Path, steps_between
from curvi.explore._space import at_least, space

if TYPE_CHECKING:
    from anndata import AnnData

    from curvi.manifolds import Manifold


@torch.no_grad()
def loop(
    adata: AnnData,
    groupby: str | None = None,
    group: object = None,
    *,
    n_stops: int = 8,
    n_frames: int = 120,
    seed: int = 0,
    basis: str = "X_curvi",
    manifold: Manifold | None = None,
) -> Path:
    """A closed way along geodesics from cell to cell of a group, walked at constant speed.

    The frames lie at equal distances along the way, from the last one back to the first too, so that a film of them
    runs round and round without a jump. Between stops a frame need not look like any cell: :func:`drift` says.

    Parameters
    ----------
    adata
        Cells with an embedding.
    groupby, group
        Column of ``adata.obs`` and the category whose cells are visited; neither for all cells.
    n_stops
        Cells that are visited, drawn at random without repetition; at least 2.
    n_frames
        Points on the way, at least 2.
    seed
        Of the draw of the cells and their order.
    basis
        Key of ``adata.obsm``, points `(n_obs, ambient_dim)`.
    manifold
        Where the points lie; by default what the model recorded.

    Returns
    -------
    The way; ``rows`` and ``names`` are the cell that each frame comes from, and ``travelled`` how far.

    Raises
    ------
    ValueError
        If the group has fewer cells than there are stops, or they all lie at one point.

    Examples
    --------
    >>> import curvi
    >>> globe = curvi.manifolds.Sphere(2)
    >>> adata = curvi.datasets.synthetic(n_obs=60, n_vars=5)
    >>> curvi.explore.loop(adata, n_stops=3, n_frames=24, basis="latent", manifold=globe).points.shape
    (24, 3)
    """
    cells = space(adata, basis, manifold)
    if (groupby is None) != (group is None):
        raise ValueError(f"`groupby` is {groupby!r} and `group` is {group!r}; pass both, or neither for all cells.")
    rows = np.arange(adata.n_obs) if groupby is None else cells.members("group", groupby, group)
    if at_least("n_stops", n_stops, 2) > len(rows):
        raise ValueError(f"`n_stops` is {n_stops}, but there are {len(rows)} cells to visit.")
    stops = np.random.default_rng(seed).choice(rows, n_stops, replace=False)
    corners = np.append(stops, stops[0])
    marks = np.concatenate([[0.0], np.cumsum(steps_between(cells.manifold, cells.points[corners]))])
    length = float(marks[-1])
    if length == 0:
        raise ValueError(f"the {n_stops} cells that were drawn all lie at one point; raise `n_stops`.")
    travelled = np.arange(at_least("n_frames", n_frames, 2)) * (length / n_frames)
    leg = np.clip(np.searchsorted(marks, travelled, side="right") - 1, 0, n_stops - 1)
    t = (travelled - marks[leg]) / (marks[leg + 1] - marks[leg])
    here, there = (torch.from_numpy(cells.points[corners[leg + i]]) for i in (0, 1))
    frames = cells.manifold.project(cells.manifold.geodesic(here, there, torch.from_numpy(t))).numpy()
    visited = corners[leg]
    called = tuple(map(str, adata.obs_names[visited]))
    return Path(frames, travelled, length, called, cells.manifold, visited)
