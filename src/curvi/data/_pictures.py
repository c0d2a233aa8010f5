"""Pictures from arrays, files and torch datasets, read a block at a time, of one size and with values from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from collections.abc import Callable

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
# What white is in each type whose range says it.
_WHITE = {np.dtype(bool): 1.0, np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}
_MODES = ("1", "L", "RGB", "RGBA", "I;16", "I;16B", "I", "F")


@dataclass(frozen=True)
class Pictures:
    """Pictures of one shape that are read when they are asked for.

    Attributes
    ----------
    n
        How many there are.
    shape
        Of each, ``(height, width)`` or ``(height, width, channels)``.
    read
        From the numbers of the first picture and of the one after the last to ``(n, *shape)``, float32 in [0, 1].
    names
        The files' names, or None for pictures without.
    folders
        The name of the folder that each file lies in, or None.
    found
        The second entries of a torch dataset's items, filled while the pictures are read.
    """

    n: int
    shape: tuple[int, ...]
    read: Callable[[int, int], np.ndarray]
    names: list[str] | None = None
    folders: list[str] | None = None
    found: dict[int, Any] | None = None


@dataclass(frozen=True)
class Reading:
    """How pictures are read; see :func:`curvi.data.from_images`."""

    channels: str | None
    value_range: tuple[float, float] | None
    size: tuple[int, int] | None
    mode: str | None

    def picture(self, item: Any, what: str) -> np.ndarray:
        """A picture of Pillow, an array or a tensor as float32 in [0, 1], channels last, of the size asked for."""
        if isinstance(item, Image.Image):
            pixels = _drawn(item, self.mode, what)
        else:
            pixels = np.asarray(item)
            if pixels.ndim not in (2, 3) or not pixels.size:
                raise ValueError(f"{what} has shape {pixels.shape}; a picture is (h, w), (h, w, c) or (c, h, w).")
            if pixels.ndim == 3 and channels_first(pixels.shape, self.channels):
                pixels = np.moveaxis(pixels, 0, -1)
        unit = unit_values(pixels, self.value_range, what)
        return unit if self.size is None else _resized(unit, self.size)


def open_pictures(images: Any, reading: Reading) -> Pictures:
    """The pictures behind any of the arguments that :func:`curvi.data.from_images` takes."""
    if isinstance(images, str | Path):
        return _from_folder(Path(images), reading)
    if isinstance(images, Dataset):
        return _from_dataset(images, reading)
    if isinstance(images, list | tuple):
        if not images:
            raise ValueError("`images` is empty; at least one picture is needed.")
        if all(isinstance(item, str | Path) for item in images):
            return _from_files([Path(item) for item in images], [str(item) for item in images], reading)
        shape, read = _one_by_one(lambda i: reading.picture(images[i], f"`images[{i}]`"))
        return Pictures(len(images), shape, read)
    return _from_array(images, reading)


def channels_first(shape: tuple[int, ...], channels: str | None) -> bool:
    """Whether the channels of a picture of three axes come first.

    Raises
    ------
    ValueError
        If ``channels`` is neither "first", "last" nor None, or is None and the shape looks like channels first.
    """
    if channels not in ("first", "last", None):
        raise ValueError(f"`channels` is {channels!r}; expected 'first' for (c, h, w) or 'last' for (h, w, c).")
    if channels is None and shape[0] <= 4 < shape[-1]:
        raise ValueError(
            f"`images` holds pictures of shape {shape}, which looks like channels first; pass channels='first' for "
            "(c, h, w) or channels='last' for (h, w, c)."
        )
    return channels == "first"


def unit_values(pixels: np.ndarray, value_range: tuple[float, float] | None, what: str) -> np.ndarray:
    """Pixels of any shape as float32 from 0 to 1.

    Raises
    ------
    ValueError
        If values are missing or outside the range, or the type is of integers whose range is not known.
    """
    if value_range is not None:
        low, high = map(float, value_range)
        if not low < high < np.inf or low == -np.inf:
            raise ValueError(f"`value_range` is {value_range!r}; expected two finite numbers, black below white.")
    elif pixels.dtype in _WHITE:
        low, high = 0.0, _WHITE[pixels.dtype]
    elif pixels.dtype.kind == "f":
        low, high = 0.0, 1.0
    else:
        raise ValueError(
            f"{what} has pixels of type {pixels.dtype}, which does not say what white is; pass `value_range`, the "
            "values of black and white, such as (0, 255)."
        )
    # A missing value fails both comparisons.
    if pixels.size and not (pixels.min() >= low and pixels.max() <= high):
        raise ValueError(
            f"{what} has values from {pixels.min():g} to {pixels.max():g}; expected {low:g} to {high:g}. Pass "
            "`value_range`, the values of black and white, or fill missing pixels."
        )
    if (low, high) == (0.0, 1.0):
        return np.asarray(pixels, dtype=np.float32)
    # Bytes are exact in float32; wider types go through float64.
    unit: np.ndarray = pixels.astype(np.float32 if pixels.dtype == np.uint8 else np.float64)
    np.subtract(unit, low, out=unit)
    np.divide(unit, high - low, out=unit)
    return unit.astype(np.float32, copy=False)


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture ``(h, w)`` or ``(h, w, c)`` at another size, by linear interpolation that averages when it shrinks."""
    height, width = size
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    if planes.shape[:2] == (height, width):
        return pixels
    drawn = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(planes[..., k])).resize((width, height), Image.Resampling.BILINEAR)
        )
        for k in range(planes.shape[-1])
    ]
    stacked = np.clip(np.stack(drawn, axis=-1), 0.0, 1.0)
    return stacked[..., 0] if pixels.ndim == 2 else stacked


def _drawn(picture: Image.Image, mode: str | None, what: str) -> np.ndarray:
    """The pixels of a picture of Pillow."""
    n_frames = getattr(picture, "n_frames", 1)
    if n_frames > 1:
        raise ValueError(f"{what} holds {n_frames} pictures; save them as one file each.")
    if mode is not None:
        return np.asarray(picture.convert(mode))
    if picture.mode not in _MODES:
        raise ValueError(
            f"{what} has the mode {picture.mode!r} of Pillow; pass `mode`, 'L' for grey or 'RGB' for colour."
        )
    return np.asarray(picture)


def _from_array(images: Any, reading: Reading) -> Pictures:
    """Pictures in one array, which may lie on disk."""
    array = images if isinstance(getattr(images, "shape", None), tuple) else np.asarray(images)
    shape = tuple(array.shape)
    if len(shape) not in (3, 4) or not all(shape):
        raise ValueError(
            f"`images` has shape {shape}; expected (n, h, w), (n, h, w, c) or, with channels='first', (n, c, h, w)."
        )
    first = len(shape) == 4 and channels_first(shape[1:], reading.channels)
    height, width, *rest = (shape[2], shape[3], shape[1]) if first else shape[1:]
    target = (*(reading.size or (height, width)), *rest)

    def read(start: int, stop: int) -> np.ndarray:
        block = np.asarray(array[start:stop])
        if first:
            block = np.moveaxis(block, 1, -1)
        unit = unit_values(block, reading.value_range, "`images`")
        if reading.size is None:
            return unit
        return np.stack([_resized(picture, reading.size) for picture in unit])

    return Pictures(shape[0], target, read)


def _one_by_one(picture: Callable[[int], np.ndarray]) -> tuple[tuple[int, ...], Callable[[int, int], np.ndarray]]:
    """The shape of the first picture, and how to read a block of pictures that must have it too."""
    shape = picture(0).shape

    def read(start: int, stop: int) -> np.ndarray:
        block = np.empty((stop - start, *shape), dtype=np.float32)
        for i in range(start, stop):
            pixels = picture(i)
            if pixels.shape != shape:
                remedy = (
                    "`size=(height, width)` to resize all" if pixels.shape[:2] != shape[:2] else "`mode`, 'RGB' or 'L'"
                )
                raise ValueError(f"image {i} has shape {pixels.shape}, the first one {shape}; pass {remedy}.")
            block[i - start] = pixels
        return block

    return shape, read


def _from_files(paths: list[Path], names: list[str], reading: Reading) -> Pictures:
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"`images` names {missing[0]}, which is not a file ({len(missing)} of {len(paths)}).")

    def picture(i: int) -> np.ndarray:
        with Image.open(paths[i]) as file:
            return reading.picture(file, str(paths[i]))

    shape, read = _one_by_one(picture)
    return Pictures(len(paths), shape, read, names=names, folders=[path.absolute().parent.name for path in paths])


def _from_folder(folder: Path, reading: Reading) -> Pictures:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"`images` is {str(folder)!r}, which is not a folder; pass a folder or a list of files."
        )
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"`images` is {str(folder)!r}, which holds no file that ends in {', '.join(SUFFIXES)}.")
    return _from_files(paths, [path.relative_to(folder).as_posix() for path in paths], reading)


def _from_dataset(dataset: Any, reading: Reading) -> Pictures:
    """The items of a torch dataset: pictures, or tuples that begin with a picture and its label."""
    found: dict[int, Any] = {}

    def picture(i: int) -> np.ndarray:
        item = dataset[i]
        if isinstance(item, list | tuple):
            if len(item) > 1:
                found[i] = np.asarray(item[1])
            item = item[0]
        return reading.picture(item, f"`images[{i}]`")

    shape, read = _one_by_one(picture)
    return Pictures(len(dataset), shape, read, found=found)
