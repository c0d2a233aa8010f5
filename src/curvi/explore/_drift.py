"""How far decoded points are from what the encoder makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from curvi.explore._space import space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from curvi.model import CurviVAE


@torch.no_grad()
def drift(
    model: CurviVAE,
    points: np.ndarray,
    *,
    batch: Mapping[str, object] | None = None,
    continuous: Mapping[str, object] | None = None,
    library_size: float = 1e4,
) -> np.ndarray:
    r"""How far a point moves when it is decoded and encoded again: :math:`d(z, \mu(\bar x(z)))`.

    :math:`\bar x(z)` is the expected data at a point, :math:`\mu` the location of the posterior of it. Points whose
    decoded data look like data come back to where they were; a point where there are no cells drifts to where there
    are, or is decoded to something that no cell is. Two limits: expected data are smoother than any cell, so that cells
    drift as well, and a decoder that ignores a point makes it drift even where its data look right. Compare with the
    drift of the cells' own points, not with 0.

    Parameters
    ----------
    model
        A trained model.
    points
        Points on its manifold, `(..., ambient_dim)`.
    batch
        The category of each batch level, as in :meth:`curvi.CurviVAE.decode`.
    continuous
        The value of each continuous covariate, likewise.
    library_size
        The total count that decoded cells have; about that of the data. Real values have none.

    Returns
    -------
    Geodesic distances `(...)`, in the units of the manifold.

    Raises
    ------
    ValueError
        If the points do not lie on the manifold, or a level or covariate of the model is not given.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=100, n_vars=20)
    >>> curvi.CurviVAE.setup_anndata(adata)
    >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2)
    >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    >>> curvi.explore.drift(model, curvi.explore.grid(model.manifold, n=3).points).shape
    (18,)
    """
    points = np.array(points, dtype=np.float64)
    decoded = model.decode(points, batch=batch, continuous=continuous, library_size=library_size)
    back = model.encode(decoded, batch=batch, continuous=continuous)
    where = space(None, "", model.manifold).manifold
    return where.dist(torch.from_numpy(points), torch.from_numpy(back.astype(np.float64))).numpy()
