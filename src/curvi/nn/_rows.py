"""Rows of features, dense or compressed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from curvi._compressed import is_compressed, row_sums, with_values


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
    values = x.values()
    length = row_sums(with_values(x, values * values)).sqrt().clamp_min(1e-12)
    return with_values(x, values / torch.repeat_interleave(length, x.crow_indices().diff()))
