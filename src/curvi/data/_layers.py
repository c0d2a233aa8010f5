"""The layers of an AnnData by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData


def layer_names(adata: AnnData) -> list[str]:
    """The names of the layers; from version 0.13 on, AnnData itself also counts ``.X`` as one, without a name.

    Examples
    --------
    >>> import anndata
    >>> import numpy as np
    >>> layer_names(anndata.AnnData(np.ones((2, 3)), layers={"counts": np.ones((2, 3))}))
    ['counts']
    """
    return [name for name in adata.layers if name is not None]
