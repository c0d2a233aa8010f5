"""Categories to decode cells under, in the place of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from curvi.data import BatchLevels


@dataclass(frozen=True)
class Counterfactual:
    """One category for some of the batch levels; the others stay what they are.

    Attributes
    ----------
    codes
        The code of the category by the number of its level.
    """

    codes: Mapping[int, int]

    def apply(self, levels: Tensor) -> Tensor:
        """The codes ``(n, n_levels)`` of cells with these categories in the place of theirs."""
        if not self.codes:
            return levels
        changed = levels.clone()
        for level, code in self.codes.items():
            changed[:, level] = code
        return changed


def counterfactuals(transform_batch: Any, levels: BatchLevels) -> list[Counterfactual]:
    """What ``transform_batch`` asks for: every combination of the categories that it names.

    Parameters
    ----------
    transform_batch
        None for the categories of the cells; a category of the first level or a list of them; or ``{level: category or
        list of categories}``.
    levels
        The levels of the model.

    Raises
    ------
    ValueError
        If a level or a category is not known, or a list is empty.
    """
    if transform_batch is None:
        return [Counterfactual({})]
    if isinstance(transform_batch, Mapping):
        asked = dict(transform_batch)
    elif levels.names:
        asked = {levels.names[0]: transform_batch}
    else:
        raise ValueError(
            f"`transform_batch` is {transform_batch!r}, but the model has no batch levels; register them with "
            "`setup_anndata(batch_key=...)`."
        )
    unknown = [name for name in asked if name not in levels.names]
    if unknown:
        known = ", ".join(map(repr, levels.names)) or "none"
        raise ValueError(f"`transform_batch` names {unknown[0]!r}; the batch levels of the model are {known}.")
    codes = {levels.names.index(name): _codes(name, given, levels.categories[name]) for name, given in asked.items()}
    return [Counterfactual(dict(zip(codes, combination, strict=True))) for combination in product(*codes.values())]


def _codes(level: str, given: Any, known: tuple[Any, ...]) -> list[int]:
    """The codes of a category, or of each in a list of them."""
    several = isinstance(given, list | tuple | set | frozenset | np.ndarray)
    categories = list(given) if several else [given]
    if not categories:
        raise ValueError(f"`transform_batch` has an empty list for batch level {level!r}; leave the level out.")
    for category in categories:
        if category not in known:
            raise ValueError(
                f"`transform_batch` has {category!r} for batch level {level!r}; its categories are "
                f"{', '.join(map(repr, known))}."
            )
    return [known.index(category) for category in categories]
