"""The Poincare disk: where points of a hyperbolic plane fall on it, and its circles and geodesics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.path import Path

if TYPE_CHECKING:
    from curvi.manifolds import Hyperbolic


@dataclass(frozen=True)
class DiskView:
    """A hyperbolic plane moved by an isometry, without a turn, until a point of it is in the middle of the unit disk.

    Attributes
    ----------
    manifold
        The plane, in any chart.
    centre
        Tangent coordinates at the origin of the point in the middle, `(2,)`.
    """

    manifold: Hyperbolic
    centre: np.ndarray

    def place(self, points: np.ndarray) -> np.ndarray:
        """Where ``points (n, ambient_dim)`` fall, `(n, 2)`, in the unit disk."""
        seen = self.manifold.translate0(torch.from_numpy(-self.centre), self.manifold.log0(torch.from_numpy(points)))
        radius = seen.norm(dim=-1, keepdim=True).numpy()
        return seen.numpy() / np.where(radius > 0, radius, 1) * self.radius(radius)

    def radius(self, distance: np.ndarray) -> np.ndarray:
        """How far from the middle of the disk points at this ``distance`` from it are drawn: tanh of half of it."""
        return np.tanh(0.5 * float(self.manifold.curvature) ** 0.5 * distance)

    def circles(self) -> np.ndarray:
        """Distances `(n,)` from the middle whose circles can be told apart and from the rim: multiples of 1, 2 or 5.

        One unit, where the curvature is -1.
        """
        unit = float(self.manifold.curvature) ** -0.5
        power = 10.0 ** np.floor(np.log10(unit))
        # A curvature of 0.25 or 1 kept in float32 is to have the same circles.
        step = power * max(nice for nice in (1, 2, 5) if nice * power <= 1.001 * unit)
        distances = step * np.arange(1, 50)
        return distances[self.radius(distances) < 0.97]


def geodesic_path(start: np.ndarray, end: np.ndarray) -> Path:
    """The geodesic between two points `(2,)` of the unit disk: an arc that meets the rim at right angles, or a line."""
    middle, half = (start + end) / 2, np.linalg.norm(end - start) / 2
    normal = np.array([start[1] - end[1], end[0] - start[0]]) / max(2 * half, np.finfo(float).tiny)
    # The circle's centre is middle + shift * normal, where <centre, point> = (1 + |point|^2) / 2 at both ends.
    numerator, denominator = 1 - middle @ middle + half**2, 2 * normal @ middle
    if half**2 * abs(denominator) <= 2e-6 * numerator:
        return Path(np.stack([start, end]))
    shift = numerator / denominator
    towards, opening = np.arctan2(*(-shift * normal)[::-1]), np.arctan2(half, abs(shift))
    arc = Path.arc(*np.degrees([towards - opening, towards + opening]))
    return Path(middle + shift * normal + np.hypot(shift, half) * arc.vertices, arc.codes)


def free_angle(xy: np.ndarray, radii: np.ndarray) -> float:
    """The angle at which marks at ``radii (n,)`` from the middle hide the fewest of the points ``xy (m, 2)``."""
    angles = np.radians(np.arange(15, 360, 30))
    marks = radii[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    hidden = [(np.abs(marks[..., None, :] - chunk) < 0.06).all(-1).sum((0, 2)) for chunk in np.array_split(xy, 20)]
    return float(angles[np.sum(hidden, axis=0).argmin()])
