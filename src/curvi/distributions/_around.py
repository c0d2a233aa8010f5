"""Uniform points on a sphere, moved along their meridians to a given depth below a pole, and the gradient of that."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Size, Tensor

from curvi.distributions._arrays import add_product, components, dot, enter, leave, rows, single
from curvi.manifolds._device import library

# From this dimension on it is fast to run along rows, and a Gaussian row is never so close to the pole that its part
# beside the pole would have to be made orthogonal twice.
LONG_ROW = 16


class Meridians(NamedTuple):
    """Poles, and the directions in which uniform points lie from them, as arrays of one library."""

    xp: Any
    """The library, ``numpy`` or ``torch``."""
    pole: Any
    """The poles, ``(m, ...)``."""
    side: Any
    """Gaussian vectors ``(m, ...)``, whose part orthogonal to the pole is the direction."""
    along: Any
    """What is left of their part along the pole, ``(...)``."""
    square: Any
    """Squared length of the orthogonal part, ``(...)``."""
    cosine: Any
    """The cosine between pole and uniform point, ``(...)``, independent of the direction."""


def meridians(loc: Tensor, shape: Size) -> Meridians:
    """A uniform point for each place of ``shape``, seen from the poles ``loc (..., m)`` at the end of it.

    No axis is special and nothing is reflected: Gaussian vectors are taken apart into parts along and beside the pole.
    """
    m, dtype = loc.shape[-1], single(loc.dtype)
    xp = library(loc.device) if m < LONG_ROW else torch
    pole = components(xp, enter(xp, loc, dtype)).reshape(m, *[1] * (len(shape) + 1 - loc.ndim), *loc.shape[:-1])
    by_rows = torch.randn(*shape, m, dtype=dtype, device=loc.device) if xp is torch else None
    v = torch.randn(m, *shape, dtype=dtype).numpy() if by_rows is None else by_rows.moveaxis(-1, 0)
    along = dot(xp, v, pole)
    if m == 2:
        # Two directions are orthogonal to the pole; which of them, no rounding may leave open.
        beside = v[1] * pole[0] - v[0] * pole[1]
        one = xp.ones_like(beside)
        sign = xp.copysign(one, beside)
        side = xp.stack([-pole[1] * sign, pole[0] * sign])
        return Meridians(xp, pole, side, 0 * along, one, along / xp.sqrt(along * along + beside * beside))
    if m >= LONG_ROW:
        whole = dot(xp, v, v)
        return Meridians(xp, pole, v, along, whole - along * along, along / xp.sqrt(whole))
    v -= pole * along
    rest = dot(xp, v, pole)
    square = dot(xp, v, v) - rest * rest
    return Meridians(xp, pole, v, rest, square, along / xp.sqrt(along * along + square))


def place(at: Meridians, depth: Tensor) -> Any:
    """Points ``(m, ...)`` at depths ``1 - <mu, z>`` below their poles; the vectors of ``at`` are used up."""
    y = enter(at.xp, depth)
    scale = at.xp.sqrt(y * (2 - y) / at.square)
    z = at.side
    z *= scale
    return add_product(at.xp, z, at.pole, (1 - y) - scale * at.along)


def pull_back(xp: Any, pole: Any, depth: Tensor, z: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients in ``pole (m, ...)``, as rows, and in ``depth (...)``, from that in the rows of ``z (m, ...)``.

    The points turn with their pole by the smallest rotation that moves it, and sink with their depth on the meridian.
    """
    y, g = enter(xp, depth), components(xp, enter(xp, grad, depth.dtype))
    along, cosine = dot(xp, g, pole), 1 - y
    # dz/dy = (cos z - mu) / sin^2, by the difference of z and mu, whose rounding is that of small numbers near the
    # pole; the least number is for the pole itself.
    grad_depth = (cosine * dot(xp, g, z - pole) - y * along) / (y * (2 - y) + 1e-37)
    return leave(xp, rows(xp, add_product(xp, g * cosine, z, -along))), leave(xp, grad_depth)
