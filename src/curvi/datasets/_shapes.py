"""Known latent geometries that synthetic cells are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Latent:
    """Cells on a known geometry.

    Attributes
    ----------
    points
        Latent coordinates, `(n_obs, n_coordinates)`, float64.
    annotation
        What is known of each cell, name -> array `(n_obs,)`.
    cell_type
        Number of the cell's patch, `(n_obs,)`, from 0 to ``n_types - 1``.
    """

    points: np.ndarray
    annotation: dict[str, np.ndarray]
    cell_type: np.ndarray


def sphere(n_obs: int, n_types: int, rng: np.random.Generator) -> Latent:
    """Uniform points on the unit sphere in three dimensions; types are the cells of ``n_types`` evenly spread centres.

    The centres lie on a Fibonacci spiral, so that the patches have nearly equal areas. Annotation: ``longitude`` in
    (-pi, pi], ``latitude`` in [-pi/2, pi/2].
    """
    points = rng.standard_normal((n_obs, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    number = np.arange(n_types)
    height = 1 - (2 * number + 1) / n_types
    turn = np.pi * (3 - np.sqrt(5)) * number
    ring = np.sqrt(1 - height**2)
    centres = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
    annotation = {
        "longitude": np.arctan2(points[:, 1], points[:, 0]),
        "latitude": np.arcsin(np.clip(points[:, 2], -1, 1)),
    }
    return Latent(points, annotation, np.argmax(points @ centres.T, axis=1))


def circle(n_obs: int, n_types: int, rng: np.random.Generator) -> Latent:
    """Uniform points on the unit circle; types are ``n_types`` equal arcs. Annotation: ``angle`` in [0, 2 pi)."""
    angle = rng.uniform(0, 2 * np.pi, n_obs)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    arc = np.minimum((angle * n_types / (2 * np.pi)).astype(np.int64), n_types - 1)
    return Latent(points, {"angle": angle}, arc)


def tree(n_obs: int, n_types: int, rng: np.random.Generator) -> Latent:
    """Uniform points on a binary tree of ``n_types`` branches of length 1; every branch is a type.

    Branch 0 is the stem; branch b > 0 grows from the tip of branch (b - 1) // 2. Coordinate b is the way walked along
    branch b, so that the distance within the tree is the sum of absolute differences of the coordinates.
    Annotation: ``branch``, and ``depth``, the distance from the root.
    """
    branch = rng.integers(0, n_types, n_obs)
    along = rng.uniform(0, 1, n_obs)
    points = np.zeros((n_obs, n_types))
    points[np.arange(n_obs), branch] = along
    ancestor = branch
    while (ancestor > 0).any():
        above = np.flatnonzero(ancestor > 0)
        ancestor = np.where(ancestor > 0, (ancestor - 1) // 2, 0)
        points[above, ancestor[above]] = 1
    return Latent(points, {"branch": branch, "depth": points.sum(axis=1)}, branch)


SHAPES: dict[str, Callable[[int, int, np.random.Generator], Latent]] = {
    "sphere": sphere,
    "circle": circle,
    "tree": tree,
}
