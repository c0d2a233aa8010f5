"""What draws were made from, kept for as long as they live and nobody has changed them."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_Made = TypeVar("_Made")


class Drawn(Generic[_Made]):
    """What is known of tensors of draws, by identity; it keeps no tensor alive, and nothing longer than its tensor."""

    def __init__(self) -> None:
        self._known = WeakTensorKeyDictionary()

    def __len__(self) -> int:
        return len(self._known)

    def remember(self, points: Tensor, made_from: _Made) -> None:
        """Keep what ``points`` were made from; a graph that is being compiled keeps nothing."""
        if not torch.compiler.is_compiling():
            self._known[points] = versions(points), made_from

    def recall(self, points: Tensor) -> _Made | None:
        """What ``points`` were made from; None if nobody knows, or if they are no longer what was drawn."""
        if torch.compiler.is_compiling() or is_variable(points):
            return None
        then, made_from = self._known.get(points, ((), None))
        return made_from if then == versions(points) else None


def versions(*tensors: Tensor) -> tuple[int | None, ...]:
    """How often tensors were changed in place; in inference mode nobody counts."""
    return tuple(None if tensor.is_inference() else tensor._version for tensor in tensors)


def is_variable(points: Tensor) -> bool:
    """Whether points are a leaf, made to differentiate by."""
    return points.is_leaf and points.requires_grad
