"""Kinds of numbers that a likelihood describes: what an encoder is given of them, and which data are none of theirs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from curvi._compressed import is_compressed, row_sums, with_values


class Observations(ABC):
    """A kind of numbers: how cells are shown to an encoder, how large a cell is, and whether data are of the kind.

    Attributes
    ----------
    are_counts
        Whether they are 0, 1, 2, ...
    keeps_zeros
        Whether an encoder is given each number by itself, and 0 as 0, so that zeros need not be looked at.
    """

    are_counts: ClassVar[bool]
    keeps_zeros: ClassVar[bool] = False

    @abstractmethod
    def encoder_input(self, x: Tensor) -> Tensor:
        """What an encoder is given of data ``(n, n_features)``, in the same shape."""

    @abstractmethod
    def size_factor(self, x: Tensor) -> Tensor:
        """The size of each cell of data ``(n, n_features)`` where the user gives none, ``(n, 1)``."""

    @abstractmethod
    def check(self, x: Any, likelihood: str, first_row: int) -> None:
        """Raise unless a block of rows ``(n, n_features)`` is of this kind."""


class Counts(Observations):
    """Numbers of molecules: 0, 1, 2, ..., as integers or floating-point numbers; no cell without any."""

    are_counts = True
    keeps_zeros = True

    def encoder_input(self, x: Tensor) -> Tensor:
        """``log(1 + x)``."""
        return with_values(x, torch.log1p(x.values())) if is_compressed(x) else torch.log1p(x)

    def size_factor(self, x: Tensor) -> Tensor:
        """The total count of each cell."""
        return row_sums(x) if is_compressed(x) else x.sum(-1, keepdim=True)

    def check(self, x: Any, likelihood: str, first_row: int) -> None:
        """Raise unless all entries are counts and no cell is empty."""
        block = _Block(x, first_row)
        remedy = f"likelihood {likelihood!r} needs counts. Choose likelihood='normal' or pass `layer=`."
        block.check_finite(remedy)
        if block.values.size and block.values.min() < 0:
            raise ValueError(f"`X` has negative values (smallest {block.entry(int(block.values.argmin()))}); {remedy}")
        if block.values.dtype.kind == "f":
            fractional = block.values != np.rint(block.values)
            if fractional.any():
                raise ValueError(f"`X` has fractional values (first {block.entry(int(fractional.argmax()))}); {remedy}")
        empty = np.asarray(block.matrix.sum(axis=1)).ravel() == 0
        if empty.any():
            last_row = first_row + len(empty) - 1
            raise ValueError(
                f"`X` has empty cells ({empty.sum()} in rows {first_row} to {last_row}, the first in row "
                f"{first_row + empty.argmax()}); likelihood {likelihood!r} needs at least one count in each cell. "
                "Remove them with `scanpy.pp.filter_cells(adata, min_counts=1)`."
            )


class RealValues(Observations):
    """Any real numbers."""

    are_counts = False
    keeps_zeros = True

    def encoder_input(self, x: Tensor) -> Tensor:
        """The data as they are."""
        return x

    def size_factor(self, x: Tensor) -> Tensor:
        """One for each cell: real values are on a scale of their own."""
        return torch.ones((*x.shape[:-1], 1), dtype=x.dtype, device=x.device)

    def check(self, x: Any, likelihood: str, first_row: int) -> None:
        """Raise unless all entries are finite."""
        _Block(x, first_row).check_finite(
            f"likelihood {likelihood!r} needs finite numbers. Fill or remove them, or pass `layer=`."
        )


class UnitInterval(Observations):
    """Numbers from 0 to 1, such as the pixels of a picture."""

    are_counts = False
    keeps_zeros = True

    def encoder_input(self, x: Tensor) -> Tensor:
        """The data as they are."""
        return x

    def size_factor(self, x: Tensor) -> Tensor:
        """One for each cell: brightness is on a scale of its own."""
        return torch.ones((*x.shape[:-1], 1), dtype=x.dtype, device=x.device)

    def check(self, x: Any, likelihood: str, first_row: int) -> None:
        """Raise unless all entries are finite and lie in [0, 1]."""
        block = _Block(x, first_row)
        remedy = (
            f"likelihood {likelihood!r} needs numbers from 0 to 1. Load pictures with `curvi.data.from_images`, or "
            "divide 8-bit pixels by 255."
        )
        block.check_finite(remedy)
        if not block.values.size:
            return
        for position in (int(block.values.argmin()), int(block.values.argmax())):
            if not 0 <= block.values[position] <= 1:
                raise ValueError(f"`X` has values outside [0, 1] ({block.entry(position)}); {remedy}")


class _Block:
    """Consecutive rows of a matrix: its stored entries ``values``, and which row each of them lies in."""

    def __init__(self, x: Any, first_row: int) -> None:
        self.matrix: Any = x.tocsr() if sparse.issparse(x) else np.asarray(x)
        self.values: np.ndarray[Any, Any] = np.asarray(self.matrix.data if sparse.issparse(x) else self.matrix).reshape(
            -1
        )
        self.first_row = first_row
        if self.values.dtype.kind not in "biuf":
            raise ValueError(f"`X` has entries of type {self.values.dtype}; it must be a matrix of numbers.")

    def entry(self, position: int) -> str:
        """An entry and its row, for a message."""
        if sparse.issparse(self.matrix):
            row = int(np.searchsorted(self.matrix.indptr, position, side="right")) - 1
        else:
            row = position // self.matrix.shape[1]
        return f"{self.values[position]:g} in row {self.first_row + row}"

    def check_finite(self, remedy: str) -> None:
        """Raise if an entry is missing or infinite."""
        if self.values.dtype.kind != "f":
            return
        finite = np.isfinite(self.values)
        if not finite.all():
            raise ValueError(f"`X` has missing or infinite values (first {self.entry(int(finite.argmin()))}); {remedy}")
