"""How well the labels of cells are told from those of their neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from curvi.metrics._inputs import categories, embedding, geometry
from curvi.metrics._neighbors import nearest

if TYPE_CHECKING:
    from anndata import AnnData

    from curvi.manifolds import Manifold


@dataclass(frozen=True)
class KnnPrediction:
    """Labels of cells and what their neighbours say of them.

    Attributes
    ----------
    truth, predicted
        Categorical series over the cells, `(n_obs,)`, with the same categories.
    """

    truth: pd.Series
    predicted: pd.Series

    @property
    def accuracy(self) -> float:
        """Share of cells with the right label, from 0 to 1."""
        return float(np.mean(self.truth.cat.codes == self.predicted.cat.codes))

    def recall(self) -> pd.DataFrame:
        """For each label, ``n_cells`` that have it and ``recall``, the share of these that were found (0 to 1)."""
        found = self.truth.cat.codes == self.predicted.cat.codes
        by_label = found.groupby(self.truth, observed=True)
        return pd.DataFrame({"n_cells": by_label.size(), "recall": by_label.mean()})


def knn_predict(
    adata: AnnData,
    use_rep: str,
    label_key: str,
    k: int = 15,
    *,
    holdout_key: str | None = None,
    metric: str = "geodesic",
    manifold: Manifold | None = None,
    n_splits: int = 5,
    seed: int = 0,
) -> KnnPrediction:
    """Every cell's label by majority vote of its k nearest neighbours among cells of other folds.

    The folds are stratified: the cells of each label are spread evenly over ``n_splits`` folds at random. With
    ``holdout_key`` the folds are the categories of that column instead, so that a cell is judged by the cells of other
    patients, say, only. Of equally many votes, the first category wins.

    Parameters
    ----------
    adata
        Cells with an embedding.
    use_rep
        Key of ``adata.obsm``, points `(n_obs, ambient_dim)`.
    label_key
        Column of ``adata.obs`` with the labels.
    k
        Number of neighbours, at least 1.
    holdout_key
        Column of ``adata.obs`` whose categories are left out one at a time; ``None`` for random folds. A label that
        only the left-out category has cannot be found, and its cells count as wrong.
    metric
        ``"geodesic"``, or ``"euclidean"``: straight lines through the ambient space.
    manifold
        On which the points lie; ``None`` for the one recorded with the embedding (straight lines if there is none).
    n_splits
        Number of random folds, from 2 to the number of cells; not used with ``holdout_key``.
    seed
        Of the random folds; not used with ``holdout_key``.

    Raises
    ------
    ValueError
        If a key is unknown, cells lack a label, there are fewer than two labels or no two cells with the same one, the
        points do not lie on the manifold, or ``k`` exceeds the number of cells outside a fold.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.pbmc68k()
    >>> prediction = curvi.metrics.knn_predict(adata, "X_umap_original", "cell_type")
    >>> bool(prediction.recall().loc["CD19+ B", "recall"] > 0.9)
    True
    """
    points = embedding(adata, use_rep)
    labels = categories(adata, "label_key", label_key)
    space = geometry(adata, use_rep, points, manifold, metric)
    if len(labels.categories) == len(labels):
        raise ValueError(
            f"`adata.obs[{label_key!r}]` (`label_key`) has another value in every cell; it needs categories."
        )
    if holdout_key is None:
        fold = _stratified_folds(labels.codes, n_splits, seed)
    else:
        fold = categories(adata, "holdout_key", holdout_key).codes
    n_fewest = len(fold) - int(np.bincount(fold).max())
    if not 1 <= k <= n_fewest:
        raise ValueError(f"`k` is {k}; it must lie between 1 and {n_fewest}, the cells outside the largest fold.")

    predicted = np.empty(len(fold), dtype=np.int64)
    for number in np.unique(fold):
        inside = fold == number
        neighbor = nearest(space, points[inside], points[~inside], k).neighbor
        predicted[inside] = _majority(labels.codes[~inside][neighbor], len(labels.categories))
    return KnnPrediction(
        truth=pd.Series(labels, index=adata.obs_names, name=label_key),
        predicted=pd.Series(
            pd.Categorical.from_codes(predicted, dtype=labels.dtype), index=adata.obs_names, name="predicted"
        ),
    )


def knn_accuracy(
    adata: AnnData,
    use_rep: str,
    label_key: str,
    k: int = 15,
    *,
    holdout_key: str | None = None,
    metric: str = "geodesic",
    manifold: Manifold | None = None,
    n_splits: int = 5,
    seed: int = 0,
) -> float:
    """Share of cells whose label the majority of their k nearest neighbours in other folds has, from 0 to 1.

    Each cell counts once, whatever its fold. The arguments are those of :func:`~curvi.metrics.knn_predict`, which tells
    more: each cell's prediction, and the recall of each label.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=600, n_vars=20, shape="circle")
    >>> curvi.metrics.knn_accuracy(adata, "latent", "cell_type", holdout_key="patient") > 0.9
    True
    """
    return knn_predict(
        adata,
        use_rep,
        label_key,
        k,
        holdout_key=holdout_key,
        metric=metric,
        manifold=manifold,
        n_splits=n_splits,
        seed=seed,
    ).accuracy


def _stratified_folds(codes: np.ndarray, n_splits: int, seed: int) -> np.ndarray:
    """Numbers of folds `(n,)` such that a label's cells, and all cells, differ by at most one between two folds."""
    if not 2 <= n_splits <= len(codes):
        raise ValueError(f"`n_splits` is {n_splits}; it must lie between 2 and the number of cells, {len(codes)}.")
    order = np.random.default_rng(seed).permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    fold = np.empty(len(codes), dtype=np.int64)
    fold[order] = np.arange(len(codes)) % n_splits
    return fold


def _majority(votes: np.ndarray, n_labels: int) -> np.ndarray:
    """The most frequent number in each row of `(n, k)`, the smallest of equals, `(n,)`."""
    row = np.arange(len(votes))[:, None]
    count = np.bincount((row * n_labels + votes).ravel(), minlength=len(votes) * n_labels)
    return count.reshape(len(votes), n_labels).argmax(axis=1)
