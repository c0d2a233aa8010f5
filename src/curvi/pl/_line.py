"""What lies on the way from one point to another."""

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


def line(
    model: CurviVAE,
    path: Path,
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
    """Draw the expected images along a path, and above them the path itself over the cells.

    The plane is the one that the path was chosen in: the picture ``basis_2d``, such as UMAP, where thin lines lead to
    the cells that it was taken through; otherwise the whole globe as a map, the whole hyperbolic plane as a disk, or
    two dimensions of any other latent space, as :func:`curvi.pl.latent` draws them. Geodesics are drawn as what they
    look like there.

    Parameters
    ----------
    model
        A model trained on images.
    path
        The points, from :func:`curvi.explore.line` or :func:`curvi.explore.loop`.
    adata
        Cells to draw the path over, with an embedding; by default those of the model.
    color, groups, palette, labels, alpha
        How the cells are coloured and named, as in :func:`curvi.pl.sphere`; at most one column or gene.
    basis
        Key of ``.obsm`` for the embedding ``(n_obs, ambient_dim)``.
    basis_2d
        Key of ``.obsm`` whose first two columns are the picture, as it was given to :func:`curvi.explore.line`.
    dims
        Which two dimensions of a latent space of more than two, counted from 0; by default those in which the path
        goes farthest.
    base
        What is in the middle of a map or a disk, or where the coordinates of two dimensions are 0, as in
        :func:`curvi.pl.latent`; by default the middle of the path on a map, the origin in a disk.
    batch, continuous
        The category of each batch level and the value of each continuous covariate, as in
        :meth:`curvi.CurviVAE.decode`.
    n_columns
        Images side by side; by default all, but at most 12.
    channel, cmap, vmin, vmax, size
        Of the images, as in :func:`curvi.pl.images`.
    title
        In the place of the name of ``color``.
    ax
        Two axes to draw on, for the cells and for the images.
    show, save, return_fig
        As in :func:`curvi.pl.sphere`.

    Returns
    -------
    The figure with ``return_fig``; otherwise the axes of the cells and of the images, or ``None`` if the figure was
    shown.

    Raises
    ------
    ValueError
        If the model was not trained on images, the path was chosen in a picture and ``basis_2d`` does not say in which,
        the points do not lie on the model's manifold, a level or covariate of it is not given, or an argument is out of
        its range.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.digits()
    >>> curvi.CurviVAE.setup_anndata(adata)
    >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, likelihood="bernoulli")
    >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    >>> model.embed()
    >>> way = curvi.explore.line(adata, ("label", "3"), ("label", "8"), n=6)
    >>> cells, images = curvi.pl.line(model, way, color="label", show=False)
    >>> [text.get_text() for text in images.texts]
    ['3', '0.20', '0.40', '0.60', '0.80', '8']
    """
    style = ImageStyle(channel, cmap, vmin, vmax, size)
    backdrop = Backdrop(adata, color, groups, palette, labels, basis, basis_2d, dims, base, alpha)
    panels = draw_path(
        model,
        path,
        backdrop,
        style,
        joined=True,
        batch=batch,
        continuous=continuous,
        n_columns=n_columns,
        title=title,
        ax=ax,
    )
    return panels.finish(show=show, save=save, return_fig=return_fig)
