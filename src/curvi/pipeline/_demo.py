"""The main job on 700 blood cells: four latent spaces and principal components, compared over seeds."""

from __future__ import annotations

import logging
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd
import scanpy as sc

from curvi import datasets, metrics, pl
from curvi.pipeline._config import RunConfig
from curvi.pipeline._files import write
from curvi.pipeline._pictures import draw
from curvi.pipeline._steps import cluster, embed, prepare, train
from curvi.pipeline._threads import threads

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

logger = logging.getLogger(__name__)

# What the demonstration chooses; all else is left to the model's own defaults.
LATENT_SPACES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "vMF S^2": {"latent": "vmf", "n_latent": 2},
        "vMF S^5": {"latent": "vmf", "n_latent": 5},
        "Gaussian 2-d": {"latent": "normal", "n_latent": 2},
        "Gaussian 10-d": {"latent": "normal", "n_latent": 10},
    }
)
TRAIN: Mapping[str, Any] = MappingProxyType({"max_epochs": 200, "check_val_every_n_epoch": 5})
KEPT = "vMF S^2"
BASELINE = "PCA-50"
LABELS = "cell_type"


def demo(
    out_dir: str | os.PathLike[str] = "demo",
    seeds: Sequence[int] = (0, 1, 2),
    max_epochs: int = TRAIN["max_epochs"],
) -> pd.DataFrame:
    """Train on the blood cells of :func:`curvi.datasets.pbmc68k` and compare latent spaces.

    Writes ``pbmc68k.h5ad`` (the cells with the embedding on the 2-sphere and its Leiden clusters, of the first seed),
    ``sphere.png`` and ``history.png``.

    Parameters
    ----------
    out_dir
        The folder to write to; it is made.
    seeds
        One training for each latent space and seed; at least one.
    max_epochs
        Passes over the training cells.

    Returns
    -------
    One row a latent space, and one for 50 principal components of log-normalised counts: ``embedding``, the mean over
    seeds of ``kNN accuracy`` (15 neighbours, 5 folds) and ``ARI`` (Leiden at resolution 1), each with its standard
    deviation ``sd``.

    Raises
    ------
    ValueError
        If there are no seeds.
    """
    if not seeds:
        raise ValueError("`seeds` is empty; expected at least one.")
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    adata = datasets.pbmc68k()
    scores: list[dict[str, Any]] = []
    for seed in seeds:
        for name, arguments in LATENT_SPACES.items():
            config = RunConfig(**arguments, train={**TRAIN, "max_epochs": max_epochs}, seed=seed)
            # Networks of this size are no faster on several threads, and far slower where these wait for a processor.
            with threads(1):
                model = train(prepare(adata, config), config)
                embed(model, adata)
            scores.append({"embedding": name, "seed": seed, **_scores(adata, config.key_added)})
            logger.info("%s, seed %d: kNN accuracy %.3f, ARI %.3f", *scores[-1].values())
            if name == KEPT and seed == seeds[0]:
                pl.history(model, show=False, save=folder / "history.png")
                kept = adata.copy()
                cluster(model, kept)
                draw(kept, folder / "sphere.png", color=[LABELS, "leiden"])
                write(kept, folder / "pbmc68k.h5ad")
        scores.append({"embedding": BASELINE, "seed": seed, **_scores(_with_components(adata, seed), "X_pca")})
    return _table(pd.DataFrame(scores))


def _scores(adata: AnnData, key: str) -> dict[str, float]:
    """The scores of one embedding, on the same folds for all."""
    clusters = metrics.clustering(adata, key, LABELS, resolutions=[1.0])
    return {
        "kNN accuracy": metrics.knn_accuracy(adata, key, LABELS, k=15),
        "ARI": float(clusters["ari"].iloc[0]),
    }


def _with_components(adata: AnnData, seed: int) -> AnnData:
    """A copy with 50 principal components of log-normalised counts in ``.obsm["X_pca"]``."""
    normalized = adata.copy()
    sc.pp.normalize_total(normalized)
    sc.pp.log1p(normalized)
    sc.pp.pca(normalized, n_comps=50, random_state=seed)
    return normalized


def _table(scores: pd.DataFrame) -> pd.DataFrame:
    """Means and standard deviations over seeds, one row an embedding in the order of their first appearance."""
    over_seeds = scores.groupby("embedding", sort=False)[["kNN accuracy", "ARI"]]
    mean, spread = over_seeds.mean(), over_seeds.std(ddof=1)
    return pd.DataFrame(
        {
            "embedding": mean.index,
            "kNN accuracy": mean["kNN accuracy"].to_numpy(),
            "sd": spread["kNN accuracy"].to_numpy(),
            "ARI": mean["ARI"].to_numpy(),
            "sd ARI": spread["ARI"].to_numpy(),
        }
    )
