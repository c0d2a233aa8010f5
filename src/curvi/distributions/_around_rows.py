"""A few uniform points on a sphere, moved along their meridians in compiled passes over their rows; see ``_around``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Size, Tensor

from curvi.distributions._around import LONG_ROW
from curvi.distributions._arrays import flat, repeated, single
from curvi.distributions._row_kernel import meridian_rows, place_rows, pull_back_rows


class RowMeridians(NamedTuple):
    """Poles, and the directions in which uniform points lie from them."""

    pole: Tensor
    """The poles, unit rows ``(..., m)``."""
    side: Tensor
    """Unit rows orthogonal to the poles, ``(*sample_shape, ..., m)``."""
    cosine: Tensor
    """The cosine between pole and uniform point, ``(*sample_shape, ...)``, independent of the direction."""


def row_meridians(loc: Tensor, shape: Size) -> RowMeridians:
    """A uniform point for each place of ``shape``, seen from the poles ``loc (..., m)`` at the end of it.

    The random numbers are those of :func:`~curvi.distributions._around.meridians`.
    """
    m, dtype = loc.shape[-1], single(loc.dtype)
    pole = repeated(loc.detach().to(dtype), shape + loc.shape[-1:]).contiguous()
    by_row = m >= LONG_ROW
    normal = torch.randn(*shape, m, dtype=dtype) if by_row else torch.randn(m, *shape, dtype=dtype)
    side, cosine = torch.empty(*shape, m, dtype=dtype), torch.empty(shape, dtype=dtype)
    meridian_rows(
        normal.view(-1).numpy(), by_row, pole.view(-1, m).numpy(), side.view(-1, m).numpy(), cosine.view(-1).numpy()
    )
    return RowMeridians(pole, side, cosine)


def place_by_rows(at: RowMeridians, depth: Tensor) -> Tensor:
    """Points ``(*sample_shape, ..., m)`` at depths below their poles, in the place of the directions of ``at``."""
    m = at.side.shape[-1]
    place_rows(at.pole.view(-1, m).numpy(), flat(depth), at.side.view(-1, m).numpy())
    return at.side


def pull_back_by_rows(pole: Tensor, depth: Tensor, z: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients in the pole of each of the points ``z (..., m)`` and in ``depth (...)`` from ``grad (..., m)``."""
    m, dtype = z.shape[-1], depth.dtype
    in_pole, in_depth = torch.empty(z.shape, dtype=dtype), torch.empty(depth.shape, dtype=dtype)
    pull_back_rows(
        pole.view(-1, m).numpy(),
        flat(depth),
        z.detach().view(-1, m).numpy(),
        grad.detach().to(dtype).contiguous().view(-1, m).numpy(),
        in_pole.view(-1, m).numpy(),
        in_depth.view(-1).numpy(),
    )
    return in_pole, in_depth
