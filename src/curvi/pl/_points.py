"""What chosen points decode to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curvi.pl._mosaic import ImageStyle
from curvi.pl._path import Backdrop, draw_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path as File

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.explore import Path
    from curvi.model import CurviVAE
    from curvi.pl._color import Palette
    from curvi.pl._places import Place


def points(
    model: CurviVAE,
    points: Path,
    adata: AnnData | None = None,
    color: str | None = None,
    *,
    basis: str = "X_curvi",
    basis_2d: str | None = None,
    dims: tuple[int, int] | None = None,
    base: Place | None = None,
    groups: str | Sequence[str] | None = None,
    palette: Palette | None = None,
    labels: str | None = "on data",
    alpha: float = 0.5,
    batch: Mapping[str, object] | None = None,
    continuous: Mapping[str, object] | None = None,
    n_columns: int | None = None,
    channel: int | None = None,
    cmap: str | Colormap = "gray",
    vmin: float = 0.0,
    vmax: float = 1.0,
    size: float = 0.7,
    title: str | None = None,
    ax: Sequence[Axes] | None = None,
    show: bool | None = None,
    save: str | File | None = None,
    return_fig: bool = False,
) -> Figure | Axes | list[Axes] | None:
    """Draw the expected images at chosen points, and above them the points, by number, over the cells.

    The plane is chosen as :func:`curvi.pl.line` does.

    Parameters
    ----------
    model
        A model trained on images.
    points
        The points, from :func:`curvi.explore.points`.
    adata, color, basis, basis_2d, dims, base, groups, palette, labels, alpha
        As in :func:`curvi.pl.line`; the middle of a map is by default that of the points.
    batch, continuous, n_columns, channel, cmap, vmin, vmax, size
        As in :func:`curvi.pl.line`.
    title, ax, show, save, return_fig
        As in :func:`curvi.pl.line`.

    Returns
    -------
    The figure with ``return_fig``; otherwise the axes of the cells and of the images, or ``None`` if the figure was
    shown.

    Raises
    ------
    ValueError
        As from :func:`curvi.pl.line`.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.digits()
    >>> curvi.CurviVAE.setup_anndata(adata)
    >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, likelihood="bernoulli")
    >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    >>> model.embed()
    >>> chosen = curvi.explore.points(adata, [("label", "3"), None, 7])
    >>> cells, images = curvi.pl.points(model, chosen, color="label", show=False)
    >>> [text.get_text() for text in images.texts]
    ['1: 3', '2: origin', '3: 7']
    """
    style = ImageStyle(channel, cmap, vmin, vmax, size)
    backdrop = Backdrop(adata, color, groups, palette, labels, basis, basis_2d, dims, base, alpha)
    panels = draw_path(
        model,
        points,
        backdrop,
        style,
        joined=False,
        batch=batch,
        continuous=continuous,
        n_columns=n_columns,
        title=title,
        ax=ax,
    )
    return panels.finish(show=show, save=save, return_fig=return_fig)
