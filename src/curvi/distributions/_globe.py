"""A few draws on the globe and their gradients, each in one compiled pass; every call of one costs as much as it does.

The numbers are those of ``_around_rows`` and ``_depth``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Size, Tensor

from curvi._compiled import compiled
from curvi.distributions._arrays import flat, repeated, row_by_row, shaped, single
from curvi.distributions._row_kernel import globe_rows, globe_slope_rows, meridian_rows, place_rows, pull_back_rows

if TYPE_CHECKING:
    from curvi.distributions._tilts import Tilt

Array = np.ndarray[Any, Any]

GLOBE = 3
"""The ambient dimension."""


@compiled(nogil=True, error_model="numpy")
def _draw_rows(power: bool, eps: float, normal: Array, pole: Array, kappa: Array, depth: Array, z: Array) -> None:
    cosine = np.empty_like(depth)
    meridian_rows(normal, False, pole, z, cosine)
    globe_rows(power, eps, kappa, cosine, depth)
    place_rows(pole, depth, z)


@compiled(nogil=True, error_model="numpy")
def _gradient_rows(
    power: bool,
    eps: float,
    kappa: Array,
    depth: Array,
    pole: Array,
    z: Array,
    grad: Array,
    in_pole: Array,
    in_kappa: Array,
) -> None:
    pull_back_rows(depth, pole, z, grad, in_pole, in_kappa)
    slope = np.empty_like(depth)
    globe_slope_rows(power, eps, kappa, depth, slope)
    in_kappa *= slope


def draw_on_globe(tilt: Tilt, loc: Tensor, kappa: Tensor, shape: Size) -> tuple[Tensor, Tensor, Tensor]:
    """Draws ``(*shape, 3)``, their depths ``shape`` and the poles that they lie around.

    Parameters
    ----------
    tilt
        The law of the depths.
    loc, kappa
        Mean directions ``(..., 3)`` and concentrations ``(...)``.
    shape
        How many draws, at its end as ``kappa``.
    """
    dtype, rows = single(loc.dtype), Size((*shape, GLOBE))
    pole = repeated(loc.detach().to(dtype), rows).contiguous()
    normal = torch.randn(GLOBE, *shape, dtype=dtype).numpy().ravel()
    n = shape.numel()
    depth, z = np.empty(n, normal.dtype), np.empty((n, GLOBE), normal.dtype)
    kappas = flat(repeated(kappa, shape))
    _draw_rows(tilt.is_power, torch.finfo(dtype).eps, normal, row_by_row(pole, GLOBE), kappas, depth, z)
    return shaped(z, rows), shaped(depth, shape), pole


def pull_back_on_globe(
    tilt: Tilt, kappa: Tensor, depth: Tensor, pole: Tensor, z: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients in the pole and the concentration of each of the points ``z (..., 3)`` from ``grad (..., 3)``."""
    y = flat(depth)
    in_pole, in_kappa = np.empty((len(y), GLOBE), y.dtype), np.empty(len(y), y.dtype)
    rows = (row_by_row(x, GLOBE) for x in (pole, z, grad.to(depth.dtype)))
    kappas = flat(repeated(kappa, depth.shape))
    _gradient_rows(tilt.is_power, torch.finfo(depth.dtype).eps, kappas, y, *rows, in_pole, in_kappa)
    return shaped(in_pole, z.shape), shaped(in_kappa, depth.shape)
