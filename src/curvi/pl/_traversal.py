"""What changes along single dimensions of a latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curvi.pl._decoded import decoded_images
from curvi.pl._mosaic import Captions, ImageStyle, draw_mosaic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.explore import Traversal
    from curvi.model import CurviVAE


def traversal(
    model: CurviVAE,
    traversal: Traversal,
    *,
    batch: Mapping[str, object] | None = None,
    continuous: Mapping[str, object] | None = None,
    channel: int | None = None,
    cmap: str | Colormap = "gray",
    vmin: float = 0.0,
    vmax: float = 1.0,
    size: float = 0.7,
    title: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | Axes | list[Axes] | None:
    """Draw the expected images along dimensions, a line of images each, below the distance from the base.

    Steps that all dimensions have in common stand along the top, others above each image.

    Parameters
    ----------
    model
        A model trained on images.
    traversal
        The points, from :func:`curvi.explore.traversal`.
    batch, continuous
        The category of each batch level and the value of each continuous covariate, as in
        :meth:`curvi.CurviVAE.decode`.
    channel, cmap, vmin, vmax, size
        As in :func:`curvi.pl.images`.
    title, ax, show, save, return_fig
        As in :func:`curvi.pl.images`.

    Returns
    -------
    The figure with ``return_fig``; otherwise the axes, or ``None`` if the figure was shown.

    Raises
    ------
    ValueError
        If the model was not trained on images, the points do not lie on its manifold, a level or covariate of it is
        not given, or an argument is out of its range.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.digits()
    >>> curvi.CurviVAE.setup_anndata(adata)
    >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, likelihood="bernoulli")
    >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    >>> model.embed()
    >>> steps = curvi.explore.traversal(adata, ("label", "3"), span=1.0, n=5)
    >>> ax = curvi.pl.traversal(model, steps, show=False)
    >>> [text.get_text() for text in ax.texts]
    ['-1', '-0.5', '0', '0.5', '1', 'z0', 'z1']
    """
    style = ImageStyle(channel, cmap, vmin, vmax, size)
    n_dims, n_steps = traversal.steps.shape
    pixels = decoded_images(model, traversal.points.reshape(n_dims * n_steps, -1), batch, continuous)
    shared = bool(np.allclose(traversal.steps, traversal.steps[:1]))
    steps = traversal.steps[0] if shared else traversal.steps.ravel()
    # What is only a rounding error away from the base is 0.
    above = [f"{value:.3g}" for value in np.where(np.abs(steps) > 1e-9 * np.abs(steps).max(), steps, 0.0)]
    captions = Captions(above, traversal.names, first_line=shared)
    panels = draw_mosaic(pixels, style, captions, n_columns=n_steps, ax=ax, title=title)
    return panels.finish(show=show, save=save, return_fig=return_fig)
