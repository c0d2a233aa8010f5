"""What would control cells express, had they been stimulated? Decoded so, with the stimulated cells as the truth.

Lupus blood cells, the levels donor and condition. The control cells of a type are decoded as stimulated ones, and their
mean is compared, gene by gene, with that of the stimulated cells of the type, on the scale log(1 + counts in 10,000).
In the setting ``all`` the models have seen every cell; in ``held-out`` those of one type have been seen as controls
only, and every type takes its turn. Columns, each a mean over types:

- ``all genes``: the correlation of both means over genes;
- ``R2``: the share of the variance of the true means over genes that the decoded ones explain;
- ``top 100``: the correlation over the 100 genes of the type that change most;
- ``change``: the correlation of the changes, decoded as stimulated minus decoded as control, and measured;
- ``size``: how large the decoded change is, the slope of its regression on the measured one (1 is right);
- ``ELBO``: of the validation cells as they are, in nats a cell, which needs no counterfactual truth;
- ``mixing``: of the conditions within types in the latent space.

Usage: ``CURVI_DATA_DIR=... python benchmarks/counterfactuals.py [--seeds 3] [--epochs 60] [--keep runs.csv]``
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scvi
from _setting import QUIET, be_quiet, machine, real
from sklearn.metrics import r2_score

import curvi

LIBRARY, DRAWS, TOP = 1e4, 10, 100
SCORES = ["all genes", "R2", "top 100", "change", "size", "ELBO", "mixing"]
Decoded = tuple[np.ndarray, np.ndarray, dict[str, float]]


def mixing(adata: anndata.AnnData, points: np.ndarray, manifold: Any) -> float:
    """That of the conditions within types, of cells that were trained on."""
    adata.obsm["X_mapped"] = points
    found = curvi.metrics.batch_mixing(adata, "X_mapped", ["condition"], label_key="cell_type", manifold=manifold)
    return float(found["condition"])


def ours(latent: str, **arguments: Any) -> Callable[..., Decoded]:
    training = {name: arguments.pop(name) for name in ("kl_weight", "kl_warmup", "lr_schedule") if name in arguments}

    def run(known: anndata.AnnData, controls: anndata.AnnData, n_latent: int, epochs: int) -> Decoded:
        curvi.CurviVAE.setup_anndata(known, batch_key=["donor", "condition"])
        model = curvi.CurviVAE(known, latent=latent, n_latent=n_latent, **arguments)
        model.train(max_epochs=epochs, check_val_every_n_epoch=epochs, **training, **QUIET)
        decoded = [
            model.get_normalized_expression(
                controls, transform_batch={"condition": condition}, library_size=LIBRARY, n_samples=DRAWS
            ).to_numpy()
            for condition in ("ctrl", "stim")
        ]
        quality = {
            "ELBO": float(model.get_elbo(indices=model.validation_indices)),
            "mixing": mixing(known, model.get_latent_representation(), model.manifold),
        }
        return *decoded, quality

    return run


def peer(*, same_warmup: bool = False, **arguments: Any) -> Callable[..., Decoded]:
    def run(known: anndata.AnnData, controls: anndata.AnnData, n_latent: int, epochs: int) -> Decoded:
        scvi.model.SCVI.setup_anndata(known, batch_key="condition", categorical_covariate_keys=["donor"])
        model = scvi.model.SCVI(known, n_latent=n_latent, gene_likelihood="nb", **arguments)
        plan = {"plan_kwargs": {"n_epochs_kl_warmup": epochs // 10}} if same_warmup else {}
        model.train(max_epochs=epochs, train_size=0.9, check_val_every_n_epoch=epochs, **plan, **QUIET)
        decoded = [
            model.get_normalized_expression(
                controls, transform_batch=condition, library_size=LIBRARY, n_samples=DRAWS
            ).to_numpy()
            for condition in ("ctrl", "stim")
        ]
        quality = {
            "ELBO": float(model.get_elbo(indices=model.validation_indices)),
            "mixing": mixing(known, model.get_latent_representation(), curvi.manifolds.Euclidean(n_latent)),
        }
        return *decoded, quality

    return run


SPACES = {"vMF": "vmf", "Lorentz": "lorentz", "Gaussian": "normal"}
METHODS: dict[str, Callable[..., Decoded]] = {
    **{f"curvi, {name}": ours(latent) for name, latent in SPACES.items()},
    **{f"curvi, {name}, encoder sees levels": ours(latent, encode_covariates=True) for name, latent in SPACES.items()},
    "scVI": peer(),
    "scVI, encoder sees levels": peer(encode_covariates=True),
    "scVI, warm-up as curvi's": peer(same_warmup=True),
}


def log_mean(shares: np.ndarray) -> np.ndarray:
    return np.log1p(shares.mean(0))


def measured(adata: anndata.AnnData) -> pd.DataFrame:
    """The log-mean of every type and condition, ``(types x conditions, genes)``."""
    counts = adata.X.toarray()
    shares = pd.DataFrame(LIBRARY * counts / counts.sum(1, keepdims=True), index=adata.obs_names)
    groups = [adata.obs["cell_type"].astype(str), adata.obs["condition"].astype(str)]
    return np.log1p(shares.groupby(groups).mean())


def compared(stim: np.ndarray, change: np.ndarray, truth: pd.DataFrame, kind: str) -> dict[str, float]:
    """How close the decoded log-means ``stim`` and their change ``(genes,)`` are to the truth of a type."""
    true_stim, true_change = truth.loc[kind, "stim"], truth.loc[kind, "stim"] - truth.loc[kind, "ctrl"]
    top = np.argsort(-np.abs(true_change.to_numpy()))[:TOP]
    true_stim, true_change = true_stim.to_numpy(), true_change.to_numpy()
    moved = change.std() > 0
    return {
        "all genes": float(np.corrcoef(stim, true_stim)[0, 1]),
        "R2": float(r2_score(true_stim, stim)),
        "top 100": float(np.corrcoef(stim[top], true_stim[top])[0, 1]),
        "change": float(np.corrcoef(change, true_change)[0, 1]) if moved else float("nan"),
        "size": float(np.polyfit(true_change, change, 1)[0]),
    }


def without_models(truth: pd.DataFrame, kinds: list[str], setting: str) -> list[dict[str, Any]]:
    """The controls as they are and, where a type is held out, with the mean change of the other types added."""
    rows = []
    for kind in kinds:
        control = truth.loc[kind, "ctrl"].to_numpy()
        others = [truth.loc[other, "stim"] - truth.loc[other, "ctrl"] for other in kinds if other != kind]
        guesses = {"controls as they are": np.zeros(len(control))}
        if setting == "held-out":
            guesses["controls + mean change of the others"] = np.mean(others, 0)
        rows += [
            {"method": method, "type": kind, "seed": 0} | compared(control + change, change, truth, kind)
            for method, change in guesses.items()
        ]
    return rows


def decoded_means(
    adata: anndata.AnnData, truth: pd.DataFrame, held_out: str | None, method: str, n_latent: int, epochs: int
) -> list[dict[str, Any]]:
    """Train once, and compare for every type, or for the one whose stimulated cells are held out."""
    kind, stimulated = adata.obs["cell_type"].astype(str), adata.obs["condition"].astype(str) == "stim"
    known = adata[~((kind == held_out) & stimulated)].copy()
    rows = []
    controls = adata[~stimulated & kind.isin([held_out] if held_out else kind.unique())].copy()
    as_control, as_stimulated, quality = METHODS[method](known, controls, n_latent, epochs)
    for one in sorted(controls.obs["cell_type"].astype(str).unique()):
        cells = (controls.obs["cell_type"] == one).to_numpy()
        stim, control = log_mean(as_stimulated[cells]), log_mean(as_control[cells])
        rows.append({"type": one} | compared(stim, stim - control, truth, one) | quality)
    return rows


def tables(setting: str, rows: pd.DataFrame, methods: list[str]) -> list[str]:
    """The means over types with their spread over seeds, then the correlations of each type."""

    def cell(values: pd.Series, digits: int) -> str:
        if values.isna().all():
            return ""
        mean = f"{values.mean():.{digits}f}"
        return f"{mean} ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else mean

    text = [f"| {setting} | " + " | ".join(SCORES) + " |", "|---" + "|--:" * len(SCORES) + "|"]
    kinds = sorted(rows["type"].unique())
    by_type = [f"| {setting}: all genes, change | " + " | ".join(kinds) + " |", "|---" + "|--:" * len(kinds) + "|"]
    for method in methods:
        mine = rows[rows["method"] == method]
        if mine.empty:
            continue
        seeds = mine.groupby("seed")[SCORES].mean()
        cells = [cell(seeds[score], 1 if score == "ELBO" else 3) for score in SCORES]
        text.append(f"| {method} | " + " | ".join(cells) + " |")
        means = mine.groupby("type")[["all genes", "change"]].mean()
        pairs = [f"{means.loc[k, 'all genes']:.3f}, {means.loc[k, 'change']:.3f}".replace(", nan", "") for k in kinds]
        by_type.append(f"| {method} | " + " | ".join(pairs) + " |")
    return [*text, "", *by_type, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n-latent", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--settings", nargs="+", default=["all", "held-out"], choices=["all", "held-out"])
    parser.add_argument("--only", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--keep", type=Path, help="a CSV of finished runs, which are not done again")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    options = parser.parse_args()
    be_quiet()
    adata = real("kang_muscat")
    truth, kinds = measured(adata), sorted(adata.obs["cell_type"].unique())
    kept = pd.read_csv(options.keep).to_dict("records") if options.keep and options.keep.exists() else []
    text = [f"{options.n_latent} latent dimensions, {options.epochs} epochs, {options.seeds} seeds, {machine()}\n"]
    for setting in options.settings:
        this = {"setting": setting, "epochs": options.epochs, "n_latent": options.n_latent}
        for seed in range(options.seeds):
            for method in options.only:
                for held_out in kinds if setting == "held-out" else [None]:
                    which = this | {"method": method, "seed": seed}
                    if any((which | {"type": held_out or kinds[0]}).items() <= run.items() for run in kept):
                        continue
                    scvi.settings.seed = seed
                    rows = decoded_means(adata, truth, held_out, method, options.n_latent, options.epochs)
                    kept += [which | row for row in rows]
                    print(setting, seed, method, pd.DataFrame(rows)[SCORES].mean().round(3).to_dict(), flush=True)
                    if options.keep:
                        pd.DataFrame(kept).to_csv(options.keep, index=False)
        mine = pd.DataFrame([run for run in kept if this.items() <= run.items()])
        plain = pd.DataFrame(without_models(truth, kinds, setting), columns=mine.columns)
        rows = pd.concat([plain, mine[mine["seed"] < options.seeds]], ignore_index=True)
        text += tables(setting, rows, [*plain["method"].unique(), *options.only])
        print("\n".join(text), flush=True)
    if options.markdown:
        options.markdown.write_text("\n".join(text))


if __name__ == "__main__":
    main()
