"""The choice of variable genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scanpy as sc
from scipy import sparse

from curvi.data import check_columns
from curvi.pipeline._threads import threads

if TYPE_CHECKING:
    from anndata import AnnData

# With fewer points, the regression that scanpy calls fails or, below four, takes the whole process down.
_FEWEST_VARYING = 20


def variable_genes(adata: AnnData, n_top_genes: int, layer: str | None, batch_key: str | None) -> np.ndarray:
    """Which genes are the most variable ones on counts, by scanpy's ``seurat_v3``, a mask ``(n_vars,)``.

    Parameters
    ----------
    adata
        Counts of cells by genes.
    n_top_genes
        How many to choose, from 1 to ``n_vars``.
    layer
        Where the counts are; ``.X`` by default.
    batch_key
        Genes are ranked within each category of this column of ``.obs``.

    Raises
    ------
    KeyError
        If ``batch_key`` is not a column.
    ValueError
        If a category has too few cells or genes to choose by, or scikit-misc is not installed.
    """
    check_columns(adata, [] if batch_key is None else [batch_key], "batch_key")
    remedy = "Leave `n_top_genes` out, or choose genes beforehand."
    matrix = adata.X if layer is None else adata.layers[layer]
    groups = {"": np.arange(adata.n_obs)} if batch_key is None else adata.obs.groupby(batch_key, observed=True).indices
    for category, rows in groups.items():
        n_varying = _n_varying(matrix[rows])
        if n_varying < _FEWEST_VARYING:
            where = "the data" if batch_key is None else f"category '{category}' of batch level {batch_key!r}"
            raise ValueError(
                f"in {where} ({len(rows)} cells), {n_varying} genes vary; the choice of variable genes needs "
                f"{_FEWEST_VARYING} or more. {remedy}"
            )
    try:
        with threads():
            table = sc.pp.highly_variable_genes(
                adata, flavor="seurat_v3", n_top_genes=n_top_genes, layer=layer, batch_key=batch_key, inplace=False
            )
    except ImportError as error:
        raise ValueError("`n_top_genes` needs scikit-misc: pip install scikit-misc, or leave it out.") from error
    except ValueError as error:
        reason = error.args[0]
        said = reason.decode() if isinstance(reason, bytes) else str(reason)
        where = "" if batch_key is None else f" in each category of {batch_key!r}"
        raise ValueError(
            f"scanpy could not choose {n_top_genes} variable genes{where} ({said.rstrip('.')}); this needs counts, and "
            f"more cells and genes. {remedy}"
        ) from error
    return table["highly_variable"].to_numpy()


def _n_varying(block: np.ndarray | sparse.csr_matrix) -> int:
    """How many columns of ``(n, n_vars)`` have more than one value."""
    high, low = block.max(axis=0), block.min(axis=0)
    if sparse.issparse(block):
        high, low = high.toarray(), low.toarray()
    return int((high > low).sum())
