"""Do data drawn from a trained model look like the data it was trained on, whatever its latent space?

The 700 blood cells that come with scanpy, and scvi-tools' posterior predictive checks: how far the coefficients of
variation of genes and cells and the share of zeros of each gene are from those of the data (mean absolute difference
over genes or cells), the calibration error of the intervals, and how well marker genes of the cell types are found in
drawn data (F1 of the lists, correlation of the log fold changes).

Usage: ``python benchmarks/posterior_predictive.py [--epochs 200] [--seeds 2] [--markdown]``
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
import scanpy
import scvi
from _setting import QUIET, be_quiet
from _tables import Report, add_markdown_option
from scvi.criticism import PosteriorPredictiveCheck

import curvi

LATENTS: dict[str, Any] = {
    "vMF": {"latent": "vmf", "n_latent": 5},
    "Lorentz": {"latent": "lorentz", "n_latent": 5},
    "product": {"latent": [("vmf", 2), ("lorentz", 2), ("normal", 4)]},
    "Gaussian": {"latent": "normal", "n_latent": 10},
}
HEAD = ["model", "CV of genes", "CV of cells", "zeros", "calibration", "marker F1", "fold changes"]


def figures(adata: Any, model: Any) -> list[float]:
    """The figures of a model, in the order of the table."""
    # scvi-tools 1.4.2 fails on sparse counts of a floating type, and its calibration error only finds this name.
    counts = adata.copy()
    counts.X = counts.X.astype(np.int64)
    check = PosteriorPredictiveCheck(counts, {"model1": model}, n_samples=10)
    check.coefficient_of_variation("cells")
    check.coefficient_of_variation("features")
    check.zero_fraction()
    check.calibration_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check.differential_expression(de_groupby="cell_type", n_samples=1)
    found = [
        float((check.metrics[name]["model1"] - check.metrics[name]["Raw"]).abs().mean())
        for name in ("cv_gene", "cv_cell", "zero_fraction")
    ]
    markers = check.metrics["diff_exp"]["summary"]
    return [
        *found,
        float(check.metrics["calibration"].loc["features", "model1"]),
        float(markers["gene_f1"].mean()),
        float(markers["lfc_pearson"].mean()),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    add_markdown_option(parser, "posterior_predictive")
    asked = parser.parse_args()
    be_quiet()
    scanpy.settings.verbosity = 0
    report = Report("Data drawn from a model", "python benchmarks/posterior_predictive.py --markdown")
    adata = curvi.datasets.pbmc68k()
    rows = []
    for name in [*LATENTS, "scvi-tools, SCVI"]:
        every = []
        for seed in range(asked.seeds):
            scvi.settings.seed = seed
            if name in LATENTS:
                curvi.CurviVAE.setup_anndata(adata)
                model = curvi.CurviVAE(adata, **LATENTS[name])
                model.train(asked.epochs, **QUIET)
            else:
                scvi.model.SCVI.setup_anndata(adata)
                model = scvi.model.SCVI(adata, gene_likelihood="nb")
                model.train(asked.epochs, plan_kwargs={"n_epochs_kl_warmup": asked.epochs // 10}, **QUIET)
            every.append(figures(adata, model))
        rows.append([name, *(f"{value:.3f}" for value in np.mean(every, axis=0))])
    report.table(
        f"700 blood cells, {adata.n_vars} genes, {asked.epochs} epochs, mean of {asked.seeds} seeds",
        HEAD,
        rows,
        "Differences and calibration error: less is better. F1 and correlation: more is better.",
    )
    report.write(asked.markdown)


if __name__ == "__main__":
    main()
