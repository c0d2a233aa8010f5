"""Noise put on the input of an encoder, never on what the decoder has to explain."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CountThinning(nn.Module):
    r"""Remove each molecule with the same probability: :math:`x'_{ig} \sim \mathrm{Binomial}(x_{ig}, 1 - r)`.

    A cell and its thinned copy differ only in sequencing depth.

    Parameters
    ----------
    rate
        The expected fraction :math:`r` of the counts that is removed, in (0, 1).

    Raises
    ------
    ValueError
        If ``rate`` is not strictly between 0 and 1.

    Examples
    --------
    >>> import torch
    >>> counts = torch.full((1, 1000), 10.0)
    >>> thinned = CountThinning(0.2)(counts)
    >>> bool((thinned <= counts).all()), 7.5 < thinned.mean().item() < 8.5
    (True, True)
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0.0 < rate < 1.0:
            raise ValueError(f"`thinning_rate` is {rate}; it must lie strictly between 0 and 1.")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Thinned counts of the same shape as ``x``, non-negative integers ``(n, n_features)``."""
        thinned = x.clone()
        # Zeros stay zero, and most entries are zeros.
        present = x > 0
        counts = x[present]
        thinned[present] = torch.binomial(counts, torch.full_like(counts, 1.0 - self.rate))
        return thinned
