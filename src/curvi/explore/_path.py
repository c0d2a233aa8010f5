"""A sequence of latent points, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from curvi.manifolds._frame import names, seen_from

if TYPE_CHECKING:
    from curvi.explore._space import Space
    from curvi.manifolds import Manifold


@dataclass(frozen=True)
class Path:
    """Latent points in order.

    Attributes
    ----------
    points
        The points, `(n, ambient_dim)`.
    travelled
        How far along the path each lies from the first, `(n,)`, in geodesic length.
    length
        The length of the whole path; that of a loop includes the way from the last point to the first.
    names
        What the points are called.
    manifold
        Where they lie.
    rows
        The cells that they are, as rows of the data, `(n,)`, -1 for none; None if no point is a cell.
    positions
        What was asked for in a picture plane, `(n, 2)`; None if nothing was.
    """

    points: np.ndarray
    travelled: np.ndarray
    length: float
    names: tuple[str, ...]
    manifold: Manifold
    rows: np.ndarray | None = None
    positions: np.ndarray | None = None

    @torch.no_grad()
    def to_frame(self) -> pd.DataFrame:
        """A row a point: ``travelled``, then the tangent coordinates at the origin, ``z0``, ``z1``, ..."""
        at = self.manifold.origin.to(torch.float64)
        coordinates = seen_from(self.manifold, at, torch.from_numpy(self.points)).numpy()
        table = pd.DataFrame(coordinates, index=list(self.names), columns=names(self.manifold))
        table.insert(0, "travelled", self.travelled)
        return table


def steps_between(manifold: Manifold, points: np.ndarray) -> np.ndarray:
    """The geodesic distances of each of ``points (n, ambient_dim)`` to the next, `(n - 1,)`."""
    rows = torch.from_numpy(points)
    return manifold.dist(rows[:-1], rows[1:]).numpy()


def through_cells(cells: Space, rows: np.ndarray, called: tuple[str, ...], positions: np.ndarray) -> Path:
    """The path from cell to cell, of cells that were found at ``positions (n, 2)`` of a picture."""
    points = cells.points[rows]
    travelled = np.concatenate([[0.0], np.cumsum(steps_between(cells.manifold, points))])
    return Path(points, travelled, float(travelled[-1]), called, cells.manifold, rows, positions)
