"""Data from and to files."""

from __future__ import annotations

import logging
import os
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anndata
import h5py
import scanpy as sc

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

logger = logging.getLogger(__name__)

_FORMS = "an AnnData file (.h5ad or .zarr), a 10x file (.h5), or a 10x folder with matrix.mtx"


def read(path: str | os.PathLike[str]) -> AnnData:
    """The data in a file or folder, in memory, with names of genes that differ from one another.

    Parameters
    ----------
    path
        ``.h5ad``; ``.zarr``; a 10x ``.h5`` of any version, of which the gene expression is kept; or a folder with
        ``matrix.mtx`` (or ``matrix.mtx.gz``) as 10x writes it.

    Raises
    ------
    FileNotFoundError
        If there is nothing at ``path``.
    ValueError
        If it is none of these forms.

    Examples
    --------
    >>> import tempfile
    >>> import curvi
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(curvi.datasets.synthetic(n_obs=20, n_vars=10), f"{folder}/cells.h5ad")
    ...     read(f"{folder}/cells.h5ad").shape
    (20, 10)
    """
    source = Path(path)
    if not source.exists():
        raise FileNotFoundError(f"there is no file or folder {str(source)!r}.")
    reader = _reader(source)
    with warnings.catch_warnings():
        # Names are made unique below, and that is said.
        warnings.filterwarnings("ignore", message="Variable names are not unique")
        adata = reader(source)
    if not adata.var_names.is_unique:
        n_repeated = int(adata.var_names.duplicated().sum())
        logger.info("%d genes have the name of another; -1, -2, ... is added to it", n_repeated)
        adata.var_names_make_unique()
    logger.info("read %s: %d cells, %d genes", source, adata.n_obs, adata.n_vars)
    return adata


def write(adata: AnnData, path: str | os.PathLike[str]) -> None:
    """Write data to ``.h5ad`` or ``.zarr``; an ``.h5ad`` file appears only when it is complete.

    Raises
    ------
    ValueError
        If the name ends otherwise.
    """
    target = check_output(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".zarr":
        adata.write_zarr(target)
    else:
        # Workflow managers and impatient readers take a file that is there for one that is finished.
        unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            adata.write_h5ad(unfinished)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    logger.info("wrote %s", target)


def check_output(path: str | os.PathLike[str]) -> Path:
    """The path of a file to write.

    Raises
    ------
    ValueError
        If its ending is none that can be written.
    """
    target = Path(path)
    if target.suffix not in (".h5ad", ".zarr"):
        raise ValueError(f"the output {str(target)!r} ends in {target.suffix!r}; expected .h5ad or .zarr.")
    return target


def _reader(source: Path) -> Callable[[Path], AnnData]:
    """What reads this file or folder."""
    if source.suffix == ".zarr" and source.is_dir():
        return anndata.read_zarr
    if source.is_dir():
        if any((source / name).is_file() for name in ("matrix.mtx", "matrix.mtx.gz")):
            return partial(sc.read_10x_mtx, make_unique=False)
        raise ValueError(f"the folder {str(source)!r} has no matrix.mtx or matrix.mtx.gz; expected {_FORMS}.")
    if source.suffix not in (".h5ad", ".h5"):
        raise ValueError(f"cannot read {str(source)!r}; expected {_FORMS}.")
    if not h5py.is_hdf5(source):
        raise ValueError(f"{str(source)!r} is not an HDF5 file, whatever its name; expected {_FORMS}.")
    with h5py.File(source, "r") as file:
        is_anndata = "obs" in file and "var" in file
        is_10x = any(isinstance(group, h5py.Group) and "barcodes" in group for group in file.values())
    if source.suffix == ".h5ad" and is_anndata:
        return anndata.read_h5ad
    if source.suffix == ".h5" and is_10x:
        return sc.read_10x_h5
    form = "an AnnData file" if source.suffix == ".h5ad" else "a 10x file of counts"
    raise ValueError(f"{str(source)!r} is an HDF5 file, but not {form}; expected {_FORMS}.")
