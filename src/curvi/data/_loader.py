"""Minibatches of cells from a registered AnnData, sparse or dense, in memory or on disk, in the order asked for."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from scipy.sparse import issparse
from scvi import REGISTRY_KEYS, settings
from scvi.dataloaders import BatchDistributedSampler
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from curvi.data._minified import QZ, lacks_values
from curvi.data._rows import dense_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from anndata import AnnData
    from scvi.data import AnnDataManager

# Where the AnnData of images keeps what it knows of them.
IMAGES = "curvi_images"
# The host's codes; everything else it registers is a number.
_CODES = (REGISTRY_KEYS.BATCH_KEY, REGISTRY_KEYS.LABELS_KEY, REGISTRY_KEYS.CAT_COVS_KEY, REGISTRY_KEYS.INDICES_KEY)


def read_rows(matrix: Any, rows: np.ndarray) -> Any:
    """Rows of an in-memory or on-disk matrix, sparse or dense, in the order and as often as ``rows`` names them."""
    if isinstance(matrix, np.ndarray) or issparse(matrix):
        return matrix[rows]
    # On disk, rows can only be read sorted and once each.
    unique, inverse = np.unique(rows, return_inverse=True)
    return matrix[unique][inverse]


def unit_of(adata: AnnData, matrix: Any) -> float:
    """What a 1 in a matrix of the AnnData stands for: 1 / 255 in bytes of images, else 1."""
    return 1 / 255 if IMAGES in adata.uns and matrix.dtype == np.uint8 else 1.0


def as_values(block: Any, unit: float) -> Any:
    """Rows as the model reads them: bytes of images, whose 1 stands for 1 / 255, as numbers from 0 to 1."""
    if unit == 1:
        return block
    return (block.toarray() if issparse(block) else np.asarray(block)).astype(np.float32) / np.float32(255)


def value_blocks(adata: AnnData, layer: str | None = None, n_rows: int = 4096) -> Iterator[tuple[int, Any]]:
    """Successive blocks of ``n_rows`` rows as the model reads them, each with the number of its first row.

    The matrix, ``.X`` or a layer, may lie on disk, and may be sparse, as its blocks are then.
    """
    matrix = adata.X if layer is None else adata.layers[layer]
    unit = unit_of(adata, matrix)
    for start in range(0, adata.n_obs, n_rows):
        yield start, as_values(matrix[start : start + n_rows], unit)


class CellDataset(Dataset):
    """A matrix and the columns that go with it, read by lists of rows.

    Parameters
    ----------
    matrix
        Cells by features, sparse or dense, in memory or on disk; None for minified data, which have the parameters of
        posteriors among the columns instead.
    columns
        What goes with each cell by its name, ``(n_obs, size)``.
    indices
        The rows that the dataset holds, in order.
    unit
        What a 1 in the matrix stands for: 1 / 255 for images kept as bytes.
    """

    def __init__(self, matrix: Any, columns: Mapping[str, Tensor], indices: np.ndarray, unit: float = 1.0) -> None:
        self.matrix = matrix
        self.columns = columns
        self.indices = indices
        self.unit = unit

    @classmethod
    def from_manager(cls, adata_manager: AnnDataManager, indices: np.ndarray) -> Self:
        """The registered matrix and columns of the host's manager."""
        columns = {}
        for key in adata_manager.data_registry:
            if key == REGISTRY_KEYS.X_KEY:
                continue
            # Parameters of posteriors stay as exact as the model was.
            dtype = np.int64 if key in _CODES else None if key.startswith(QZ) else np.float32
            columns[key] = torch.as_tensor(np.array(adata_manager.get_from_registry(key), dtype=dtype))
        if lacks_values(adata_manager.adata):
            return cls(None, columns, indices)
        matrix = adata_manager.get_from_registry(REGISTRY_KEYS.X_KEY)
        return cls(matrix, columns, indices, unit_of(adata_manager.adata, matrix))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, positions: Sequence[int]) -> dict[str, Tensor]:
        """The minibatch of the cells at ``positions``: ``X`` ``(n, n_features)`` float32, the columns ``(n, size)``."""
        rows = self.indices[np.asarray(positions)]
        picked = torch.from_numpy(rows)
        beside = {key: column[picked] for key, column in self.columns.items()}
        if self.matrix is None:
            return beside
        if issparse(self.matrix) and self.matrix.format == "csr" and self.unit == 1:
            dense = dense_rows(self.matrix, rows)
        else:
            block = as_values(read_rows(self.matrix, rows), self.unit)
            dense = block.toarray() if issparse(block) else np.asarray(block)
        x = torch.from_numpy(np.ascontiguousarray(dense, dtype=np.float32))
        return {REGISTRY_KEYS.X_KEY: x} | beside


class EvenBatchSampler(Sampler[list[int]]):
    """Minibatches of nearly equal size: every cell once, no small remainder at the end.

    ``n`` cells make ``ceil(n / batch_size)`` minibatches whose sizes differ by at most one. A remainder of one or two
    cells would make batch normalisation fail or drift; dropping it would lose cells.

    Parameters
    ----------
    n
        The number of cells.
    batch_size
        The largest minibatch.
    shuffle
        Whether each pass has a new random order, from torch's global generator.

    Examples
    --------
    >>> [len(batch) for batch in EvenBatchSampler(129, 128, shuffle=False)]
    [65, 64]
    """

    def __init__(self, n: int, batch_size: int, *, shuffle: bool) -> None:
        self.n = n
        self.batch_size = batch_size
        self.shuffle = shuffle

    def __len__(self) -> int:
        return ceil(self.n / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(self.n).numpy() if self.shuffle else np.arange(self.n)
        for part in np.array_split(order, max(len(self), 1)):
            yield part.tolist()


class CellLoader(DataLoader):
    """Minibatches for training and inference, with the constructor that the host's data splitter calls.

    Parameters
    ----------
    adata_manager
        The host's manager of a registered AnnData.
    indices
        Rows to load, as integers or a boolean mask; all by default. The order is kept when ``shuffle`` is False.
    batch_size
        The largest minibatch.
    shuffle
        Whether each pass has a new random order.
    drop_last
        Whether the host's splitter asked to drop a smaller last minibatch; there is none, so only False is taken.
    distributed_sampler
        Whether each process of a distributed run gets its own share of the cells.
    load_sparse_tensor
        Taken for the host's sake; only False is.
    pin_memory, num_workers, persistent_workers
        As in :class:`torch.utils.data.DataLoader`.
    """

    def __init__(
        self,
        adata_manager: AnnDataManager,
        indices: Sequence[int] | Sequence[bool] | np.ndarray | None = None,
        batch_size: int = 128,
        shuffle: bool = False,
        drop_last: bool = False,
        distributed_sampler: bool = False,
        load_sparse_tensor: bool = False,
        pin_memory: bool = False,
        num_workers: int | None = None,
        persistent_workers: bool | None = None,
    ) -> None:
        for argument, value in {"drop_last": drop_last, "load_sparse_tensor": load_sparse_tensor}.items():
            if value:
                raise ValueError(
                    f"`{argument}` is {value!r}; minibatches are dense and of even size, leave it at False."
                )
        n_obs = adata_manager.adata.n_obs
        self.indices = as_rows(indices, n_obs)
        dataset = CellDataset.from_manager(adata_manager, self.indices)
        sampler: Sampler[list[int]]
        if distributed_sampler:
            sampler = BatchDistributedSampler(dataset, batch_size=batch_size, shuffle=shuffle)
        else:
            sampler = EvenBatchSampler(len(dataset), batch_size, shuffle=shuffle)
        super().__init__(
            dataset,
            batch_size=None,
            sampler=sampler,
            pin_memory=pin_memory,
            num_workers=settings.dl_num_workers if num_workers is None else num_workers,
            persistent_workers=settings.dl_persistent_workers if persistent_workers is None else persistent_workers,
        )


def level_free_loader(
    adata: AnnData,
    *,
    layer: str | None,
    continuous_keys: Sequence[str],
    indices: Sequence[int] | Sequence[bool] | np.ndarray | None,
    batch_size: int,
) -> DataLoader:
    """Minibatches of cells in order, without batch levels, for an encoder that reads none.

    Nothing is registered and nothing is written, so that the levels of these cells may hold anything.
    """
    columns = {REGISTRY_KEYS.BATCH_KEY: torch.zeros(adata.n_obs, 1, dtype=torch.int64)}
    if continuous_keys:
        values = adata.obs[list(continuous_keys)].to_numpy(dtype=np.float32)
        columns[REGISTRY_KEYS.CONT_COVS_KEY] = torch.from_numpy(values)
    matrix = adata.X if layer is None else adata.layers[layer]
    dataset = CellDataset(matrix, columns, as_rows(indices, adata.n_obs), unit_of(adata, matrix))
    return DataLoader(dataset, batch_size=None, sampler=EvenBatchSampler(len(dataset), batch_size, shuffle=False))


def as_rows(indices: Sequence[int] | Sequence[bool] | np.ndarray | None, n_obs: int) -> np.ndarray:
    """Row numbers from integers (negative ones count from the end), a boolean mask, or None for all rows.

    Raises
    ------
    IndexError
        If a number is out of range or a mask has the wrong length.
    """
    if indices is None:
        return np.arange(n_obs)
    given = np.asarray(indices)
    if given.dtype == bool:
        if given.shape != (n_obs,):
            raise IndexError(
                f"`indices` is a mask of shape {given.shape}; the data has {n_obs} cells, so ({n_obs},) is needed."
            )
        return np.flatnonzero(given)
    rows = given.astype(np.int64).ravel()
    outside = rows[(rows < -n_obs) | (rows >= n_obs)]
    if len(outside):
        raise IndexError(f"`indices` names row {outside[0]}; the data has {n_obs} cells.")
    return np.where(rows < 0, rows + n_obs, rows)
