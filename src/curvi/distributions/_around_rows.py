"""A few uniform points on a sphere, moved along their meridians in compiled passes over their rows; see ``_around``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Size, Tensor

from curvi.distributions._around import LONG_ROW
from curvi.distributions._arrays import flat, repeated, row_by_row, shaped, single
from curvi.distributions._row_kernel import meridian_rows, place_rows, pull_back_rows


class RowMeridians(NamedTuple):
    """Poles, and the directions in which uniform points lie from them."""

    pole: Tensor
    """The poles, unit rows ``(..., m)``."""
    side: np.ndarray[Any, Any]
    """Unit rows orthogonal to the poles, ``(n, m)``."""
    cosine: Tensor
    """The cosine between pole and uniform point, ``(*sample_shape, ...)``, independent of the direction."""


def row_meridians(loc: Tensor, shape: Size) -> RowMeridians:
    """A uniform point for each place of ``shape``, seen from the poles ``loc (..., m)`` at the end of it.

    The random numbers are those of :func:`~curvi.distributions._around.meridians`.
    """
    m, dtype = loc.shape[-1], single(loc.dtype)
    pole = repeated(loc.detach().to(dtype), shape + loc.shape[-1:]).contiguous()
    by_row = m >= LONG_ROW
    normal = torch.randn(*((*shape, m) if by_row else (m, *shape)), dtype=dtype).numpy().ravel()
    cosine = np.empty(shape.numel(), normal.dtype)
    side = np.empty((len(cosine), m), normal.dtype)
    meridian_rows(normal, by_row, row_by_row(pole, m), side, cosine)
    return RowMeridians(pole, side, shaped(cosine, shape))


def place_by_rows(at: RowMeridians, depth: Tensor) -> Tensor:
    """Points ``(*sample_shape, ..., m)`` at depths below their poles, in the place of the directions of ``at``."""
    m = at.side.shape[-1]
    place_rows(row_by_row(at.pole, m), flat(depth), at.side)
    return shaped(at.side, depth.shape + at.pole.shape[-1:])


def pull_back_by_rows(pole: Tensor, depth: Tensor, z: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients in the pole of each of the points ``z (..., m)`` and in ``depth (...)`` from ``grad (..., m)``."""
    m, y = z.shape[-1], flat(depth)
    in_pole, in_depth = np.empty((len(y), m), y.dtype), np.empty(len(y), y.dtype)
    rows = (row_by_row(x, m) for x in (pole, z, grad.to(depth.dtype)))
    pull_back_rows(y, *rows, in_pole, in_depth)
    return shaped(in_pole, z.shape), shaped(in_depth, depth.shape)
