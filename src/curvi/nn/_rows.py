"""Rows of features, dense or compressed."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from curvi._compiled import compiled
from curvi._compressed import is_compressed, parts_of, with_values
from curvi._recording import recorded_whole


@recorded_whole
def unit_rows(x: Tensor) -> Tensor:
    """Rows ``(n, n_features)``, dense or compressed, each scaled to length 1; a row of zeros stays one.

    Examples
    --------
    >>> import torch
    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    if not is_compressed(x):
        return functional.normalize(x, dim=-1)
    starts, _, values = parts_of(x)
    scaled = torch.empty_like(values)
    _scale(*(np.asarray(part) for part in (starts, values, scaled)))
    return with_values(x, scaled)


@compiled(nogil=True, fastmath={"reassoc"})
def _scale(starts: Any, values: Any, scaled: Any) -> None:
    for i in range(len(starts) - 1):
        # Parts that begin at 0 are done many entries at a time.
        row, to = values[starts[i] : starts[i + 1]], scaled[starts[i] : starts[i + 1]]
        square = 0.0
        for k in range(len(row)):
            square += np.float64(row[k]) * np.float64(row[k])
        inverse = values.dtype.type(1 / max(sqrt(square), 1e-12))
        for k in range(len(row)):
            to[k] = row[k] * inverse
