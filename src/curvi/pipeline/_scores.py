"""Scores of embeddings as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from curvi import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData


def evaluate(
    adata: AnnData,
    use_rep: str | Sequence[str] = "X_curvi",
    labels_key: str | None = None,
    batch_key: str | Sequence[str] = (),
    holdout_key: str | None = None,
    *,
    k: int = 15,
    resolutions: Sequence[float] = (0.25, 0.5, 1.0, 1.5, 2.0),
    seed: int = 0,
) -> pd.DataFrame:
    """How well labels and batches are arranged in one embedding or several.

    Parameters
    ----------
    adata
        Cells with embeddings.
    use_rep
        Keys of ``.obsm``.
    labels_key
        Column of cell types: gives the label accuracy of ``k`` neighbours in 5 folds, and the agreement of Leiden
        clusters with the labels.
    batch_key
        Columns with batches: gives how well each of them mixes among all cells and, with ``labels_key``, within labels.
    holdout_key
        Column whose categories are left out one at a time for a second label accuracy; needs ``labels_key``.
    k
        Neighbours for the label accuracy, at least 1.
    resolutions
        Of the Leiden clusters, each above 0.
    seed
        Of the folds and the clusters.

    Returns
    -------
    One row a score: ``embedding``; ``score``, one of ``knn_accuracy``, ``ari``, ``nmi``, ``n_clusters`` and
    ``batch_mixing``; ``setting``, what it was computed with; and ``value``.

    Raises
    ------
    ValueError
        If there is nothing to score by, or a key is unknown.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=300, n_vars=20)
    >>> scores = evaluate(adata, "latent", labels_key="cell_type", batch_key=["patient"], resolutions=[1.0])
    >>> scores["score"].tolist()
    ['knn_accuracy', 'n_clusters', 'ari', 'nmi', 'batch_mixing', 'batch_mixing']
    """
    levels = [batch_key] if isinstance(batch_key, str) else list(batch_key)
    if labels_key is None and not levels:
        raise ValueError("there is nothing to score by; give `labels_key`, `batch_key` or both.")
    if labels_key is None and holdout_key is not None:
        raise ValueError(
            f"`holdout_key` is {holdout_key!r}, but without `labels_key` no accuracy is measured; give both."
        )
    rows: list[tuple[str, str, str, float]] = []
    for key in [use_rep] if isinstance(use_rep, str) else use_rep:
        if labels_key is not None:
            accuracy = metrics.knn_accuracy(adata, key, labels_key, k, seed=seed)
            rows.append((key, "knn_accuracy", f"k={k}, 5 folds", accuracy))
            if holdout_key is not None:
                accuracy = metrics.knn_accuracy(adata, key, labels_key, k, holdout_key=holdout_key)
                rows.append((key, "knn_accuracy", f"k={k}, each {holdout_key} held out", accuracy))
            clusters = metrics.clustering(adata, key, labels_key, resolutions, seed=seed)
            for resolution, scores in clusters.iterrows():
                rows += [(key, name, f"resolution={resolution:g}", float(scores[name])) for name in clusters]
        if levels:
            rows += [
                (key, "batch_mixing", str(level), value)
                for level, value in metrics.batch_mixing(adata, key, levels).items()
            ]
        if levels and labels_key is not None:
            mixing = metrics.batch_mixing(adata, key, levels, labels_key)
            rows += [(key, "batch_mixing", f"{level} within {labels_key}", value) for level, value in mixing.items()]
    return pd.DataFrame(rows, columns=["embedding", "score", "setting", "value"])


def report(scores: pd.DataFrame) -> str:
    """A table of scores as text, with three decimals; numbers of clusters have none.

    Examples
    --------
    >>> print(report(pd.DataFrame({"score": ["ari"], "value": [0.51239]})))
    score value
      ari 0.512
    """
    return scores.to_string(
        index=False,
        na_rep="-",
        float_format=lambda value: f"{value:.0f}" if value.is_integer() and value > 1 else f"{value:.3f}",
    )
