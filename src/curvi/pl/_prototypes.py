"""What the centres of groups decode to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curvi.pl._decoded import decoded_images
from curvi.pl._mosaic import MOST_COLUMNS, Captions, ImageStyle, draw_mosaic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.explore import Prototypes
    from curvi.model import CurviVAE


def prototypes(
    model: CurviVAE,
    prototypes: Prototypes,
    *,
    batch: Mapping[str, object] | None = None,
    continuous: Mapping[str, object] | None = None,
    n_columns: int | None = None,
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
    """Draw the expected image at the centre of each group, below its name and how many images it has.

    Parameters
    ----------
    model
        A model trained on images.
    prototypes
        The centres, from :func:`curvi.explore.prototypes`.
    batch, continuous
        The category of each batch level and the value of each continuous covariate, as in
        :meth:`curvi.CurviVAE.decode`.
    n_columns
        Images side by side; by default all, but at most 12.
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
        If the model was not trained on images, the centres do not lie on its manifold, a level or covariate of it is
        not given, or an argument is out of its range.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.digits()
    >>> curvi.CurviVAE.setup_anndata(adata)
    >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, likelihood="bernoulli")
    >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    >>> model.embed()
    >>> ax = curvi.pl.prototypes(model, curvi.explore.prototypes(adata, "label"), show=False)
    >>> ax.texts[0].get_text().splitlines()
    ['0', 'n = 178']
    """
    style = ImageStyle(channel, cmap, vmin, vmax, size)
    pixels = decoded_images(model, prototypes.points, batch, continuous)
    named = zip(prototypes.groups, prototypes.n, strict=True)
    captions = Captions([f"{group}\nn = {count}" for group, count in named])
    columns = min(len(pixels), MOST_COLUMNS) if n_columns is None else n_columns
    panels = draw_mosaic(pixels, style, captions, n_columns=columns, ax=ax, title=title)
    return panels.finish(show=show, save=save, return_fig=return_fig)
