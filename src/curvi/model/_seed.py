"""The seed of everything that is drawn."""

from __future__ import annotations

from scvi import settings


def set_seed(seed: int) -> None:
    """Make what follows repeatable: initial weights, the split of the cells, minibatches, dropout and draws.

    Parameters
    ----------
    seed
        An integer in [0, 4294967295]; the same as setting ``scvi.settings.seed``.

    Raises
    ------
    ValueError
        If the number is out of range.

    Examples
    --------
    >>> import torch
    >>> from curvi.model import set_seed
    >>> set_seed(0)
    >>> first = torch.rand(3)
    >>> set_seed(0)
    >>> bool((torch.rand(3) == first).all())
    True
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"`seed` is {seed}; it must lie between 0 and {2**32 - 1}.")
    settings.seed = seed
