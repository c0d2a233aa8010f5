"""Pictures of blood cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from curvi.data import from_images
from curvi.datasets._download import RemoteFile, fetch, packed_arrays

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData

_SPLITS = ("train", "val", "test")
# Packed sets: the file, and the columns that it has beside `images`, `labels` and `split`.
_PACKED = {
    "bccd": ("bccd_crops28.npz", ("source_image", "wbc_subtype")),
    "txl_pbc": ("txlpbc_crops28.npz", ("source_image", "source")),
}
_MEDMNIST = RemoteFile(
    "bloodmnist.npz",
    (
        "https://zenodo.org/records/10519652/files/bloodmnist.npz?download=1",
        "https://zenodo.org/record/6496656/files/bloodmnist.npz?download=1",
    ),
    "md5:7053d0359d879ad8a5505303e11de1dc",
)
_MEDMNIST_CLASSES = (
    "basophil",
    "eosinophil",
    "erythroblast",
    "immature granulocyte",
    "lymphocyte",
    "monocyte",
    "neutrophil",
    "platelet",
)


def blood_cells(collection: str = "bloodmnist", *, cache_dir: str | Path | None = None) -> AnnData:
    """Blood cells under the microscope, 28 x 28 pixels in colour.

    Parameters
    ----------
    collection
        - ``"bloodmnist"``: 17,092 cells of eight kinds, one to a picture, from MedMNIST; downloaded once and checked
          (CC BY 4.0).
        - ``"bccd"``: 4,886 red cells (4,153), white cells (372) and platelets (361) cut out of the smears of BCCD.
        - ``"txl_pbc"``: 8,366 such cells cut out of four older sets, the column ``source`` of ``.obs``: a real batch.

        The last two are read from ``bccd_crops28.npz`` and ``txlpbc_crops28.npz`` in the folder that the environment
        variable ``CURVI_DATA_DIR`` names. They show some of the same pictures: do not train on one and test on the
        other.
    cache_dir
        The folder for downloads. By default the one that ``CURVI_CACHE_DIR`` names, or the user's cache folder.

    Returns
    -------
    AnnData ``(n, 2352)`` from :func:`curvi.data.from_images`, with values from 0 to 1, and in ``.obs`` the ``label``,
    the ``split`` (``"train"``, ``"val"`` or ``"test"``; the cells of one picture are in one split) and, for cells cut
    out of a larger picture, its name in ``source_image``.

    Raises
    ------
    ValueError
        If the collection is unknown.
    OSError
        If the file is neither at hand nor can be downloaded.

    References
    ----------
    Yang et al., MedMNIST v2, Scientific Data 10:41, 2023; Acevedo et al., Data in Brief 30:105474, 2020 (its pictures).
    BCCD: https://github.com/Shenggan/BCCD_Dataset. TXL-PBC: https://github.com/lugan113/TXL-PBC_Dataset.

    Examples
    --------
    >>> adata = curvi.datasets.blood_cells()  # doctest: +SKIP
    >>> curvi.data.image_shape(adata)  # doctest: +SKIP
    (28, 28, 3)
    """
    if collection == "bloodmnist":
        return _bloodmnist(cache_dir)
    if collection not in _PACKED:
        known = ", ".join(map(repr, ("bloodmnist", *_PACKED)))
        raise ValueError(f"unknown collection {collection!r}; the known collections are {known}.")
    name, columns = _PACKED[collection]
    packed = packed_arrays(name, ("images", "labels", "split", *columns))
    if packed is None:
        raise FileNotFoundError(
            f"{name} is not served by anyone; set the environment variable CURVI_DATA_DIR to a folder with that file, "
            f"whose arrays are images (n, 28, 28, 3), labels, split, {' and '.join(columns)}, or choose 'bloodmnist'."
        )
    obs = {key: _known(packed[key]) for key in columns}
    return from_images(packed["images"], packed["labels"], obs={"split": _split(packed["split"]), **obs})


def _known(values: np.ndarray) -> pd.Categorical:
    """Categories of strings, of which the empty one stands for a missing value."""
    codes = np.unique(values[values != ""])
    return pd.Categorical([value or None for value in values.tolist()], categories=codes.tolist())


def _split(values: np.ndarray) -> pd.Categorical:
    return pd.Categorical(values, categories=_SPLITS)


def _bloodmnist(cache_dir: str | Path | None) -> AnnData:
    with np.load(fetch(_MEDMNIST, cache_dir), allow_pickle=False) as file:
        images = [file[f"{split}_images"] for split in _SPLITS]
        codes = np.concatenate([file[f"{split}_labels"].ravel() for split in _SPLITS])
    return from_images(
        np.concatenate(images),
        labels=pd.Categorical.from_codes(codes.astype(np.int64), _MEDMNIST_CLASSES),
        obs={"split": _split(np.repeat(_SPLITS, [len(block) for block in images]))},
    )
