"""Do neighbours in the reference name the cells of unseen donors? Without training, with it, and by scvi-tools' route.

Every model is trained on a reference and given cells of batch categories that it has not seen. Each of these cells gets
the label that most of its 15 nearest reference cells have, by geodesic distance. Of all models the latent space has as
many dimensions, and training lasts as many epochs, first on the reference and then, where there is something to learn,
on the query. Seeds draw the donors that are left out, where there are many, and the weights. Mean and standard
deviation over the runs; mixing is that of reference and query within labels (0 apart, 1 mixed).

Usage: ``CURVI_DATA_DIR=... python benchmarks/query_quality.py [--seeds 3] [--sets onek1k ...] [--keep runs.csv]``
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd
import scvi
from _setting import QUIET, be_quiet, machine, real
from sklearn.metrics import balanced_accuracy_score, f1_score

import curvi
from curvi.manifolds import Euclidean, Manifold

K = 15
SCORES = ["accuracy", "balanced accuracy", "macro F1", "mixing"]
# What scvi-tools recommends for models that are to learn new batches.
ARCHES = {
    "use_layer_norm": "both",
    "use_batch_norm": "none",
    "encode_covariates": True,
    "dropout_rate": 0.2,
    "n_layers": 2,
}


class Task(NamedTuple):
    """A set, its batch levels, the categories of the first level to leave out in each run, and epochs of both parts."""

    name: str
    levels: list[str]
    left_out: Callable[[pd.Series, int], Iterator[list[str]]]
    epochs: tuple[int, int]
    title: str


def some_donors(column: pd.Series, seeds: int) -> Iterator[list[str]]:
    for seed in range(seeds):
        yield list(np.random.default_rng(seed).choice(sorted(column.unique()), 8, replace=False))


def each(column: pd.Series, seeds: int) -> Iterator[list[str]]:
    for category in sorted(column.unique()):
        for _ in range(seeds):
            yield [category]


TASKS = {
    "onek1k": Task("onek1k_scdesignpop", ["donor"], some_donors, (40, 100), "8 of 40 donors"),
    "kang-donor": Task("kang_muscat", ["donor", "condition"], each, (100, 100), "one of two donors"),
    "kang-condition": Task("kang_muscat", ["condition", "donor"], each, (100, 100), "stimulated or control cells"),
}
Mapped = tuple[np.ndarray, np.ndarray, Manifold]


def ours(latent: str, *, seen: bool) -> Callable[..., Mapped]:
    def run(reference: anndata.AnnData, query: anndata.AnnData, task: Task, n_latent: int) -> Mapped:
        curvi.CurviVAE.setup_anndata(reference, batch_key=task.levels)
        model = curvi.CurviVAE(reference, latent=latent, n_latent=n_latent, encode_covariates=seen)
        model.train(max_epochs=task.epochs[0], check_val_every_n_epoch=task.epochs[0], **QUIET)
        found = model.get_latent_representation()
        if seen:
            model = curvi.CurviVAE.load_query_data(query, model)
            model.train(max_epochs=task.epochs[1], check_val_every_n_epoch=task.epochs[1], **QUIET)
            return found, model.get_latent_representation(), model.manifold
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            mapped = model.get_latent_representation(query)
        if not any("not seen in training" in str(warning.message) for warning in said):
            raise RuntimeError(f"no warning names the new categories: {[str(w.message) for w in said]}")
        return found, mapped, model.manifold

    return run


def peer(**arguments: Any) -> Callable[..., Mapped]:
    def run(reference: anndata.AnnData, query: anndata.AnnData, task: Task, n_latent: int) -> Mapped:
        scvi.model.SCVI.setup_anndata(
            reference, batch_key=task.levels[0], categorical_covariate_keys=task.levels[1:] or None
        )
        model = scvi.model.SCVI(reference, n_latent=n_latent, **arguments)
        model.train(max_epochs=task.epochs[0], check_val_every_n_epoch=task.epochs[0], **QUIET)
        found = model.get_latent_representation()
        model = scvi.model.SCVI.load_query_data(query, model)
        model.train(
            max_epochs=task.epochs[1],
            plan_kwargs={"weight_decay": 0.0},
            check_val_every_n_epoch=task.epochs[1],
            **QUIET,
        )
        return found, model.get_latent_representation(), Euclidean(n_latent)

    return run


SPACES = {"vMF": "vmf", "Lorentz": "lorentz", "Gaussian": "normal"}
METHODS: dict[str, Callable[..., Mapped]] = {
    **{f"curvi, {name}: no training": ours(latent, seen=False) for name, latent in SPACES.items()},
    **{f"curvi, {name}: query learned": ours(latent, seen=True) for name, latent in SPACES.items()},
    "scVI: scArches": peer(**ARCHES),
    "scVI: its defaults": peer(),
}


def scores(reference: anndata.AnnData, query: anndata.AnnData, mapped: Mapped) -> dict[str, float]:
    """How well the labels of the query are told from the reference, and how well both mix."""
    found, placed, manifold = mapped
    labels = pd.Categorical(reference.obs["cell_type"].astype(str))
    # The transformer counts a point among its own neighbours, so that K of others are one less of its argument.
    graph = curvi.metrics.GeodesicNeighbors(manifold, K - 1).fit(found).transform(placed)
    votes = labels.codes[graph.indices.reshape(-1, K)]
    counts = (votes[:, :, None] == np.arange(len(labels.categories))).sum(1)
    predicted, truth = labels.categories[counts.argmax(1)], query.obs["cell_type"].astype(str)
    both = anndata.AnnData(
        obs=pd.DataFrame(
            {
                "side": np.repeat(["reference", "query"], [len(found), len(placed)]),
                "label": np.concatenate([reference.obs["cell_type"].astype(str), truth]),
            },
            index=[str(i) for i in range(len(found) + len(placed))],
        ),
        obsm={"X_both": np.concatenate([found, placed])},
    )
    mixing = curvi.metrics.batch_mixing(both, "X_both", ["side"], label_key="label", manifold=manifold)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "accuracy": float((predicted == truth.to_numpy()).mean()),
            "balanced accuracy": float(balanced_accuracy_score(truth, predicted)),
            "macro F1": float(f1_score(truth, predicted, average="macro")),
            "mixing": float(mixing["side"]),
        }


def table(task: Task, runs: pd.DataFrame) -> list[str]:
    def cell(values: pd.Series) -> str:
        return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}" if len(values) > 1 else f"{values.mean():.3f}"

    head = [f"| {task.name}: {task.title} | " + " | ".join(SCORES) + " |", "|---" + "|--:" * len(SCORES) + "|"]
    by_method = runs.groupby("method", sort=False, observed=True)
    return head + [f"| {method} | " + " | ".join(cell(run[s]) for s in SCORES) + " |" for method, run in by_method]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n-latent", type=int, default=10)
    parser.add_argument(
        "--epochs", type=int, nargs=2, help="on the reference and on the query, in the place of a set's"
    )
    parser.add_argument("--sets", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--only", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--keep", type=Path, help="a CSV of finished runs, which are not done again")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    options = parser.parse_args()
    be_quiet()
    kept = pd.read_csv(options.keep).to_dict("records") if options.keep and options.keep.exists() else []
    text = [f"{options.n_latent} latent dimensions, {options.seeds} seeds, {machine()}\n"]
    for key in options.sets:
        task, adata = TASKS[key], real(TASKS[key].name)
        if options.epochs:
            task = task._replace(epochs=tuple(options.epochs))
        first = adata.obs[task.levels[0]].astype(str)
        for level in task.levels:
            adata.obs[level] = adata.obs[level].astype(str)
        for number, left_out in enumerate(task.left_out(first, options.seeds)):
            new = first.isin(left_out).to_numpy()
            for method in options.only:
                which = {"set": key, "run": number, "epochs": str(task.epochs), "n_latent": options.n_latent}
                which["method"] = method
                if any(which.items() <= run.items() for run in kept):
                    continue
                reference, query = adata[~new].copy(), adata[new].copy()
                scvi.settings.seed = number
                mapped = METHODS[method](reference, query, task, options.n_latent)
                kept.append(which | scores(reference, query, mapped))
                print(kept[-1], flush=True)
                if options.keep:
                    pd.DataFrame(kept).to_csv(options.keep, index=False)
        runs = pd.DataFrame(kept)
        same = (runs["set"] == key) & (runs["epochs"] == str(task.epochs)) & (runs["n_latent"] == options.n_latent)
        runs = runs[same & runs["method"].isin(options.only)].copy()
        runs["method"] = pd.Categorical(runs["method"], list(METHODS), ordered=True)
        text += [
            f"{task.epochs[0]} epochs on the reference, {task.epochs[1]} on the query",
            "",
            *table(task, runs.sort_values("method")),
            "",
        ]
        print("\n".join(text), flush=True)
    if options.markdown:
        options.markdown.write_text("\n".join(text))


if __name__ == "__main__":
    main()
