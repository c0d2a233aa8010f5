"""A globe in orthographic projection: where points fall on the picture, its grid of degrees and its light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle

from curvi.pl._panels import LINE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Towards the light, in (right, up, viewer) of the picture.
_LIGHT = np.array([-0.45, 0.60, 0.66]) / np.linalg.norm([-0.45, 0.60, 0.66])
_SHADOW, _LIT = np.array([0.52, 0.60, 0.69]), np.array([0.985, 0.99, 1.0])
# Half the height of the picture, in radii.
_REACH = 1.06
# What is drawn over what: paper, the hidden side, the grid behind, the globe, the grid in front, points, labels.
_PAPER, HIDDEN, _GRID_BEHIND, _GLOBE, _GRID_IN_FRONT, FRONT, LABELS = 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0


@dataclass(frozen=True)
class View:
    """The direction from which a sphere is seen, with the third axis upwards.

    Attributes
    ----------
    elev, azim
        Latitude and longitude of the point that faces the viewer, in degrees, as in matplotlib's 3-d axes.
    """

    elev: float
    azim: float

    @property
    def frame(self) -> np.ndarray:
        """Unit rows `(3, 3)`: to the right of the picture, up, and towards the viewer."""
        e, a = np.radians(self.elev), np.radians(self.azim)
        return np.array(
            [
                [-np.sin(a), np.cos(a), 0.0],
                [-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)],
                [np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)],
            ]
        )

    @property
    def opposite(self) -> View:
        """The view from the other side."""
        return View(-self.elev, self.azim + 180)

    def turn(self, points: np.ndarray) -> np.ndarray:
        """The coordinates `(..., 3)` of ``points (..., 3)`` to the right, up and towards the viewer."""
        return points @ self.frame.T

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where ``points (..., 3)`` fall on the picture, `(..., 2)`, and their depth `(...)` > 0 on the near side."""
        seen = self.turn(points)
        return seen[..., :2], seen[..., 2]


def views_around(points: np.ndarray, n_views: int) -> list[View]:
    """Views at equal angles around the sphere, turned so that ``points (n, 3)`` face a viewer as well as they can.

    The first is the one, of a grid of directions within 45 degrees of the equator, from which the sum over points of
    their largest depth in any of the views is largest; from two views on, every point is seen in one of them.
    """
    steps = np.arange(600)
    height = (1 - (2 * steps + 1) / 600) * np.sin(np.pi / 4)
    turn = steps * np.pi * (3 - np.sqrt(5))
    width = np.sqrt(1 - height**2)
    towards = np.stack([width * np.cos(turn), width * np.sin(turn), height], axis=1)
    right = np.stack([-np.sin(turn), np.cos(turn), np.zeros(600)], axis=1)
    angles = 2 * np.pi * np.arange(n_views)[:, None, None] / n_views
    directions = np.cos(angles) * towards + np.sin(angles) * right
    sample = points[:: max(1, len(points) // 2000)]
    depth = directions @ sample.T
    # Opposite views are worth the same; the first is to show more of the points.
    score = depth.max(axis=0).clip(min=0).mean(axis=1) + 1e-3 * depth[0].clip(min=0).mean(axis=1)
    chosen = directions[:, score.argmax()]
    elev, azim = np.degrees(np.arcsin(chosen[:, 2].clip(-1, 1))), np.degrees(np.arctan2(chosen[:, 1], chosen[:, 0]))
    return [View(float(e), float(a)) for e, a in zip(elev.round(), azim.round(), strict=True)]


def draw_globe(ax: Axes, view: View, aspect: float) -> None:
    """Draw a translucent, lit globe of radius 1 with meridians and parallels 30 degrees apart, and set the limits.

    ``aspect`` is the width of the picture over its height, at least 1; a wide one leaves room for labels.
    """
    # On any page the globe looks as it does on a white one.
    ax.add_patch(Circle((0, 0), 1, facecolor="white", edgecolor="none", zorder=_PAPER))
    behind, in_front = _graticule(view)
    ax.add_collection(LineCollection(behind, colors=LINE, linewidths=0.5, alpha=0.22, zorder=_GRID_BEHIND))
    ax.add_collection(LineCollection(in_front, colors=LINE, linewidths=0.6, alpha=0.55, zorder=_GRID_IN_FRONT))
    image = ax.imshow(
        _shading(320), extent=(-1, 1, -1, 1), origin="lower", interpolation="bilinear", zorder=_GLOBE, aspect="equal"
    )
    # The image has no sharp edge of its own; circles are drawn as curves.
    image.set_clip_path(Circle((0, 0), 1, transform=ax.transData))
    ax.add_patch(Circle((0, 0), 1, fill=False, edgecolor=LINE, linewidth=0.8, alpha=0.9, zorder=_GRID_IN_FRONT))
    ax.set(xlim=(-aspect * _REACH, aspect * _REACH), ylim=(-_REACH, _REACH))
    ax.set_axis_off()


def direction_text(view: View) -> str:
    """Latitude and longitude of the point that faces the viewer, to read."""
    azim = (view.azim + 180) % 360 - 180
    north, east = ("NS"[view.elev < 0] if round(view.elev) else ""), ("EW"[azim < 0] if abs(round(azim)) % 180 else "")
    return f"{abs(view.elev):.0f}°{north}  {abs(azim):.0f}°{east}"


def graticule() -> list[np.ndarray]:
    """Twelve half meridians and five parallels, 30 degrees apart, as lines `(n, 3)` of points a degree apart."""
    lon, lat = np.radians(np.arange(0, 360, 30)), np.radians(np.arange(-60, 90, 30))
    along, around = np.radians(np.linspace(-90, 90, 181)), np.radians(np.linspace(0, 360, 361))
    lines = [_at(along, np.full_like(along, value)) for value in lon]
    return lines + [_at(np.full_like(around, value), around) for value in lat]


def _graticule(view: View) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pieces `(n, 2)` of meridians and parallels on the picture, behind the globe and in front of it."""
    pieces: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for line in graticule():
        xy, depth = view.project(line)
        near = depth >= 0
        cuts = np.flatnonzero(near[1:] != near[:-1]) + 1
        for start, stop in zip([0, *cuts], [*cuts, len(line)], strict=True):
            # One point of the next piece closes the gap between them.
            pieces[int(near[start])].append(xy[start : stop + 1])
    return pieces


def _at(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Points `(n, 3)` at latitudes and longitudes `(n,)` in radians."""
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


def _shading(n: int) -> np.ndarray:
    """An image `(n, n, 4)` of the square around the globe: Lambert's cosine law, a highlight, and a denser rim."""
    side = (np.arange(n) + 0.5) / n * 2 - 1
    x, y = np.meshgrid(side, side)
    # Beyond the rim the surface goes on as its edge, so that interpolation there brings in no other colour.
    r = np.hypot(x, y).clip(min=1e-9)
    x, y = x / r.clip(min=1), y / r.clip(min=1)
    normal = np.stack([x, y, np.sqrt((1 - x**2 - y**2).clip(min=0))], axis=-1)
    light = (normal @ _LIGHT).clip(min=0)
    color = _SHADOW + (0.3 + 0.7 * light)[..., None] * (_LIT - _SHADOW)
    halfway = _LIGHT + np.array([0, 0, 1])
    highlight = (normal @ (halfway / np.linalg.norm(halfway))).clip(min=0) ** 40
    color += 0.5 * highlight[..., None] * (1 - color)
    opacity = 0.62 + 0.3 * (1 - normal[..., 2]) ** 2.5
    return np.concatenate([color, opacity[..., None]], axis=-1).clip(0, 1)
