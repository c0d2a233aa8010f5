"""Minibatches of cells from a registered AnnData, sparse or dense, in memory or on disk, in the order asked for."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from scipy.sparse import issparse
from scvi import REGISTRY_KEYS, settings
from torch import Tensor, distributed
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from curvi.data._minified import QZ, lacks_values
from curvi.data._resident import ResidentCells, ResidentStream
from curvi.data._rows import CompressedRows, dense_rows
from curvi.data._shares import EvenDistributedSampler, Share, even_sizes, share_of_passes, share_of_steps
from curvi.data._stream import RowStream, is_on_disk, read_rows, shuffled_runs
from curvi.data._thin import can_be_kept, density, kept_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from anndata import AnnData
    from scvi.data import AnnDataManager

# Where the AnnData of images keeps what it knows of them.
IMAGES = "curvi_images"
# The host's codes; everything else it registers is a number.
_CODES = (REGISTRY_KEYS.BATCH_KEY, REGISTRY_KEYS.LABELS_KEY, REGISTRY_KEYS.CAT_COVS_KEY, REGISTRY_KEYS.INDICES_KEY)

# Minibatches of compressed rows that are made in a row, and how many cells they may have together.
_AHEAD, _CELLS_AHEAD = 8, 1024

# How full a matrix may be for compressed rows to be faster than dense ones.
_THIN = 0.25
# What an encoder is given at once: cells as compressed rows, and values of dense rows.
_CELLS_A_PASS, _VALUES_A_PASS = 8192, 2**20


def suits_sparse(matrix: Any) -> bool:
    """Whether a matrix is read faster as compressed rows: mostly zeros, and stored by rows or dense in memory."""
    if can_be_kept(matrix):
        return density(matrix) <= _THIN
    if not _is_by_rows(matrix):
        return False
    n_entries = matrix.nnz if issparse(matrix) else matrix.group["data"].shape[0]
    return n_entries <= _THIN * matrix.shape[0] * matrix.shape[1]


def _is_by_rows(matrix: Any) -> bool:
    """Whether a matrix is sparse and stored by rows."""
    return getattr(matrix, "format", None) == "csr"


def cells_a_pass(n_features: int, *, sparse: bool) -> int:
    """How many cells to encode at once.

    Examples
    --------
    >>> cells_a_pass(2000, sparse=False), cells_a_pass(2000, sparse=True)
    (524, 8192)
    """
    return _CELLS_A_PASS if sparse else min(max(_VALUES_A_PASS // n_features, 1), _CELLS_A_PASS)


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
    sparse
        Whether values are handed out as compressed rows, of a matrix that :func:`suits_sparse`.
    """

    def __init__(
        self,
        matrix: Any,
        columns: Mapping[str, Tensor],
        indices: np.ndarray,
        unit: float = 1.0,
        *,
        sparse: bool = False,
    ) -> None:
        self.matrix = matrix
        self.columns = columns
        # Numpy picks a few numbers in less time than torch.
        self._picked_from = {key: column.numpy() for key, column in columns.items()}
        self.indices = indices
        self.unit = unit
        self.sparse = sparse
        self._compressed: CompressedRows | None = None
        self._kept = sparse and can_be_kept(matrix)
        if self._kept:
            # A matrix that is dense in memory is read once.
            self._compressed = CompressedRows(kept_rows(matrix, indices))
        elif sparse and issparse(matrix) and _is_by_rows(matrix):
            self._compressed = CompressedRows(matrix, indices)

    @classmethod
    def from_manager(cls, adata_manager: AnnDataManager, indices: np.ndarray, *, sparse: bool = False) -> Self:
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
        return cls(matrix, columns, indices, unit_of(adata_manager.adata, matrix), sparse=sparse)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, positions: Sequence[int] | np.ndarray) -> dict[str, Tensor]:
        """The minibatch of the cells at ``positions``: ``X`` ``(n, n_features)`` float32, the columns ``(n, size)``."""
        own = np.asarray(positions)
        rows = self.indices[own]
        if self.matrix is None:
            return self.beside(rows)
        if self._compressed is not None:
            return self.minibatch(rows, self._compressed[own if self._kept else rows])
        if issparse(self.matrix) and self.matrix.format == "csr":
            return self.minibatch(rows, dense_rows(self.matrix, rows))
        return self.minibatch(rows, read_rows(self.matrix, rows))

    def minibatches(self, positions: Iterable[np.ndarray]) -> Iterator[dict[str, Tensor]]:
        """The minibatches of the cells at each of the ``positions``.

        Small ones of compressed rows are made some in a row, so that what makes them stays in the processor's caches.
        """
        rest = iter(positions)
        for first in rest:
            n = max(min(_AHEAD, _CELLS_AHEAD // max(len(first), 1)), 1) if self.sparse else 1
            yield from [self[own] for own in (first, *islice(rest, n - 1))]

    def beside(self, rows: np.ndarray) -> dict[str, Tensor]:
        """The columns of the cells in ``rows``."""
        return {key: torch.from_numpy(column.take(rows, axis=0)) for key, column in self._picked_from.items()}

    def minibatch(self, rows: np.ndarray, block: Any) -> dict[str, Tensor]:
        """The minibatch of the cells in ``rows``, whose values are ``block``."""
        if self.sparse:
            if self.unit != 1:
                block.values().div_(255)
            return {REGISTRY_KEYS.X_KEY: block, **self.beside(rows)}
        values = as_values(block, self.unit)
        dense = values.toarray() if issparse(values) else np.asarray(values)
        x = torch.from_numpy(np.ascontiguousarray(dense, dtype=np.float32))
        return {REGISTRY_KEYS.X_KEY: x, **self.beside(rows)}


class CellStream(IterableDataset):
    """Minibatches of nearly equal size of cells that stay on disk, as :class:`RowStream` reads them.

    Parameters
    ----------
    cells
        The cells, of a matrix on disk.
    share
        Which of them, in the order of the dataset or of an epoch, and in what minibatches.
    shuffle
        Whether each pass has a new random order, from torch's global generator.
    seed
        For a process that has a share of every epoch: of what goes to which process, a number from 0 that all of them
        must have in common. None where the share is always of the same cells.
    """

    def __init__(self, cells: CellDataset, share: Share, *, shuffle: bool, seed: int | None = None) -> None:
        self.cells = cells
        self.share = share
        self.seed = seed if shuffle else None
        self.epoch = 0
        own = cells.indices[share.start : share.stop]
        self.rows = RowStream(cells.matrix, own, share.sizes, shuffle=shuffle, sparse=cells.sparse)

    def __len__(self) -> int:
        return len(self.rows)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass belongs to, where cells are dealt anew by the epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        if self.seed is not None:
            dealt = shuffled_runs(self.cells.indices, np.random.default_rng([self.seed, self.epoch]))
            self.rows.rows = dealt[self.share.start : self.share.stop]
        for rows, values in self.rows:
            yield self.cells.minibatch(rows, values)


class EvenBatchSampler(Sampler[np.ndarray]):
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
    part
        Of the minibatches, the part number ``part[0]``, from 0, of ``part[1]`` parts.

    Raises
    ------
    ValueError
        If there are fewer minibatches than parts.

    Examples
    --------
    >>> [len(batch) for batch in EvenBatchSampler(129, 128, shuffle=False)]
    [65, 64]
    """

    def __init__(self, n: int, batch_size: int, *, shuffle: bool, part: tuple[int, int] = (0, 1)) -> None:
        self.n = n
        self.shuffle = shuffle
        self.share = _part_of(n, batch_size, part)

    def __len__(self) -> int:
        return len(self.share.sizes)

    def __iter__(self) -> Iterator[np.ndarray]:
        yield from self.share.cut(torch.randperm(self.n).numpy() if self.shuffle else np.arange(self.n))


def _part_of(n: int, batch_size: int, part: tuple[int, int]) -> Share:
    """The minibatches of a part of the cells in order, of all of them if there is one part only."""
    return Share(0, even_sizes(n, batch_size)) if part == (0, 1) else share_of_passes(n, batch_size, *part)


class _DirectLoader(DataLoader):
    """Torch's loader of a dataset that makes whole minibatches, without what serves workers where there are none."""

    dataset: CellDataset | CellStream | ResidentStream

    def __iter__(self) -> Iterator[dict[str, Tensor]]:  # type: ignore[override]
        if self.num_workers or self.pin_memory:
            return super().__iter__()
        # As torch does when a pass begins: seeded trainings have the same random numbers with workers and without.
        torch.empty((), dtype=torch.int64).random_(generator=self.generator)
        if isinstance(self.dataset, IterableDataset):
            return iter(self.dataset)
        return self.dataset.minibatches(self.sampler)


class CellLoader(_DirectLoader):
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
        Whether each process of a distributed run gets its own share of the cells, of equally many minibatches.
    load_sparse_tensor
        Whether values come as compressed rows, :data:`torch.sparse_csr`; the matrix must be stored so, or be dense
        and in memory.
    pin_memory, num_workers, persistent_workers
        As in :class:`torch.utils.data.DataLoader`.
    seed
        Of the shares in a distributed run, a number from 0 that all processes must have in common.
    part
        Of the minibatches in order, the part number ``part[0]``, from 0, of ``part[1]`` parts.
    resident
        All cells of the AnnData as a device holds them, which then makes the minibatches.
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
        seed: int = 0,
        part: tuple[int, int] = (0, 1),
        resident: ResidentCells | None = None,
    ) -> None:
        if drop_last:
            raise ValueError(f"`drop_last` is {drop_last!r}; minibatches are of even size, leave it at False.")
        n_obs = adata_manager.adata.n_obs
        self.indices = as_rows(indices, n_obs)
        dataset = CellDataset.from_manager(adata_manager, self.indices, sparse=load_sparse_tensor)
        if load_sparse_tensor and not (_is_by_rows(dataset.matrix) or can_be_kept(dataset.matrix)):
            raise ValueError(
                "`load_sparse_tensor` is True, but the data are neither a sparse matrix stored by rows (CSR) nor a "
                "dense one in memory of bytes, float32 or float64; leave it at False."
            )
        workers = settings.dl_num_workers if num_workers is None else num_workers
        source: dict[str, Any]
        if dataset.matrix is not None and is_on_disk(dataset.matrix):
            if workers:
                raise ValueError(
                    f"`num_workers` is {workers}, but cells on disk are read in the process itself; leave it at 0, "
                    "or load the data with `adata.to_memory()`."
                )
            if distributed_sampler:
                process = distributed.get_rank(), distributed.get_world_size()
                share = share_of_steps(len(dataset), batch_size, *process)
            else:
                share = _part_of(len(dataset), batch_size, part)
            stream = CellStream(dataset, share, shuffle=shuffle, seed=seed if distributed_sampler else None)
            source = {"dataset": stream}
        elif distributed_sampler:
            sampler: Sampler = EvenDistributedSampler(len(dataset), batch_size, shuffle=shuffle, seed=seed)
            source = {"dataset": dataset, "sampler": sampler}
        else:
            sampler = EvenBatchSampler(len(dataset), batch_size, shuffle=shuffle, part=part)
            source = {"dataset": dataset, "sampler": sampler}
        if resident is not None:
            source = {"dataset": ResidentStream(resident, self.indices, source["sampler"])}
        super().__init__(
            **source,
            batch_size=None,
            # Torch draws a number whenever a pass begins; not from those of a process, whose epochs have their seeds.
            generator=torch.Generator() if distributed_sampler else None,
            pin_memory=pin_memory,
            num_workers=workers,
            persistent_workers=settings.dl_persistent_workers if persistent_workers is None else persistent_workers,
        )

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass belongs to, where cells are dealt to processes anew by the epoch."""
        for dealer in (self.sampler, self.dataset):
            if isinstance(dealer, EvenDistributedSampler | CellStream | ResidentStream):
                dealer.set_epoch(epoch)


def level_free_loader(
    adata: AnnData,
    matrix: Any,
    *,
    continuous_keys: Sequence[str],
    indices: Sequence[int] | Sequence[bool] | np.ndarray | None,
    batch_size: int,
    load_sparse_tensor: bool = False,
) -> DataLoader:
    """Minibatches of cells in order, their values a matrix, without batch levels, for an encoder that reads none.

    Nothing is registered and nothing is written, so that the levels of these cells may hold anything.
    """
    columns = {REGISTRY_KEYS.BATCH_KEY: torch.zeros(adata.n_obs, 1, dtype=torch.int64)}
    if continuous_keys:
        # Copied: of a table, arrays may be read-only views.
        columns[REGISTRY_KEYS.CONT_COVS_KEY] = torch.tensor(adata.obs[list(continuous_keys)].to_numpy(dtype=np.float32))
    rows = as_rows(indices, adata.n_obs)
    dataset = CellDataset(matrix, columns, rows, unit_of(adata, matrix), sparse=load_sparse_tensor)
    if is_on_disk(matrix):
        share = Share(0, even_sizes(len(dataset), batch_size))
        return _DirectLoader(CellStream(dataset, share, shuffle=False), batch_size=None)
    return _DirectLoader(dataset, batch_size=None, sampler=EvenBatchSampler(len(dataset), batch_size, shuffle=False))


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
