"""Images drawn from the prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curvi.pl._decoded import decoded_images, shape_of
from curvi.pl._mosaic import Captions, ImageStyle, draw_mosaic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.model import CurviVAE


def samples(
    model: CurviVAE,
    n: int = 36,
    seed: int | None = 0,
    *,
    coordinates: bool = False,
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
    """Draw what points drawn from the prior decode to: the expected image at each.

    Parameters
    ----------
    model
        A model trained on images, whose latent space has a prior.
    n
        How many images, at least 1.
    seed
        Of the draws, which are those of :meth:`curvi.CurviVAE.sample_prior`; None goes on with torch's generator.
    coordinates
        Whether to write the numbers of each point above its image, a line each.
    batch, continuous
        The category of each batch level and the value of each continuous covariate, as in
        :meth:`curvi.CurviVAE.decode`.
    n_columns, channel, cmap, vmin, vmax, size
        As in :func:`curvi.pl.images`.
    title, ax, show, save, return_fig
        As in :func:`curvi.pl.images`.

    Returns
    -------
    The figure with ``return_fig``; otherwise the axes, or ``None`` if the figure was shown.

    Raises
    ------
    ValueError
        If the model was not trained on images or has no prior, a level or covariate of the model is not given, or an
        argument is out of its range.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.digits()
    >>> curvi.CurviVAE.setup_anndata(adata)
    >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, likelihood="bernoulli")
    >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    >>> ax = curvi.pl.samples(model, n=4, coordinates=True, show=False)
    >>> len(ax.texts)
    4
    """
    style = ImageStyle(channel, cmap, vmin, vmax, size)
    shape_of(model)
    points = model.sample_prior(n, seed=seed)
    captions = Captions(["\n".join(f"{value:.2f}" for value in point) for point in points] if coordinates else [])
    pixels = decoded_images(model, points, batch, continuous)
    panels = draw_mosaic(pixels, style, captions, n_columns=n_columns, ax=ax, title=title)
    return panels.finish(show=show, save=save, return_fig=return_fig)
