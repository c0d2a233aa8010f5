"""How many threads torch computes with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def threads(number: int | None = None) -> Iterator[None]:
    """Compute with so many threads of torch, or with those there are; afterwards there are as many as before.

    numba, which scanpy calls, shares OpenMP with torch: when it first starts its own threads, it sets the number for
    both, whatever ``OMP_NUM_THREADS`` says. On a busy machine training was fifty times slower after that.

    Examples
    --------
    >>> with threads(1):
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
