"""Cells that are held as a whole on the device of the model, where minibatches are made without a copy at each step."""

from __future__ import annotations

import logging
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import csr_matrix, issparse, vstack
from scvi import REGISTRY_KEYS
from torch.utils.data import IterableDataset

from curvi.data._rows import dense_rows
from curvi.data._shares import EvenDistributedSampler
from curvi.data._stream import is_on_disk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from torch import Tensor
    from torch.utils.data import Sampler

    from curvi.data._loader import CellDataset

PLACES = ("auto", "cpu", "model")
# The part of a device's free memory that cells may take by default; the model and its steps need the rest.
SHARE = 0.5
# Minibatches whose row numbers are copied together, and what is copied of a matrix at once: entries, or rows.
_WINDOW, _ENTRIES, _ROWS = 512, 2**22, 4096
# The host's, whose level is that of `scvi.settings.verbosity`.
_LOGGER = logging.getLogger("scvi")


def _exact_type(blocks: Iterable[np.ndarray]) -> np.dtype:
    """The smallest type that holds values as exactly as float32 does: bytes, 16 bits, or float32 itself."""
    lowest, highest = 0.0, 0.0
    for block in blocks:
        if block.dtype.kind not in "biu" and not (block == np.rint(block)).all():
            return np.dtype(np.float32)
        if block.size:
            lowest, highest = min(lowest, float(block.min())), max(highest, float(block.max()))
    for dtype in (np.uint8, np.int16):
        if np.iinfo(dtype).min <= lowest and highest <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.float32)


def _summed(matrix: Any) -> Any:
    """Compressed rows in which each entry is stored once."""
    rows = matrix if matrix.format == "csr" else matrix.tocsr()
    if rows.has_canonical_format:
        return rows
    # Parts are added as everywhere else.
    return vstack([csr_matrix(dense_rows(rows, part)) for part in _runs(len(rows.indptr) - 1, _ROWS)], format="csr")


def _runs(n: int, size: int) -> list[np.ndarray]:
    return [np.arange(start, min(start + size, n)) for start in range(0, n, size)]


class ResidentCells:
    """All cells of a matrix in memory, and the columns that go with them, for a device to hold.

    Values are kept in the smallest type that is exact, as compressed rows or as dense ones, whichever is smaller; a
    dense matrix stays dense. With ``b`` bytes a value, compressed rows take ``b + 2`` bytes an entry, ``b + 4`` beyond
    32,768 features; dense ones ``b`` bytes a feature.

    Parameters
    ----------
    cells
        The matrix and the columns.

    Attributes
    ----------
    nbytes
        What they take on the device.
    compressed
        Whether they are held as compressed rows.
    """

    def __init__(self, cells: CellDataset) -> None:
        self.n_obs, self.n_features = cells.matrix.shape
        self.unit = cells.unit
        matrix: Any = _summed(cells.matrix) if issparse(cells.matrix) else np.asarray(cells.matrix)
        values = matrix.data if issparse(matrix) else matrix
        step = _ENTRIES if issparse(matrix) else _ROWS
        self.dtype = _exact_type(values[start : start + step] for start in range(0, len(values), step))
        self.column_type = np.dtype(np.int16 if self.n_features <= 2**15 else np.int32)
        self.nbytes = self.n_obs * self.n_features * self.dtype.itemsize
        self.compressed = False
        if issparse(matrix):
            thin = matrix.nnz * (self.dtype.itemsize + self.column_type.itemsize)
            self.compressed, self.nbytes = thin < self.nbytes, min(thin, self.nbytes)
        self.nbytes += sum(column.nbytes for column in cells.columns.values())
        self._matrix, self._columns = matrix, dict(cells.columns)
        self._values = self._places = torch.empty(0)

    def to(self, device: torch.device) -> ResidentCells:
        """Copy everything to a device, piece by piece."""
        self.device = device
        self._columns = {name: column.to(device) for name, column in self._columns.items()}
        if self.compressed:
            self._values = self._moved(self._matrix.data, self.dtype)
            self._places = self._moved(self._matrix.indices, self.column_type)
            # Where rows begin is asked for on the host, which then knows the sizes of all that is made of them.
            self._starts = self._matrix.indptr
        else:
            shape = self.n_obs, self.n_features
            self._values = torch.empty(shape, dtype=_like(self.dtype), device=device)
            for rows in _runs(self.n_obs, _ROWS):
                block = dense_rows(self._matrix, rows) if issparse(self._matrix) else self._matrix[rows]
                self._values[rows[0] : rows[-1] + 1] = torch.from_numpy(block.astype(self.dtype))
        # By a tensor: by a number, accelerators multiply with its rounded inverse.
        self._full = torch.tensor(255.0, device=device)
        del self._matrix
        return self

    def _moved(self, entries: np.ndarray, dtype: np.dtype) -> Tensor:
        """Entries on the device in another type."""
        moved = torch.empty(len(entries), dtype=_like(dtype), device=self.device)
        for start in range(0, len(entries), _ENTRIES):
            part = entries[start : start + _ENTRIES].astype(dtype)
            moved[start : start + len(part)] = torch.from_numpy(part)
        return moved

    def free(self) -> None:
        """Let go of what the device holds, whoever still knows of it."""
        self._values = self._places = self._full = torch.empty(0)
        self._columns = {}

    def minibatches(self, rows_of_each: Iterable[np.ndarray]) -> Iterator[dict[str, Tensor]]:
        """The minibatches of cells: ``X`` ``(n, n_features)`` float32 and the columns ``(n, size)``, on the device.

        The numbers of the rows go there for 512 minibatches at once. What a single one needs beyond them, how many
        entries it has, the host knows, so that no step waits for the device.
        """
        rest = iter(rows_of_each)
        while window := list(islice(rest, _WINDOW)):
            rows = np.concatenate(window).astype(np.int64, copy=False)
            cuts = np.cumsum([0, *map(len, window)])
            if self.compressed:
                lengths = self._starts[rows + 1] - self._starts[rows]
                ends = np.cumsum(lengths, dtype=np.int64)
                entries = np.concatenate([[0], ends])[cuts]
                # Added to the place of an entry in the window, it gives the place in the matrix.
                picked = np.stack([rows, lengths, self._starts[rows] - (ends - lengths)])
            else:
                entries, picked = cuts, rows[None]
            on_device = torch.from_numpy(picked).to(self.device)
            for (a, b), (first, end) in zip(pairwise(cuts.tolist()), pairwise(entries.tolist()), strict=True):
                own = on_device[:, a:b]
                columns = {name: column.index_select(0, own[0]) for name, column in self._columns.items()}
                yield {REGISTRY_KEYS.X_KEY: self._dense(own, first, end)} | columns

    def _dense(self, picked: Tensor, first: int, end: int) -> Tensor:
        """The values of rows, whose entries are those from ``first`` to ``end`` of the window."""
        if self.compressed:
            _, lengths, shift = picked
            row = torch.repeat_interleave(lengths, output_size=end - first)
            place = torch.arange(first, end, device=self.device).add_(shift[row])
            index = row.mul_(self.n_features).add_(self._places[place])
            x = torch.zeros(len(lengths) * self.n_features, device=self.device)
            x = x.scatter_(0, index, self._values[place].float()).view(-1, self.n_features)
        else:
            x = self._values.index_select(0, picked[0]).float()
        return x if self.unit == 1 else x / self._full


def _like(dtype: np.dtype) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype


class ResidentStream(IterableDataset):
    """Minibatches that a device makes of the cells it holds, in the order of a sampler.

    Parameters
    ----------
    cells
        What the device holds.
    indices
        The rows that can be drawn, in order.
    sampler
        Of positions among them, a list for each minibatch.
    """

    def __init__(self, cells: ResidentCells, indices: np.ndarray, sampler: Sampler[list[int]]) -> None:
        self.cells = cells
        self.indices = indices
        self.sampler = sampler

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass belongs to, where cells are dealt anew by the epoch."""
        if isinstance(self.sampler, EvenDistributedSampler):
            self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return self.cells.minibatches(self.indices[np.asarray(positions)] for positions in self.sampler)


def free_bytes(device: torch.device) -> int | None:
    """The memory of a device that can be taken; None where nobody knows."""
    if device.type == "cuda":
        # Torch keeps what it has freed.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if device.type == "xpu" and hasattr(torch.xpu, "mem_get_info"):
        return torch.xpu.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return None


def hold(
    cells: CellDataset, device: torch.device, loader: Mapping[str, Any], *, must: bool = False, say: bool = True
) -> ResidentCells | None:
    """The cells on the device of the model, or None where their minibatches come from the host.

    A device holds them if they take at most half of what it has free, and nothing is asked of the loader that only the
    host can do.

    Parameters
    ----------
    cells
        A matrix and its columns.
    device
        Where the model is trained.
    loader
        What else was asked of the loader, by the names of its arguments.
    must
        Whether it is an error if they cannot be held there; they may then take all that is free.
    say
        Whether to say where they are, in a line of the host's logger.

    Raises
    ------
    ValueError
        If they must be held there, and cannot.
    """
    why_not = _obstacle(cells, loader)
    if why_not is None:
        held, free = ResidentCells(cells), free_bytes(device)
        size, limit = f"{held.nbytes / 1e6:,.1f} MB", (free or 0) * (1 if must else SHARE)
        if free is not None and held.nbytes > limit:
            room = f"at most {limit / 1e6:,.1f} MB of {device} are for them"
            why_not = f"the cells take {size}, and {room}", "free some of its memory"
        elif free is None and not must:
            why_not = f"how much of the memory of {device} is free is not known", ""
    if why_not is None:
        form = "compressed" if held.compressed else "dense"
        if say:
            _LOGGER.info("The cells are held on %s: %s in %s rows of %s.", device, size, form, held.dtype)
        return held.to(device)
    reason, remedy = why_not
    if must:
        raise ValueError(f"`data_device` is 'model', but {reason}; {remedy}, or leave it at 'auto'.")
    if say:
        _LOGGER.info("Minibatches are copied to %s one by one: %s.", device, reason)
    return None


def _obstacle(cells: CellDataset, loader: Mapping[str, Any]) -> Sequence[str] | None:
    """Why minibatches can only be made on the host, and what to do about it."""
    if is_on_disk(cells.matrix):
        return "the cells stay on disk", "load them with `adata.to_memory()`"
    for name in ("num_workers", "pin_memory", "load_sparse_tensor"):
        if value := loader.get(name):
            return f"`{name}` is {value!r}, which is about minibatches made on the host", f"leave out `{name}`"
    return None
