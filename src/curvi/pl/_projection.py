"""Equal-area maps of the unit sphere: where points and lines fall on them."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from curvi._named import Named


class Projection(Named, ABC, argument="projection"):
    """A map of the sphere, cut along a line, onto the plane, on which every region has its true area.

    Points are *seen*: unit rows `(..., 3)` to the right, up and towards the viewer, who looks at the middle of the map.
    Lengths are in radii.

    Attributes
    ----------
    ellipses
        The outline: centre x and y, and half the width and height, of each ellipse, `(n, 4)`.
    """

    ellipses: np.ndarray

    @abstractmethod
    def level(self, seen: np.ndarray) -> np.ndarray:
        """What changes its sign, `(...)`, across the cut."""

    @abstractmethod
    def at_cut(self, seen: np.ndarray) -> np.ndarray:
        """Whether points where :meth:`level` vanishes lie on the cut, `(...)`."""

    @abstractmethod
    def place(self, seen: np.ndarray, side: np.ndarray) -> np.ndarray:
        """Where points fall on the map, `(..., 2)`; ``side (...)`` is the sign of their level, or either on the cut."""

    def points(self, seen: np.ndarray) -> np.ndarray:
        """Where points ``seen (..., 3)`` fall on the map, `(..., 2)`."""
        return self.place(seen, np.where(self.level(seen) < 0, -1.0, 1.0))

    def line(self, seen: np.ndarray) -> list[np.ndarray]:
        """The pieces `(m, 2)` of a line through points ``seen (n, 3)``, which ends and goes on at the cut."""
        level = self.level(seen)
        side = _filled_signs(level)
        start = 0
        pieces: list[np.ndarray] = []
        head: list[np.ndarray] = []
        for i in (np.flatnonzero(side[1:] != side[:-1]) + 1).tolist():
            share = level[i - 1] / (level[i - 1] - level[i])
            meeting = (1 - share) * seen[i - 1] + share * seen[i]
            if not self.at_cut(meeting):
                continue
            # One place on the sphere, two on the map.
            before, after = self.place(np.tile(meeting / np.linalg.norm(meeting), (2, 1)), side[[i - 1, i]])
            pieces.append(np.concatenate([*head, self.place(seen[start:i], side[start:i]), before[None]]))
            start, head = i, [after[None]]
        pieces.append(np.concatenate([*head, self.place(seen[start:], side[start:])]))
        return pieces


class _Oval(Projection, ABC):
    """The whole sphere in one ellipse, twice as wide as high, cut along the meridian opposite to the viewer."""

    ellipses = np.array([[0.0, 0.0, 2 * np.sqrt(2), np.sqrt(2)]])

    def level(self, seen: np.ndarray) -> np.ndarray:
        """The coordinate to the right."""
        return seen[..., 0]

    def at_cut(self, seen: np.ndarray) -> np.ndarray:
        """Whether points face away from the viewer."""
        return seen[..., 2] < 0

    def _longitude(self, seen: np.ndarray, side: np.ndarray) -> np.ndarray:
        return np.copysign(np.arctan2(seen[..., 0], seen[..., 2]), side)


class Mollweide(_Oval, name="mollweide"):
    r"""Parallels are straight: :math:`x = \frac{2 \sqrt 2}{\pi} \lambda \cos\theta`, :math:`y = \sqrt 2 \sin\theta`.

    Here :math:`2 \theta + \sin 2 \theta = \pi \sin\varphi`, for longitude :math:`\lambda` and latitude
    :math:`\varphi`.
    """

    def place(self, seen: np.ndarray, side: np.ndarray) -> np.ndarray:
        """Where points fall, `(..., 2)`, within the ellipse."""
        sine = seen[..., 1].clip(-1, 1)
        # u = pi - 2 |theta| solves u - sin u = a; Newton's steps from the first term of the series converge everywhere.
        rest = (seen[..., 0] ** 2 + seen[..., 2] ** 2) / (1 + np.abs(sine))
        u = np.cbrt(6 * np.pi * rest)
        for _ in range(6):
            slope = 2 * np.sin(u / 2) ** 2
            u = u - (u - np.sin(u) - np.pi * rest) / np.where(slope > 0, slope, 1)
        x = 2 * np.sqrt(2) / np.pi * self._longitude(seen, side) * np.sin(u / 2)
        return np.stack([x, np.copysign(np.sqrt(2) * np.cos(u / 2), sine)], axis=-1)


class Hammer(_Oval, name="hammer"):
    r"""Parallels are bent, and shapes near the edge are sheared less: Lambert's map of half the longitude, stretched.

    :math:`x = 2 \sqrt 2 \cos\varphi \sin(\lambda / 2) / s` and :math:`y = \sqrt 2 \sin\varphi / s` with
    :math:`s^2 = 1 + \cos\varphi \cos(\lambda / 2)`, for longitude :math:`\lambda` and latitude :math:`\varphi`.
    """

    def place(self, seen: np.ndarray, side: np.ndarray) -> np.ndarray:
        """Where points fall, `(..., 2)`, within the ellipse."""
        half = 0.5 * self._longitude(seen, side)
        cosine = np.hypot(seen[..., 0], seen[..., 2])
        scale = np.sqrt(2 / (1 + cosine * np.cos(half)))
        return np.stack([2 * scale * cosine * np.sin(half), scale * seen[..., 1]], axis=-1)


class Lambert(Projection, name="lambert"):
    r"""The near half of the sphere in one disk and the far half in another, each seen from its own side.

    A point at the angle :math:`a \le \pi / 2` from the middle of its half lies at the distance
    :math:`2 \sin(a / 2)` from the middle of its disk, in its true direction.
    """

    # The second is to the right of the first, with a little space between them.
    ellipses = np.array([[-1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 1.0, 1.0]]) * np.sqrt(2) * np.array([1.03, 1.0, 1.0, 1.0])

    def level(self, seen: np.ndarray) -> np.ndarray:
        """The coordinate towards the viewer."""
        return seen[..., 2]

    def at_cut(self, seen: np.ndarray) -> np.ndarray:
        """Everywhere."""
        return np.full(seen.shape[:-1], fill_value=True)

    def place(self, seen: np.ndarray, side: np.ndarray) -> np.ndarray:
        """Where points fall, `(..., 2)`, within the disk of their side."""
        scale = np.sqrt(2 / (1 + np.abs(seen[..., 2])))
        return np.stack([side * (scale * seen[..., 0] + self.ellipses[0, 0]), scale * seen[..., 1]], axis=-1)


def _filled_signs(level: np.ndarray) -> np.ndarray:
    """The signs `(n,)` of ``level (n,)``; where it vanishes, the sign before, or at the start the first one, or 1."""
    sign = np.where(np.abs(level) < 1e-12, 0.0, np.sign(level))
    known = np.flatnonzero(sign)
    if not len(known):
        return np.ones_like(sign)
    return sign[known[(np.searchsorted(known, np.arange(len(sign)), side="right") - 1).clip(min=0)]]
