"""Images as AnnData: one image a row, one pixel a column, and the shape to see them in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import issparse

from curvi.data._layers import layer_names
from curvi.data._loader import IMAGES, as_values, read_rows, unit_of
from curvi.data._pictures import Pictures, Reading, open_pictures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

# How many numbers are read at once.
_BLOCK = 2**24
_DTYPES = ("float32", "uint8")


def from_images(
    images: Any,
    labels: ArrayLike | str | None = None,
    *,
    obs: pd.DataFrame | Mapping[str, ArrayLike] | None = None,
    names: Sequence[str] | None = None,
    channels: str | None = None,
    value_range: tuple[float, float] | None = None,
    size: tuple[int, int] | None = None,
    mode: str | None = None,
    dtype: str = "float32",
    filename: str | Path | None = None,
) -> AnnData:
    """Images as AnnData that the model reads like cells: one image a row, one pixel a column, values from 0 to 1.

    Parameters
    ----------
    images
        An array or tensor ``(n, h, w)``, ``(n, h, w, c)`` or ``(n, c, h, w)``, in memory or on disk; a list of arrays,
        of pictures of Pillow or of paths; a folder, whose PNG, JPEG and TIFF files are taken, those in its folders
        too, in the order of their names; or a torch dataset, whose items are images or tuples of an image and a label.
    labels
        One for each image; ``"folder"`` for the name of the folder that its file lies in. None takes those of a torch
        dataset.
    obs
        Further columns, such as slide, plate or stain, which can then be batch levels. A table whose index holds the
        names of the images is brought into their order.
    names
        The names of the images; by default the paths of files, the index of ``obs`` if it holds strings, or numbers.
    channels
        ``"last"`` or ``"first"``, where images have three axes. None means last, and raises where that looks wrong.
    value_range
        The values of black and white. None means 0 and 255 for 8-bit, 0 and 65535 for unsigned 16-bit pixels, 0 and 1
        for floating-point ones.
    size
        Height and width to resize all images to, by linear interpolation that averages when it shrinks.
    mode
        Mode of Pillow that pictures and files are converted to: ``"L"`` for grey, ``"RGB"`` for colour.
    dtype
        ``"float32"``, or ``"uint8"`` to keep images as bytes, the nearest of 256 values, in a quarter of the memory:
        exact for 8-bit pictures. Models and pictures read both alike.
    filename
        An ``.h5ad`` file to write the images to block by block, for sets larger than memory. What is returned is then
        backed by it; the model trains on it as it is.

    Returns
    -------
    AnnData ``(n, h * w * c)``:

    - ``.X``: float32 in [0, 1], dense; bytes divided by 255, or as they are with ``dtype="uint8"``. The channels of a
      pixel are side by side, the pixels of a line follow each other.
    - ``.obs["label"]``, if there are labels, as categories unless they are fractional numbers; the columns of ``obs``.
    - ``.var_names``: ``pixel_y_x``, with colour ``pixel_y_x_c``.
    - ``.uns["curvi_images"]``: ``height``, ``width``, ``channels`` and ``axes`` (``"yx"`` or ``"yxc"``).

    Raises
    ------
    ValueError
        If images differ in size, values lie outside the range or are missing, or labels, names or rows of ``obs`` are
        not one for each image.
    FileNotFoundError
        If a folder or a file does not exist or there is none in it.

    Examples
    --------
    >>> import numpy as np
    >>> from curvi.data import from_images, to_images
    >>> images = np.random.default_rng(0).integers(256, size=(6, 4, 5, 3), dtype=np.uint8)
    >>> adata = from_images(images, labels=["a", "b"] * 3, obs={"slide": ["s1"] * 3 + ["s2"] * 3})
    >>> adata.shape, list(adata.obs.columns), adata.var_names[-1]
    ((6, 60), ['label', 'slide'], 'pixel_3_4_2')
    >>> bool((to_images(adata) == images.astype(np.float32) / 255).all())
    True
    """
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ValueError(f"`size` is {size!r}; expected a height and a width in pixels, at least 1.")
    if dtype not in _DTYPES:
        raise ValueError(f"`dtype` is {dtype!r}; expected {' or '.join(map(repr, _DTYPES))}.")
    pictures = open_pictures(images, Reading(channels, value_range, size, mode))
    table = _table(pictures, obs, names)
    if filename is None:
        x = np.empty((pictures.n, int(np.prod(pictures.shape))), dtype=dtype)
        _fill(x, pictures)
        adata = _without_pixels(pictures, table, labels)
        adata.X = x
        return adata
    path = Path(filename)
    part = path.with_name(f"{path.name}.part")
    try:
        _write(part, pictures, table, labels, dtype)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return anndata.read_h5ad(path, backed="r")


def image_shape(adata: AnnData) -> tuple[int, ...]:
    """The shape of each image: ``(height, width)``, with colour ``(height, width, channels)``.

    Raises
    ------
    ValueError
        If the data are not from :func:`from_images`, or have lost or gained pixels since.

    Examples
    --------
    >>> import numpy as np
    >>> image_shape(from_images(np.zeros((2, 3, 4))))
    (3, 4)
    """
    if IMAGES not in adata.uns:
        raise ValueError(
            f"`adata` has no record of images in `.uns[{IMAGES!r}]`; make it with `curvi.data.from_images`."
        )
    record = adata.uns[IMAGES]
    shape = tuple(int(record[name]) for name in ("height", "width", "channels")[: len(record["axes"])])
    if np.prod(shape) != adata.n_vars:
        raise ValueError(
            f"`adata` has {adata.n_vars} columns; its images of shape {shape} have {np.prod(shape)} values. Keep all "
            "columns of images."
        )
    return shape


def to_images(
    data: AnnData | ArrayLike, layer: str | None = None, *, shape: tuple[int, ...] | None = None
) -> np.ndarray:
    """The rows of a matrix as images.

    Parameters
    ----------
    data
        AnnData from :func:`from_images`, or numbers ``(..., n_pixels)`` such as those that a model decodes.
    layer
        The layer of the AnnData to show instead of ``.X``.
    shape
        For numbers without AnnData: the shape of each image, from :func:`image_shape`.

    Returns
    -------
    Images ``(n, height, width)``, with colour ``(n, height, width, channels)``: those of an AnnData that keeps bytes as
    float32 from 0 to 1, others in the type that they are stored in.

    Raises
    ------
    ValueError
        If the shape is not known or does not fit the number of pixels.

    Examples
    --------
    >>> import numpy as np
    >>> to_images(np.arange(12.0).reshape(2, 6), shape=(2, 3)).shape
    (2, 2, 3)
    """
    if isinstance(data, AnnData):
        if shape is not None:
            raise ValueError("`shape` was given with an AnnData, which has a record of its own; pass an array with it.")
        shape = image_shape(data)
        if layer is not None and layer not in data.layers:
            known = ", ".join(map(repr, layer_names(data))) or "none"
            raise ValueError(f"`layer` is {layer!r}, which is not a layer of `data`; the layers are {known}.")
        kept = data.X if layer is None else data.layers[layer]
        matrix = as_values(read_rows(kept, np.arange(data.n_obs)), unit_of(data, kept))
    elif shape is None or layer is not None:
        raise ValueError("`data` is an array; pass `shape=image_shape(adata)` with it and no `layer`.")
    else:
        matrix = data
    pixels = matrix.toarray() if issparse(matrix) else np.asarray(matrix)
    if not pixels.ndim or pixels.shape[-1] != np.prod(shape):
        raise ValueError(f"`data` has shape {pixels.shape}; images of shape {shape} need {np.prod(shape)} columns.")
    return pixels.reshape(*pixels.shape[:-1], *shape)


def _rows(pictures: Pictures, n_numbers: int) -> int:
    """How many whole images hold about as many numbers, at least one."""
    return max(1, min(pictures.n, n_numbers // int(np.prod(pictures.shape))))


def _fill(x: np.ndarray | h5py.Dataset, pictures: Pictures) -> None:
    """Write all images into a matrix ``(n, n_pixels)``, a block at a time."""
    step = _rows(pictures, _BLOCK)
    for start in range(0, pictures.n, step):
        stop = min(start + step, pictures.n)
        values = pictures.read(start, stop).reshape(stop - start, -1)
        x[start:stop] = values if x.dtype == np.float32 else np.rint(values * 255).astype(np.uint8)


def _without_pixels(pictures: Pictures, table: pd.DataFrame, labels: ArrayLike | str | None) -> AnnData:
    """Rows, columns and the record of images that have been read."""
    height, width, channels = (*pictures.shape, 1)[:3]
    record = {"height": height, "width": width, "channels": channels, "axes": "yxc"[: len(pictures.shape)]}
    var = pd.DataFrame(index=_pixel_names(pictures.shape))
    return AnnData(obs=_labelled(table, _labels(pictures, labels)), var=var, uns={IMAGES: record})


def _write(path: Path, pictures: Pictures, table: pd.DataFrame, labels: ArrayLike | str | None, dtype: str) -> None:
    """Write an ``.h5ad`` file without ever holding more than a block of images."""
    n_pixels = int(np.prod(pictures.shape))
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        x = file.create_dataset("X", (pictures.n, n_pixels), dtype, chunks=(_rows(pictures, 2**18), n_pixels))
        x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        _fill(x, pictures)
        adata = _without_pixels(pictures, table, labels)
        adata.strings_to_categoricals()
        for key, value in {"obs": adata.obs, "var": adata.var, "uns": dict(adata.uns)}.items():
            anndata.io.write_elem(file, key, value)


def _pixel_names(shape: tuple[int, ...]) -> list[str]:
    return ["pixel_" + "_".join(map(str, place)) for place in np.ndindex(*shape)]


def _table(pictures: Pictures, obs: pd.DataFrame | Mapping[str, ArrayLike] | None, names: Any) -> pd.DataFrame:
    """The columns of ``obs`` in the order of the images, under the images' names."""
    given = pd.DataFrame(obs)
    named = obs is not None and all(isinstance(name, str) for name in given.index)
    found = pictures.names if names is None else [str(name) for name in names]
    if obs is not None and len(given) != pictures.n:
        raise ValueError(f"`obs` has {len(given)} rows; expected one for each of {pictures.n} images.")
    if found is None:
        found = list(given.index) if named else [str(i) for i in range(pictures.n)]
    if len(found) != pictures.n or len(set(found)) != pictures.n:
        raise ValueError(
            f"{len(found)} names were given, {len(set(found))} of them different; expected one for each of "
            f"{pictures.n} images, all different. Pass `names`."
        )
    if named:
        unknown = sorted(set(found) - set(given.index))
        if unknown:
            raise ValueError(
                f"the index of `obs` has no row for image {unknown[0]!r}; give it the images' names, or drop it with "
                "`obs.reset_index(drop=True)` if the rows are in the order of the images."
            )
        given = given.loc[found]
    return given.set_axis(pd.Index(found), axis=0)


def _labels(pictures: Pictures, labels: ArrayLike | str | None) -> pd.Series | None:
    """One label for each image, once all were read."""
    if isinstance(labels, str):
        if labels != "folder" or pictures.folders is None:
            raise ValueError(f"`labels` is {labels!r}; expected one for each image, or 'folder' for images from files.")
        values: Any = pictures.folders
    elif labels is None:
        if not pictures.found:
            return None
        values = [pictures.found.get(i) for i in range(pictures.n)]
    else:
        values = labels
    series = pd.Series(np.asarray(values).ravel() if not isinstance(values, pd.Categorical | pd.Series) else values)
    if len(series) != pictures.n:
        raise ValueError(f"`labels` has {len(series)} entries; expected one for each of {pictures.n} images.")
    return series if series.dtype.kind == "f" else series.astype("category")


def _labelled(table: pd.DataFrame, labels: pd.Series | None) -> pd.DataFrame:
    if labels is not None:
        if "label" in table:
            raise ValueError("`obs` has a column 'label' and `labels` were given too; leave one of them out.")
        table.insert(0, "label", labels.to_numpy() if labels.dtype.kind == "f" else pd.Categorical(labels))
    return table
