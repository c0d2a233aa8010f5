"""Rows of features, dense or compressed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def unit_rows(x: Tensor) -> Tensor:
    """Rows ``(n, n_features)``, dense or compressed, each scaled to length 1; a row of zeros stays one.

    Examples
    --------
    >>> import torch
    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    if x.layout != torch.sparse_csr:
        return functional.normalize(x, dim=-1)
    values, n_entries = x.values(), x.crow_indices().diff()
    row = torch.repeat_interleave(n_entries)
    squares = values.new_zeros(len(n_entries)).index_add_(0, row, values * values)
    scaled = values / squares.sqrt().clamp_min(1e-12)[row]
    return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), scaled, size=x.shape, check_invariants=False)
