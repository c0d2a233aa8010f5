"""Images as bytes, each pixel drawn so large that they can be looked at."""

from __future__ import annotations

from math import ceil
from operator import index

import numpy as np

# Pixels that the longer side of small images is at least enlarged to.
_LEGIBLE = 200


def enlargement(shape: tuple[int, ...], scale: int | None) -> int:
    """How many pixels wide and high each pixel of images ``(h, w, ...)`` is drawn.

    Raises
    ------
    ValueError
        If ``scale`` is below 1.
    """
    if scale is None:
        return ceil(_LEGIBLE / max(shape[:2]))
    if index(scale) < 1:
        raise ValueError(f"`scale` is {scale}; expected at least 1.")
    return index(scale)


def as_bytes(tiles: np.ndarray) -> np.ndarray:
    """Colours `(n, h, w, 4)` in [0, 1] as red, green and blue on white, `(n, h, w, 3)`, 0 to 255."""
    opaque = 1 + tiles[..., 3:] * (tiles[..., :3] - 1)
    return np.round(255 * opaque).astype(np.uint8)


def enlarged(image: np.ndarray, times: int) -> np.ndarray:
    """An image `(h, w, 3)` with each pixel as a square, `(times * h, times * w, 3)`."""
    return image.repeat(times, axis=0).repeat(times, axis=1)
