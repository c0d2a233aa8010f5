"""How much smaller are minified data, and does the model say the same?

Real data, a model of one epoch (its quality does not matter here), ``minify_adata``: what the AnnData takes in memory
(its matrices, not its tables of cells and genes) and as a file, before and after, and the largest difference of the
embedding and of the expected counts.

Usage: ``CURVI_DATA_DIR=... python benchmarks/minified_size.py [--markdown]``
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import scvi
from _setting import QUIET, be_quiet, real
from _tables import Report, add_markdown_option
from scipy.sparse import csr_matrix, issparse

import curvi

SETS = ["human_kidney_top2000", "cbmc_citeseq_top2000", "onek1k_scdesignpop"]
LATENTS: dict[str, dict[str, Any]] = {
    "vmf, 2": {"latent": "vmf", "n_latent": 2},
    "lorentz, 10": {"latent": "lorentz", "n_latent": 10},
}


def bytes_of(adata: anndata.AnnData) -> int:
    """The bytes of the matrices of an AnnData."""
    matrices = [adata.X, *adata.layers.values(), *adata.obsm.values()]
    arrays = [array for x in matrices for array in ((x.data, x.indices, x.indptr) if issparse(x) else (np.asarray(x),))]
    return sum(array.nbytes for array in arrays)


def file_of(adata: anndata.AnnData, folder: str) -> int:
    """The bytes of an AnnData as an uncompressed file."""
    path = Path(folder) / "cells.h5ad"
    adata.write_h5ad(path)
    return path.stat().st_size


def measured(name: str, arguments: dict[str, Any]) -> list[str]:
    """Sizes and differences of one data set."""
    given = real(name)
    adata = anndata.AnnData(csr_matrix(given.X, dtype=np.float32), obs=given.obs[[]], var=given.var[[]])
    adata = adata[np.asarray(adata.X.sum(1)).ravel() > 0].copy()
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(adata, **arguments)
    model.train(max_epochs=1, accelerator="cpu", logger=None, **QUIET)

    def said() -> tuple[np.ndarray, np.ndarray]:
        scvi.settings.seed = 0
        return model.get_latent_representation(), model.get_normalized_expression(
            indices=range(500), library_size="latent", return_numpy=True
        )

    before = said()
    with tempfile.TemporaryDirectory() as folder:
        sizes = [bytes_of(adata), file_of(adata, folder)]
        model.minify_adata()
        sizes += [bytes_of(model.adata), file_of(model.adata, folder)]
    differences = [f"{np.abs(x - y).max():.1g}" for x, y in zip(before, said(), strict=True)]
    megabytes = [f"{sizes[i] / 1e6:.2f}" for i in (0, 2, 1, 3)]
    return [f"{adata.n_obs} x {adata.n_vars}", *megabytes, *differences]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_markdown_option(parser, "minified_size")
    options = parser.parse_args()
    be_quiet()
    scvi.settings.seed = 0
    report = Report("Minified data", "python benchmarks/minified_size.py --markdown")
    head = ["data", "cells x genes", "memory, MB", "minified", "file, MB", "minified", "embedding", "expected counts"]
    for latent, arguments in LATENTS.items():
        rows = [[name, *measured(name, arguments)] for name in SETS]
        report.table(f"latent {latent}: sizes and largest differences", head, rows)
    report.write(options.markdown)


if __name__ == "__main__":
    main()
