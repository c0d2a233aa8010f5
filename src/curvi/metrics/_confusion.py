"""What a classifier says of pictures, of a model's reconstructions of them and of its samples of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class ReconstructionConfusion:
    """Three confusion matrices of one classifier; each is a table of counts, true classes by predicted ones.

    Attributes
    ----------
    originals
        Of the held-out originals.
    reconstructions
        Of what the model makes of the same held-out originals.
    samples
        Of what it decodes from draws of the posteriors of held-out originals of each class.
    held_out
        A row a held-out original, under its name: its class ``truth``, and what the classifier says of the
        ``original`` and of its ``reconstruction``.
    n_train
        How many different originals of each class the classifier has learned from, `(n_classes,)`.
    n_seen
        How many held-out originals the model itself was trained on, which should be none; None where the model does not
        know its training data.
    """

    originals: pd.DataFrame
    reconstructions: pd.DataFrame
    samples: pd.DataFrame
    held_out: pd.DataFrame
    n_train: pd.Series
    n_seen: int | None

    @property
    def matrices(self) -> dict[str, pd.DataFrame]:
        """The three matrices by name."""
        return {name: getattr(self, name) for name in ("originals", "reconstructions", "samples")}

    def scores(self) -> pd.DataFrame:
        r"""A row a matrix: the count ``n``, the ``accuracy``, the ``balanced_accuracy``, and each class's recall.

        With counts :math:`c_{tp}` of class t predicted as p, the accuracy is :math:`\sum_t c_{tt} / \sum_{tp} c_{tp}`,
        the recall of a class :math:`c_{tt} / \sum_p c_{tp}`, and the balanced accuracy the mean recall of the classes
        that there are. All lie between 0 and 1.
        """
        return pd.DataFrame({name: _scores(matrix) for name, matrix in self.matrices.items()}).T.astype({"n": int})


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """Counts `(n_classes, n_classes)` of true classes by predicted ones, from codes `(n,)` of both."""
    count = np.bincount(truth * len(classes) + predicted, minlength=len(classes) ** 2)
    table = count.reshape(len(classes), len(classes))
    return pd.DataFrame(table, index=pd.Index(classes, name="truth"), columns=pd.Index(classes, name="predicted"))


def _scores(matrix: pd.DataFrame) -> dict[str, float]:
    counts = matrix.to_numpy()
    total = counts.sum(axis=1)
    right = np.diag(counts)
    recall = np.divide(right, total, out=np.full(len(total), np.nan), where=total > 0)
    named = {f"recall of {name}": float(value) for name, value in zip(matrix.index, recall, strict=True)}
    return {
        "n": int(total.sum()),
        "accuracy": float(right.sum() / total.sum()),
        "balanced_accuracy": float(np.nanmean(recall)),
    } | named
