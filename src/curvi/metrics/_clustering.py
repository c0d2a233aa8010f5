"""How well Leiden clusters of an embedding agree with labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import scanpy as sc
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from curvi.metrics._inputs import categories, embedding, geometry
from curvi.metrics._neighbors import GeodesicNeighbors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curvi.manifolds import Manifold


def clustering(
    adata: AnnData,
    use_rep: str,
    label_key: str,
    resolutions: Sequence[float] = (0.25, 0.5, 1.0, 1.5, 2.0),
    *,
    n_neighbors: int = 15,
    metric: str = "geodesic",
    manifold: Manifold | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Agreement of Leiden clusters with labels, at several resolutions.

    The clusters are scanpy's (``sc.pp.neighbors``, then ``sc.tl.leiden`` with igraph, two iterations) on the graph of
    geodesic neighbours. ``adata`` is left as it is.

    Parameters
    ----------
    adata
        Cells with an embedding.
    use_rep
        Key of ``adata.obsm``, points `(n_obs, ambient_dim)`.
    label_key
        Column of ``adata.obs`` with the labels.
    resolutions
        Leiden's resolutions, each above 0.
    n_neighbors
        Neighbours of a cell in scanpy's graph, the cell itself among them; at least 2.
    metric
        ``"geodesic"``, or ``"euclidean"``: straight lines through the ambient space.
    manifold
        On which the points lie; ``None`` for the one recorded with the embedding (straight lines if there is none).
    seed
        Of Leiden.

    Returns
    -------
    One row per resolution (the index) with ``n_clusters``, ``ari``, the adjusted Rand index (1 for the same partition,
    0 expected by chance), and ``nmi``, the mutual information over the mean of the two entropies, from 0 to 1.

    Raises
    ------
    ValueError
        If a key is unknown, cells lack a label, there are fewer than two labels, the points do not lie on the manifold,
        there are too few cells, or a resolution is not above 0.

    References
    ----------
    Traag, Waltman & van Eck, From Louvain to Leiden, Scientific Reports 9:5233, 2019. Hubert & Arabie, Comparing
    partitions, Journal of Classification 2:193, 1985.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.pbmc68k()
    >>> curvi.metrics.clustering(adata, "X_pca_original", "cell_type", resolutions=[1.0]).columns.tolist()
    ['n_clusters', 'ari', 'nmi']
    """
    points = embedding(adata, use_rep)
    labels = categories(adata, "label_key", label_key)
    space = geometry(adata, use_rep, points, manifold, metric)
    if len(resolutions) == 0 or not min(resolutions) > 0:
        raise ValueError(f"`resolutions` is {list(resolutions)}; expected one number above 0 or several.")
    if not 2 <= n_neighbors < adata.n_obs:
        raise ValueError(
            f"`n_neighbors` is {n_neighbors}; it must lie between 2 and {adata.n_obs - 1} with {adata.n_obs} cells."
        )
    cells = AnnData(obs=pd.DataFrame(index=adata.obs_names), obsm={use_rep: points})
    sc.pp.neighbors(cells, use_rep=use_rep, transformer=GeodesicNeighbors(space, n_neighbors))
    rows = []
    for resolution in resolutions:
        sc.tl.leiden(
            cells, resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed, key_added="leiden"
        )
        clusters = cells.obs["leiden"]
        rows.append(
            {
                "n_clusters": clusters.nunique(),
                "ari": adjusted_rand_score(labels.codes, clusters.cat.codes),
                "nmi": normalized_mutual_info_score(labels.codes, clusters.cat.codes),
            }
        )
    return pd.DataFrame(rows, index=pd.Index(resolutions, name="resolution"))
