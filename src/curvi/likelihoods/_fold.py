"""Values in the unit interval seen from the bound that their logit points to."""

from __future__ import annotations

import torch
from torch import Tensor


def fold(logits: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    r"""The size of each logit, and how far each value is from the bound that the logit points to.

    A density in which value and logit meet as :math:`\eta x` is the same in terms of :math:`a = |\eta|` and of
    :math:`d = 1 - x` for positive logits, :math:`d = x` for negative ones:

    .. math:: \eta x - \max(\eta, 0) = -a\,d

    Nothing cancels on the right-hand side, so that probable values keep their relative precision at any logit.

    Parameters
    ----------
    logits
        :math:`\eta`, ``(...)``.
    value
        :math:`x \in [0, 1]`, any shape that broadcasts with the logits.

    Returns
    -------
    :math:`a`, ``(...)``, whose gradient is 1 at a logit of 0 so that the chain rule holds there, and :math:`d`.

    Examples
    --------
    >>> fold(torch.tensor([-3.0, 3.0]), torch.tensor(0.25))
    (tensor([3., 3.]), tensor([0.2500, 0.7500]))
    """
    upward = logits >= 0
    return torch.where(upward, logits, -logits), torch.where(upward, 1 - value, value)
