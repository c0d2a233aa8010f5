"""Images beside what a model makes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from curvi.data import as_keys, to_images
from curvi.pl._decoded import decoded_images, shape_of
from curvi.pl._images import captions_of, chosen_rows
from curvi.pl._mosaic import Captions, ImageStyle, draw_mosaic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.model import CurviVAE
    from curvi.pl._color import Palette


def reconstructions(
    model: CurviVAE,
    adata: AnnData | None = None,
    indices: Sequence[int] | Sequence[bool] | np.ndarray | None = None,
    color: str | None = None,
    *,
    n: int = 10,
    seed: int | None = 0,
    binarise: bool = False,
    batch: Mapping[str, object] | None = None,
    continuous: Mapping[str, object] | None = None,
    palette: Palette | None = None,
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
    """Draw images, and below each the expected image at the location of its posterior.

    Parameters
    ----------
    model
        A model trained on images.
    adata
        Images of the same shape; by default those of the model.
    indices, color, n, seed, palette
        Which images, and what is written above them, as in :func:`curvi.pl.images`.
    binarise
        Whether to draw both also in black and white, by whether a value is above the middle of ``vmin`` and ``vmax``.
    batch
        The category of each batch level to decode with, as in :meth:`curvi.CurviVAE.decode`, to see the images as those
        of another batch; by default each image's own.
    continuous
        The value of each continuous covariate, likewise.
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
        If the model was not trained on images, ``color`` is no column, or an argument is out of its range.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.digits()
    >>> curvi.CurviVAE.setup_anndata(adata)
    >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, likelihood="bernoulli")
    >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    >>> ax = curvi.pl.reconstructions(model, n=5, show=False)
    >>> [text.get_text() for text in ax.texts]
    ['original', 'reconstruction']
    """
    style = ImageStyle(channel, cmap, vmin, vmax, size)
    shape = shape_of(model)
    images = model.adata if adata is None else adata
    if images is None:
        raise ValueError("`adata` is None and the model was loaded without data; pass `adata`.")
    rows = chosen_rows(indices, images.n_obs, n, seed)
    captions = Captions() if color is None else captions_of(images, color, rows, palette)
    setup = model.registry["setup_args"]
    levels = [*as_keys(setup["batch_key"]), *as_keys(setup["categorical_covariate_keys"])]
    # Without further arguments these are the locations, an array.
    points = np.asarray(model.get_latent_representation(adata, indices=rows))
    batch = _own(images, levels, rows) if batch is None else batch
    continuous = _own(images, as_keys(setup["continuous_covariate_keys"]), rows) if continuous is None else continuous
    drawn = {
        "original": to_images(images[rows], setup["layer"]).reshape(-1, *shape),
        "reconstruction": decoded_images(model, points, batch, continuous),
    }
    if binarise:
        drawn = {key: value for name, pixels in drawn.items() for key, value in _both(name, pixels, vmin, vmax)}
    frames = None if captions.frames is None else np.tile(captions.frames, (len(drawn), 1))
    captions = replace(captions, beside=list(drawn), frames=frames, first_line=True)
    pixels = np.concatenate([*drawn.values()])
    panels = draw_mosaic(pixels, style, captions, n_columns=len(rows), ax=ax, title=title)
    return panels.finish(show=show, save=save, return_fig=return_fig)


def _own(adata: AnnData, keys: list[str], rows: np.ndarray) -> dict[str, Any]:
    """The values of columns of ``.obs`` in some rows, `(n,)` each."""
    return {key: adata.obs[key].iloc[rows].to_numpy() for key in keys}


def _both(name: str, pixels: np.ndarray, vmin: float, vmax: float) -> list[tuple[str, np.ndarray]]:
    """Images in grey and in black and white, by name."""
    return [(name, pixels), (f"{name}, binarised", np.where(pixels > (vmin + vmax) / 2, vmax, vmin))]
