"""The 700 blood cells that scanpy ships, as counts."""

from __future__ import annotations

import pandas as pd
import scanpy as sc
from anndata import AnnData

from curvi.datasets._counts import recover_counts


def pbmc68k() -> AnnData:
    """700 peripheral blood mononuclear cells with ten cell types, as UMI counts of 765 genes; needs no network.

    scanpy packages these cells log-normalised and rounded to three decimals
    (:func:`scanpy.datasets.pbmc68k_reduced`); their counts are recovered by :func:`~curvi.datasets.recover_counts`,
    which raises if they were not exact. The factor found for each cell times its recorded number of counts is 10,000 to
    within 0.04 %, as the normalisation of that time made it.

    Returns
    -------
    AnnData `(700, 765)`:

    - ``.X``: counts, CSR float32.
    - ``.obs["cell_type"]``: ten labels, of 8 to 240 cells each, by correlation with sorted populations.
    - ``.obs["phase"]``, ``.obs["S_score"]``, ``.obs["G2M_score"]``: cell cycle, scored on all genes.
    - ``.obs["n_counts_all_genes"]``: UMI counts of the cell over all genes, not only the 765.
    - ``.obsm["X_pca_original"]`` `(700, 50)`, ``.obsm["X_umap_original"]`` `(700, 2)`: the embeddings that come with
      the data, for comparison.

    Raises
    ------
    ValueError
        If the installed scanpy ships a matrix that does not go back to counts.

    References
    ----------
    Zheng et al., Massively parallel digital transcriptional profiling of single cells, Nature Communications 8:14049,
    2017.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.pbmc68k()
    >>> adata.shape, int(adata.X.sum())
    ((700, 765), 486651)
    """
    reduced = sc.datasets.pbmc68k_reduced()
    obs = pd.DataFrame(
        {
            "cell_type": reduced.obs["bulk_labels"],
            "phase": reduced.obs["phase"],
            "S_score": reduced.obs["S_score"],
            "G2M_score": reduced.obs["G2M_score"],
            "n_counts_all_genes": reduced.obs["n_counts"].astype("int64"),
        },
        index=reduced.obs_names.rename(None),
    )
    return AnnData(
        X=recover_counts(reduced.raw.X),
        obs=obs,
        var=pd.DataFrame(index=reduced.raw.var_names.rename(None)),
        obsm={"X_pca_original": reduced.obsm["X_pca"], "X_umap_original": reduced.obsm["X_umap"]},
    )
