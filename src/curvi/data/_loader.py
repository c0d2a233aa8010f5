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
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from curvi.data._minified import QZ, lacks_values
from curvi.data._rows import dense_rows
from curvi.data._stream import RowStream, is_on_disk, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from anndata import AnnData
    from scvi.data import AnnDataManager

# Where the AnnData of images keeps what it knows of them.
IMAGES = "curvi_images"
# The host's codes; everything else it registers is a number.
_CODES = (REGISTRY_KEYS.BATCH_KEY, REGISTRY_KEYS.LABELS_KEY, REGISTRY_KEYS.CAT_COVS_KEY, REGISTRY_KEYS.INDICES_KEY)


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
        if self.matrix is None:
            return self.beside(rows)
        if issparse(self.matrix) and self.matrix.format == "csr":
            return self.minibatch(rows, dense_rows(self.matrix, rows))
        return self.minibatch(rows, read_rows(self.matrix, rows))

    def beside(self, rows: np.ndarray) -> dict[str, Tensor]:
        """The columns of the cells in ``rows``."""
        picked = torch.from_numpy(rows)
        return {key: column[picked] for key, column in self.columns.items()}

    def minibatch(self, rows: np.ndarray, block: Any) -> dict[str, Tensor]:
        """The minibatch of the cells in ``rows``, whose values are ``block``."""
        values = as_values(block, self.unit)
        dense = values.toarray() if issparse(values) else np.asarray(values)
        x = torch.from_numpy(np.ascontiguousarray(dense, dtype=np.float32))
        return {REGISTRY_KEYS.X_KEY: x} | self.beside(rows)


class CellStream(IterableDataset):
    """Minibatches of nearly equal size of cells that stay on disk, as :class:`RowStream` reads them.

    Parameters
    ----------
    cells
        The cells, of a matrix on disk.
    batch_size
        The largest minibatch.
    shuffle
        Whether each pass has a new random order, from torch's global generator.
    """

    def __init__(self, cells: CellDataset, batch_size: int, *, shuffle: bool) -> None:
        self.cells = cells
        sizes = even_sizes(len(cells), batch_size)
        self.rows = RowStream(cells.matrix, cells.indices, sizes, shuffle=shuffle)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for rows, values in self.rows:
            yield self.cells.minibatch(rows, values)


def even_sizes(n: int, batch_size: int) -> list[int]:
    """The sizes of ``ceil(n / batch_size)`` minibatches of ``n`` cells, which differ by at most one.

    Examples
    --------
    >>> even_sizes(129, 128)
    [65, 64]
    """
    size, larger = divmod(n, count) if (count := ceil(n / batch_size)) else (0, 0)
    return [size + 1] * larger + [size] * (count - larger)


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
        start = 0
        for size in even_sizes(self.n, self.batch_size):
            yield order[start : start + size].tolist()
            start += size


class CellLoader(DataLoader):
    """Minibatches for training and inference, with the constructor that the host's data splitter calls.

    Parameters
    ----------
    adata_manager
        The host's manager of a registered AnnData. Data in memory are read at random; data on disk are streamed.
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
        workers = settings.dl_num_workers if num_workers is None else num_workers
        source: dict[str, Any]
        if dataset.matrix is not None and is_on_disk(dataset.matrix):
            self._refuse_for_streams(workers, distributed_sampler)
            source = {"dataset": CellStream(dataset, batch_size, shuffle=shuffle)}
        elif distributed_sampler:
            sampler: Sampler = BatchDistributedSampler(dataset, batch_size=batch_size, shuffle=shuffle)
            source = {"dataset": dataset, "sampler": sampler}
        else:
            sampler = EvenBatchSampler(len(dataset), batch_size, shuffle=shuffle)
            source = {"dataset": dataset, "sampler": sampler}
        super().__init__(
            **source,
            batch_size=None,
            pin_memory=pin_memory,
            num_workers=workers,
            persistent_workers=settings.dl_persistent_workers if persistent_workers is None else persistent_workers,
        )

    @staticmethod
    def _refuse_for_streams(workers: int, distributed: bool) -> None:
        if workers:
            raise ValueError(
                f"`num_workers` is {workers}, but cells on disk are read by a thread of their own; leave it at 0, or "
                "load the data with `adata.to_memory()`."
            )
        if distributed:
            raise ValueError(
                "`distributed_sampler` is set, but cells on disk are read by one process; load the data with "
                "`adata.to_memory()`."
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
    if is_on_disk(matrix):
        return DataLoader(CellStream(dataset, batch_size, shuffle=False), batch_size=None)
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
