"""Planes in which cells are seen, and where points of a manifold and the geodesics between them fall in each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from curvi.manifolds import Sphere
from curvi.manifolds._frame import checked_dims
from curvi.pl._dimensions import FLAT, Dimensions, dimensions, stretch
from curvi.pl._disk import disk_background, hyperbolic_points
from curvi.pl._flat import draw_axes, middles
from curvi.pl._globe import View
from curvi.pl._map import map_background
from curvi.pl._places import Places, category_means, embedded_points, unit_rows
from curvi.pl._poincare import DiskView
from curvi.pl._projection import Mollweide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes

    from curvi.explore import Path
    from curvi.manifolds import Manifold
    from curvi.pl._color import Coloring
    from curvi.pl._places import Means, Place

# Points on a geodesic from one point of a path to the next.
_FINE = 60


@dataclass(frozen=True)
class Scene:
    """A plane with cells in it.

    Attributes
    ----------
    xy
        Where the cells are, `(n_obs, 2)`.
    background
        Draws the empty plane on axes.
    means
        The named middle of each category of a colouring, in the plane.
    place
        Where points `(n, ambient_dim)` of the manifold fall, `(n, 2)`; of a picture, which has no way from one to the
        other, its own points `(n, 2)`.
    pieces
        The pieces `(m, 2)` of a line through such points: more than one where the plane is cut.
    size, left, foot
        Width and height of the panel, and the room to its left and below it, in inches.
    """

    xy: np.ndarray
    background: Callable[[Axes], None]
    means: Callable[[Coloring], Means]
    place: Callable[[np.ndarray], np.ndarray]
    pieces: Callable[[np.ndarray], list[np.ndarray]]
    size: tuple[float, float] = (3.9, 3.9)
    left: float = 0.6
    foot: float = 0.5


def scene_of_path(
    adata: AnnData,
    path: Path,
    *,
    basis: str,
    basis_2d: str | None,
    dims: tuple[int, int] | None,
    base: Place | None,
) -> Scene:
    """The plane that a path is best seen in: the picture ``basis_2d``, or the whole surface, or two of its dimensions.

    A sphere of two dimensions is seen as a map with the ``base`` in its middle, by default the middle of the path; a
    hyperbolic plane as a disk; anything else in two tangent coordinates.
    """
    if basis_2d is not None:
        return picture_scene(adata, basis_2d)
    bend = stretch(path.manifold) if path.manifold.dim == 2 else 0.0
    if bend > FLAT:
        return _disk_scene(adata, basis, base, path.manifold)
    if bend < -FLAT:
        return _map_scene(adata, basis, base, path)
    seen = dimensions(adata, basis, base, path.manifold)
    return _dimensions_scene(seen, basis, _farthest(seen.of(path.points)) if dims is None else dims)


def dimensions_scene(
    adata: AnnData, basis: str, dims: tuple[int, int], base: Place | None, manifold: Manifold | None
) -> Scene:
    """Two tangent coordinates around a place, to one scale."""
    return _dimensions_scene(dimensions(adata, basis, base, manifold), basis, dims)


def _farthest(coordinates: np.ndarray) -> tuple[int, ...]:
    """The two dimensions in which points `(n, dim)` are farthest apart, in order; of one point the first two."""
    return tuple(sorted(np.argsort(-np.ptp(coordinates, axis=0), kind="stable")[:2].tolist()))


def _dimensions_scene(seen: Dimensions, basis: str, dims: Sequence[int]) -> Scene:
    """Two of the tangent coordinates of the cells ``basis``."""
    if seen.manifold.dim < 2:
        raise ValueError(
            f"`adata.obsm[{basis!r}]` lies on {seen.manifold}, a line; two dimensions are needed. `pl.pairs` draws its "
            "density."
        )
    chosen = checked_dims(seen.manifold, dims)
    if len(chosen) != 2:
        raise ValueError(f"`dims` is {dims!r}; expected two dimensions, such as (0, 1).")
    xy = seen.coordinates[:, chosen]

    def pieces(points: np.ndarray) -> list[np.ndarray]:
        return [piece[:, chosen] for piece in _unbroken(seen.of(points))]

    def place(points: np.ndarray) -> np.ndarray:
        return seen.of(points)[:, chosen]

    return Scene(
        xy,
        partial(draw_axes, names=[seen.label(dim) for dim in chosen]),
        lambda coloring: _projected(seen.manifold, seen.points, coloring, place),
        place,
        pieces,
    )


def picture_scene(adata: AnnData, basis_2d: str) -> Scene:
    """The first two columns of an embedding such as UMAP."""
    points = embedded_points(adata, basis_2d, "basis_2d")
    if points.ndim != 2 or points.shape[1] < 2 or not np.isfinite(points[:, :2]).all():
        raise ValueError(
            f"`adata.obsm[{basis_2d!r}]` (`basis_2d`) has shape {points.shape}; expected (n_obs, 2) finite numbers."
        )
    xy = points[:, :2]
    names = [f"{basis_2d.removeprefix('X_')} {i}" for i in range(2)]
    return Scene(xy, partial(draw_axes, names=names), partial(middles, xy), lambda at: at, lambda at: [at])


def _disk_scene(adata: AnnData, basis: str, base: Place | None, manifold: Manifold) -> Scene:
    """The Poincare disk."""
    plane, points = hyperbolic_points(adata, basis, manifold)
    middle, name = (
        (plane.origin.numpy(), "origin") if base is None else Places(adata, points, plane, ()).find("base", base)
    )
    view = DiskView(plane, plane.log0(torch.from_numpy(middle)).numpy())
    xy = view.place(points)
    return Scene(
        xy,
        partial(disk_background, view=view, arcs=[], xy=xy, caption=f"centre: {name}", wide=True),
        lambda coloring: _projected(plane, points, coloring, view.place),
        view.place,
        lambda line: [view.place(line)],
        (4.2, 3.7),
        0.0,
        0.2,
    )


def _map_scene(adata: AnnData, basis: str, base: Place | None, path: Path) -> Scene:
    """A map of the whole sphere, of equal areas."""
    points = unit_rows(adata, basis)
    middle = _middle(path) if base is None else Places(adata, points, Sphere(2), ()).find("base", base)[0]
    x, y, z = middle
    view = View(float(np.degrees(np.arctan2(z, np.hypot(x, y)))), float(np.degrees(np.arctan2(y, x))))
    onto = Mollweide()

    def place(found: np.ndarray) -> np.ndarray:
        return onto.points(view.turn(found))

    return Scene(
        place(points),
        partial(map_background, projection=onto, view=view, labelled=True),
        lambda coloring: _projected(Sphere(2), points, coloring, place),
        place,
        lambda line: onto.line(view.turn(line)),
        (5.9, 2.7),
        0.0,
        0.2,
    )


@torch.no_grad()
def _middle(path: Path) -> np.ndarray:
    """A point `(3,)` of the globe around which a path lies: the sum of its points, or its middle one if that is 0."""
    total = path.points.sum(axis=0)
    length = float(np.linalg.norm(total))
    return total / length if length > 1e-6 * len(path.points) else path.points[len(path.points) // 2]


def _projected(
    manifold: Manifold, points: np.ndarray, coloring: Coloring, place: Callable[[np.ndarray], np.ndarray]
) -> Means:
    """The Frechet means of categories, where they fall in the plane."""
    (means,) = category_means(manifold, points, [coloring])
    return means.at(place(means.points))


@torch.no_grad()
def finely(path: Path) -> np.ndarray:
    """Many points `(m, ambient_dim)` on the geodesics from each point of a path to the next."""
    points = torch.from_numpy(path.points)
    if len(points) == 1:
        return path.points
    t = torch.linspace(0, 1, _FINE + 1, dtype=points.dtype)[:-1]
    legs = path.manifold.geodesic(points[:-1, None], points[1:, None], t)
    fine = torch.cat([legs.reshape(-1, points.shape[1]), points[-1:]])
    return path.manifold.project(fine).numpy()


def _unbroken(coordinates: np.ndarray) -> list[np.ndarray]:
    """The pieces of a line `(m, dim)`, broken where it jumps: opposite to the base of a sphere a small step does."""
    steps = np.linalg.norm(np.diff(coordinates, axis=0), axis=1)
    return np.split(coordinates, np.flatnonzero(steps > 20 * steps.mean()) + 1) if len(steps) else [coordinates]
