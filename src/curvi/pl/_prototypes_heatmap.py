"""The numbers of the centres of groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curvi.pl._heatmap import NARROW, WIDE, are_written, draw_table
from curvi.pl._panels import new_panels

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from curvi.explore import Prototypes


def prototypes_heatmap(
    prototypes: Prototypes,
    *,
    values: bool | None = None,
    cmap: str | Colormap = "RdBu_r",
    vmax: float | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | Axes | list[Axes] | None:
    """Draw the coordinates of the centre of each group: a row a group, a column a dimension.

    On a curved manifold they are tangent coordinates at the origin, in units of length; on a sphere of radius 1 angles.

    Parameters
    ----------
    prototypes
        The centres, from :func:`curvi.explore.prototypes`.
    values
        Whether the numbers are written, in the place of a colour bar; by default where there are at most 200 of them.
    cmap, vmax
        Colours from -``vmax`` to ``vmax``, by default the largest number of all.
    title, show, save, return_fig
        As in :func:`curvi.pl.sphere`.
    ax
        Axes to draw on.

    Returns
    -------
    The figure with ``return_fig``; otherwise the axes, or ``None`` if the figure was shown.

    Raises
    ------
    ValueError
        If ``vmax`` is not positive.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=200, n_vars=10, shape="sphere", n_types=4)
    >>> centres = curvi.explore.prototypes(adata, "cell_type", "latent", manifold=curvi.manifolds.Sphere(2))
    >>> ax = curvi.pl.prototypes_heatmap(centres, show=False)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['type1', 'type2', 'type3', 'type4']
    """
    table = prototypes.to_frame().iloc[:, : prototypes.manifold.dim]
    numbers = table.to_numpy()
    limit = (float(np.abs(numbers).max()) or 1.0) if vmax is None else vmax
    if not limit > 0:
        raise ValueError(f"`vmax` is {vmax}; it must be positive.")
    written = are_written(numbers, values)
    width, height = WIDE if written else NARROW
    n_rows, n_columns = numbers.shape
    left = 0.25 + 0.075 * max(len(group) for group in prototypes.groups)
    panels = new_panels(1, 1, ax, size=(max(1.2, n_columns * width), n_rows * height), left=left, foot=0.3)
    (panel,) = panels.groups[0]
    drawn = draw_table(
        panel, numbers, prototypes.groups, [*map(str, table.columns)], limit=limit, cmap=cmap, values=written
    )
    panels.arrange([None if written else panels.draw_scale([panel], drawn)])
    if title is not None:
        panels.set_title([panel], title)
    return panels.finish(show=show, save=save, return_fig=return_fig)
