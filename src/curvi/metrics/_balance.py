"""Classes of unequal size made equal in the training of a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import has_fit_parameter

if TYPE_CHECKING:
    from collections.abc import Callable


def fit_balanced(classifier: Any, x: np.ndarray, codes: np.ndarray, balance: str | None, seed: int) -> None:
    """Train a classifier on the rows ``x (n, n_features)`` of classes ``codes (n,)``.

    Parameters
    ----------
    balance
        ``"weights"``, ``"duplicates"`` or ``None``, as for :func:`~curvi.metrics.reconstruction_confusion`.

    Raises
    ------
    ValueError
        If the balance is unknown, or the classifier takes no weights.
    """
    if balance not in _BALANCES:
        known = ", ".join(map(repr, _BALANCES))
        raise ValueError(f"`balance` is {balance!r}; expected one of {known}.")
    _BALANCES[balance](classifier, x, codes, seed)


def _weighted(classifier: Any, x: np.ndarray, codes: np.ndarray, seed: int) -> None:
    if not has_fit_parameter(classifier, "sample_weight"):
        raise ValueError(
            f"`classifier` {type(classifier).__name__} takes no weights; use balance='duplicates', or None."
        )
    size = np.bincount(codes)
    classifier.fit(x, codes, sample_weight=len(codes) / ((size > 0).sum() * size[codes]))


def _repeated(classifier: Any, x: np.ndarray, codes: np.ndarray, seed: int) -> None:
    rows = repeated_rows(codes, seed)
    classifier.fit(x[rows], codes[rows])


def _as_they_are(classifier: Any, x: np.ndarray, codes: np.ndarray, seed: int) -> None:
    classifier.fit(x, codes)


_BALANCES: dict[str | None, Callable[[Any, np.ndarray, np.ndarray, int], None]] = {
    "weights": _weighted,
    "duplicates": _repeated,
    None: _as_they_are,
}


def repeated_rows(codes: np.ndarray, seed: int) -> np.ndarray:
    """Rows of ``codes (n,)`` such that every class has as many as the most frequent one has.

    Each row of a class occurs equally often, but for a remainder, which is drawn without replacement.
    """
    rng = np.random.default_rng(seed)
    most = int(np.bincount(codes).max())
    chosen = []
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        whole, rest = divmod(most, len(rows))
        chosen += [np.tile(rows, whole), rng.choice(rows, rest, replace=False)]
    return np.concatenate(chosen)
