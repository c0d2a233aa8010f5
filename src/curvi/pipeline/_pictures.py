"""The picture that suits an embedding."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from curvi import pl

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from anndata import AnnData

logger = logging.getLogger(__name__)

# What draws which recorded manifold; two coordinates in a plane for all others.
_PICTURES: dict[tuple[str, int], Callable[..., object]] = {
    ("sphere", 2): pl.sphere,
    ("lorentz", 2): pl.disk,
    ("poincare", 2): pl.disk,
}


def draw(
    adata: AnnData,
    save: str | os.PathLike[str],
    basis: str = "X_curvi",
    color: str | Sequence[str] | None = None,
) -> None:
    """Draw an embedding into a file: as a globe or a disk if it suits its manifold, else its first two coordinates.

    Parameters
    ----------
    adata
        Cells with an embedding; its manifold is the one recorded with it.
    save
        The file; its ending chooses the format. Folders are made.
    basis
        Key of ``.obsm``.
    color
        Columns of ``.obs`` or genes.

    Raises
    ------
    ValueError
        If the embedding or a colour is unknown, or the format is.
    """
    target = Path(save)
    target.parent.mkdir(parents=True, exist_ok=True)
    manifold = adata.uns.get("curvi", {}).get(basis, {}).get("manifold", {})
    picture = _PICTURES.get((manifold.get("name"), manifold.get("dim")), pl.plane)
    picture(adata, basis, color=color, show=False, save=target)
    logger.info("wrote %s", target)
