"""Handwritten digits and garments: MNIST and Fashion-MNIST."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from curvi.data import from_images
from curvi.datasets._download import RemoteFile, fetch, packed_arrays

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData

_FILES = {"train": "train-{}-ubyte.gz", "test": "t10k-{}-ubyte.gz"}


@dataclass(frozen=True)
class _Source:
    """A set in the form of MNIST: where it is found, and what its labels mean."""

    name: str
    mirrors: tuple[str, ...]
    md5: dict[str, tuple[str, str]]
    classes: tuple[str, ...]

    def file(self, split: str, number: int) -> RemoteFile:
        """The images (0) or the labels (1) of a split."""
        name = _FILES[split].format(("images-idx3", "labels-idx1")[number])
        urls = tuple(mirror + name for mirror in self.mirrors)
        return RemoteFile(f"{self.name}/{name}", urls, f"md5:{self.md5[split][number]}")


_MNIST = _Source(
    "mnist",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    {
        "train": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432"),
        "test": ("9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c"),
    },
    tuple("0123456789"),
)
_FASHION = _Source(
    "fashion_mnist",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    {
        "train": ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe"),
        "test": ("bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"),
    },
    ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
)


def mnist(n_train: int = 60000, n_test: int = 10000, *, cache_dir: str | Path | None = None) -> AnnData:
    """Handwritten digits, 28 x 28 grey pixels, in the division into training and test set of MNIST.

    ``mnist.npz`` in the folder that the environment variable ``CURVI_DATA_DIR`` names is taken if it has the arrays
    ``images``, ``labels`` and ``is_test``; otherwise four files (11 MB) are downloaded once and checked.

    Parameters
    ----------
    n_train, n_test
        How many images of each set, the first ones in its own order; 0 for none.
    cache_dir
        The folder for downloads. By default the one that ``CURVI_CACHE_DIR`` names, or the user's cache folder.

    Returns
    -------
    AnnData ``(n_train + n_test, 784)`` from :func:`curvi.data.from_images`, with values from 0 to 1, and
    ``.obs["label"]``, ``"0"`` to ``"9"``, and ``.obs["split"]``, ``"train"`` or ``"test"``.

    Raises
    ------
    ValueError
        If more images are asked for than there are, or none.
    OSError
        If the files are neither at hand nor can be downloaded.

    References
    ----------
    LeCun et al., Gradient-based learning applied to document recognition, Proceedings of the IEEE 86:2278, 1998.

    Examples
    --------
    >>> adata = curvi.datasets.mnist(n_train=5000, n_test=1000)  # doctest: +SKIP
    >>> curvi.data.image_shape(adata)  # doctest: +SKIP
    (28, 28)
    """
    return _load(_MNIST, {"train": n_train, "test": n_test}, cache_dir)


def fashion_mnist(n_train: int = 60000, n_test: int = 10000, *, cache_dir: str | Path | None = None) -> AnnData:
    """Garments, 28 x 28 grey pixels, in the form of MNIST.

    Parameters
    ----------
    n_train, n_test, cache_dir
        As for :func:`mnist`; the packed file is ``fashion_mnist.npz``, the download 31 MB.

    Returns
    -------
    AnnData as from :func:`mnist`, with the names of the ten kinds of garments as labels.

    Raises
    ------
    ValueError, OSError
        As from :func:`mnist`.

    References
    ----------
    Xiao, Rasul and Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms,
    arXiv:1708.07747, 2017.

    Examples
    --------
    >>> adata = curvi.datasets.fashion_mnist(n_train=5000, n_test=1000)  # doctest: +SKIP
    """
    return _load(_FASHION, {"train": n_train, "test": n_test}, cache_dir)


def _load(source: _Source, counts: dict[str, int], cache_dir: str | Path | None) -> AnnData:
    if min(counts.values()) < 0 or not any(counts.values()):
        raise ValueError(
            f"`n_train` is {counts['train']} and `n_test` is {counts['test']}; at least one image is needed."
        )
    packed = packed_arrays(f"{source.name}.npz", ("images", "labels", "is_test"))
    images, labels, splits, names = [], [], [], []
    for split, count in counts.items():
        if not count:
            continue
        if packed is None:
            pixels, codes = (read_idx(fetch(source.file(split, number), cache_dir)) for number in (0, 1))
        else:
            rows = packed["is_test"] == (split == "test")
            pixels, codes = packed["images"][rows], packed["labels"][rows]
        if count > len(pixels):
            raise ValueError(f"`n_{split}` is {count}; the {split} set of {source.name} has {len(pixels)} images.")
        images.append(pixels[:count])
        labels.append(codes[:count])
        splits += [split] * count
        names += [f"{split}{i}" for i in range(count)]
    return from_images(
        np.concatenate(images),
        labels=pd.Categorical.from_codes(np.concatenate(labels).astype(np.int64), source.classes),
        obs={"split": pd.Categorical(splits, categories=list(counts))},
        names=names,
    )


def read_idx(path: Path) -> np.ndarray:
    """The array of bytes in a gzipped IDX file: a magic number, big-endian sizes, then the bytes.

    Raises
    ------
    ValueError
        If it is no IDX file of bytes.
    """
    with gzip.open(path) as file:
        content = file.read()
    if content[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path} is no IDX file of bytes; it begins with {content[:4]!r}.")
    n_axes = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=n_axes, offset=4).astype(int)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * n_axes).reshape(shape)
