"""What the batch levels and continuous covariates of a cell add to a layer."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence


class CovariateShift(nn.Module):
    r"""The sum over batch levels of a learned row for the cell's category, and a linear map of continuous covariates.

    .. math:: s_i = \sum_\ell T^{(\ell)}_{c_{i\ell}} + W a_i

    Added to the pre-activation of a layer, this is the same function as concatenating one-hot vectors to the layer's
    input. But each level keeps its own table, so that a new category is a new row of one table and moves nothing else.

    Parameters
    ----------
    n_out
        Width of the layer that is shifted.
    n_per_level
        The number of categories of each level.
    n_continuous
        The number of continuous covariates.
    fan_in
        Width of the layer's input; rows start uniform in :math:`\pm 1/\sqrt{\text{fan\_in}}`, as the layer's weights
        do.

    Examples
    --------
    >>> import torch
    >>> shift = CovariateShift(8, n_per_level=[3, 2], fan_in=16)
    >>> shift(torch.tensor([[0, 1], [2, 0]])).shape
    torch.Size([2, 8])
    """

    def __init__(self, n_out: int, n_per_level: Sequence[int], n_continuous: int = 0, *, fan_in: int) -> None:
        super().__init__()
        bound = 1.0 / sqrt(fan_in)
        self.tables = nn.ParameterList(torch.empty(n, n_out).uniform_(-bound, bound) for n in n_per_level)
        self.slope = nn.Parameter(torch.empty(n_out, n_continuous).uniform_(-bound, bound)) if n_continuous else None

    def forward(self, levels: Tensor, continuous: Tensor | None = None) -> Tensor:
        """The shift of each cell.

        Parameters
        ----------
        levels
            Categories, int64, ``(n, n_levels)``.
        continuous
            Continuous covariates, ``(n, n_continuous)``.

        Returns
        -------
        Shifts, ``(n, n_out)``.
        """
        parts = [functional.embedding(levels[:, i], table) for i, table in enumerate(self.tables)]
        if self.slope is not None:
            if continuous is None:
                raise ValueError(
                    f"`continuous` is missing; this layer was built for {self.slope.shape[1]} continuous covariates, "
                    "pass them with shape (n, n_continuous)."
                )
            parts.append(functional.linear(continuous, self.slope))
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]


def row_spread(module: nn.Module, level: int) -> Tensor:
    """The squares of the rows of a level about their mean row, summed over all tables in a module, shape ``()``."""
    tables = [part.tables[level] for part in module.modules() if isinstance(part, CovariateShift) and part.tables]
    return torch.stack([(table - table.mean(0)).square().sum() for table in tables]).sum()


class Covariates(NamedTuple):
    """What a network sees of a cell beside its input.

    Attributes
    ----------
    n_per_level
        The number of categories of each batch level.
    n_continuous
        The number of continuous covariates.
    """

    n_per_level: Sequence[int] = ()
    n_continuous: int = 0

    def shift(self, n_out: int, fan_in: int) -> CovariateShift | None:
        """The shift of a layer of width ``n_out``; None where there is nothing to see."""
        if not len(self.n_per_level) and not self.n_continuous:
            return None
        return CovariateShift(n_out, self.n_per_level, self.n_continuous, fan_in=fan_in)
