"""Counts recovered from log-normalised expression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def recover_counts(
    log_normalized: ArrayLike | sparse.spmatrix | sparse.sparray, *, tolerance: float = 0.1
) -> sparse.csr_matrix:
    r"""Integer counts behind a matrix of :math:`\log(1 + s_i\,c_{ij})`, with one unknown factor :math:`s_i` per cell.

    In every cell the smallest non-zero value of :math:`e^x - 1` is taken for a count of one, the others are divided by
    it and rounded; the factor is then fitted once more by least squares to all counts of the cell, and the deviation
    from whole numbers is checked:

    .. math::
        s_i = \frac{\sum_j c_{ij}\,(e^{x_{ij}} - 1)}{\sum_j c_{ij}^2}, \qquad
        \max_{ij} \left| \frac{e^{x_{ij}} - 1}{s_i} - c_{ij} \right| \le \text{tolerance}.

    Parameters
    ----------
    log_normalized
        Cells by genes, `(n_cells, n_genes)`, dense or sparse: counts scaled by any factor per cell, then the natural
        ``log1p``. Values at least 0.
    tolerance
        Largest distance from a whole number that still passes, between 0 and 0.5 (both excluded). Values rounded to
        three decimals stay below 0.05 up to counts of some hundreds; a matrix that never was counts reaches 0.5.

    Returns
    -------
    CSR matrix `(n_cells, n_genes)` of float32 whole numbers, zeros not stored. A cell without counts stays empty. If
    all counts of a cell share a divisor, that divisor is lost.

    Raises
    ------
    ValueError
        If values are negative, not finite, or not whole multiples of one factor per cell.

    Examples
    --------
    >>> import numpy as np
    >>> from curvi.datasets import recover_counts
    >>> counts = np.array([[0, 1, 4], [2, 1, 7]])
    >>> size = counts.sum(axis=1, keepdims=True)
    >>> recover_counts(np.log1p(counts / size * 1e4)).toarray().astype(int)
    array([[0, 1, 4],
           [2, 1, 7]])
    """
    if not 0 < tolerance < 0.5:
        raise ValueError(f"`tolerance` must lie between 0 and 0.5 (both excluded), got {tolerance}.")
    scaled = sparse.csr_matrix(log_normalized, dtype=np.float64, copy=True)
    scaled.sum_duplicates()
    scaled.eliminate_zeros()
    if not np.isfinite(scaled.data).all():
        raise ValueError("`log_normalized` has values that are NaN or infinite; counts cannot be recovered from it.")
    if (scaled.data < 0).any():
        raise ValueError("`log_normalized` has negative values; log1p of counts has none. Pass it before scaling.")
    np.expm1(scaled.data, out=scaled.data)

    n_cells = scaled.shape[0]
    cell = np.repeat(np.arange(n_cells), np.diff(scaled.indptr))
    unit = np.full(n_cells, np.inf)
    np.minimum.at(unit, cell, scaled.data)
    counts = np.rint(scaled.data / unit[cell])
    squares = np.bincount(cell, counts**2, minlength=n_cells)
    unit = np.divide(np.bincount(cell, counts * scaled.data, minlength=n_cells), squares, where=squares > 0, out=unit)
    ratio = scaled.data / unit[cell]
    counts = np.rint(ratio)
    _check_whole(np.abs(ratio - counts), cell, n_cells, tolerance)
    return sparse.csr_matrix((counts.astype(np.float32), scaled.indices, scaled.indptr), shape=scaled.shape)


def _check_whole(deviation: np.ndarray, cell: np.ndarray, n_cells: int, tolerance: float) -> None:
    """Raise if any of the deviations from a whole number, `(n_stored,)`, exceeds ``tolerance``."""
    if deviation.size == 0 or deviation.max() <= tolerance:
        return
    n_bad = np.unique(cell[deviation > tolerance]).size
    raise ValueError(
        f"`log_normalized` is not log1p of scaled counts: in {n_bad} of {n_cells} cells the values are no whole "
        f"multiples of the smallest one (largest deviation {deviation.max():.3f}, allowed {tolerance}). Pass counts "
        "with one factor per cell and the natural logarithm, before any scaling, regression or imputation."
    )
