"""Minibatches of cells that stay on disk: read in long runs, shuffled in a buffer of bounded size."""

from __future__ import annotations

from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import csr_matrix, issparse, vstack

from curvi._compressed import stacked
from curvi.data._rows import CompressedRows, dense_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Rows that are read at once from one place, more where a buffer can hold so many such runs, and what it may hold at
# all. Of a file whose parts are compressed, the longer the runs, the less is read for nothing.
RUN, RUNS, BUFFER_BYTES, MAX_BUFFER_ROWS = 256, 64, 128 * 2**20, 32768


def is_on_disk(matrix: Any) -> bool:
    """Whether a matrix is read from disk, row by row, and not held in memory."""
    return not (isinstance(matrix, np.ndarray) or issparse(matrix))


def read_rows(matrix: Any, rows: np.ndarray) -> Any:
    """Rows of an in-memory or on-disk matrix, sparse or dense, in the order and as often as ``rows`` names them."""
    if not is_on_disk(matrix):
        return matrix[rows]
    # On disk, rows can only be read sorted and once each; and what lies together is read at once.
    unique, inverse = np.unique(rows, return_inverse=True)
    if not len(unique):
        return matrix[0:0]
    first, end = unique[0], unique[-1] + 1
    together = matrix[first:end][unique - first] if end - first <= 2 * len(unique) else matrix[unique]
    return together[inverse]


def shuffled_runs(rows: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Rows in runs of 256 that lie together, the runs in random order."""
    runs = np.array_split(np.sort(rows), max(1, ceil(len(rows) / RUN)))
    return np.concatenate([runs[i] for i in draw.permutation(len(runs))])


class _CompressedRows:
    """Rows of a sparse matrix as AnnData stores it on disk, sliced without what each slice costs there."""

    def __init__(self, group: Any, shape: tuple[int, int]) -> None:
        self.data, self.columns = group["data"], group["indices"]
        self.starts = group["indptr"][:]
        self.shape = shape
        # An entry and its column, and as much again while rows are put together.
        self.row_bytes = ceil(16 * int(self.starts[-1]) / max(shape[0], 1))

    def __getitem__(self, rows: slice | np.ndarray) -> csr_matrix:
        if isinstance(rows, np.ndarray):
            parts = [self[int(row) : int(row) + 1] for row in rows]
            return vstack(parts, format="csr") if parts else self[0:0]
        first, end = self.starts[rows.start], self.starts[rows.stop]
        starts = self.starts[rows.start : rows.stop + 1] - first
        shape = (rows.stop - rows.start, self.shape[1])
        return csr_matrix((self.data[first:end], self.columns[first:end], starts), shape=shape)


class _DenseRows:
    """Rows of an array on disk."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.row_bytes = array.shape[1] * array.dtype.itemsize

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return self.array[rows]


def _reader(matrix: Any) -> _CompressedRows | _DenseRows:
    group = getattr(matrix, "group", None)
    return _DenseRows(matrix) if group is None else _CompressedRows(group, matrix.shape)


class RowStream:
    """Minibatches of the rows of a matrix on disk, in order or shuffled.

    Shuffled, the rows are cut into runs of 256 to 512 that lie together; runs from all over the matrix fill a buffer,
    in which rows are mixed. A minibatch thus holds cells of as many runs as fit the buffer, 64 where 16,384 rows are no
    more than 128 MiB. What fits one buffer, of at most 32,768 rows, comes in the order in which cells in memory would.

    Parameters
    ----------
    matrix
        On disk: an array, or compressed rows.
    rows
        The rows to be read, in the order asked for.
    batch_sizes
        The sizes of the minibatches; their sum is the number of rows.
    shuffle
        Whether each pass has a new random order, from torch's global generator.
    sparse
        Whether rows of a sparse matrix stay compressed.

    Raises
    ------
    ValueError
        If the matrix is stored by columns, of which rows cannot be read.
    """

    def __init__(
        self, matrix: Any, rows: np.ndarray, batch_sizes: Sequence[int], *, shuffle: bool, sparse: bool = False
    ) -> None:
        if getattr(matrix, "format", "csr") == "csc":
            raise ValueError(
                "the matrix on disk is stored by columns (CSC), of which cells cannot be read; store it by rows, "
                "as with `adata.X = adata.X.to_memory().tocsr()` before it is written."
            )
        self.matrix = _reader(matrix)
        self.rows = rows
        self.batch_sizes = list(batch_sizes)
        self.shuffle = shuffle
        self.sparse = sparse
        self.buffer_rows = int(np.clip(BUFFER_BYTES // max(self.matrix.row_bytes, 1), RUN, MAX_BUFFER_ROWS))
        self.run_rows = max(RUN, self.buffer_rows // RUNS)

    def __len__(self) -> int:
        return len(self.batch_sizes)

    def _buffers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The rows of each buffer as they are read, and the order in which it hands them out."""
        n = len(self.rows)
        if not self.shuffle:
            cuts = [*range(0, n, self.buffer_rows), n]
            return [(self.rows[a:b], np.arange(b - a)) for a, b in pairwise(cuts)]
        if n <= self.buffer_rows:
            # All fit: the order is that of cells in memory.
            place = np.argsort(np.argsort(self.rows, kind="stable"), kind="stable")
            return [(np.sort(self.rows), place[torch.randperm(n).numpy()])]
        runs = np.array_split(np.sort(self.rows), ceil(n / self.run_rows))
        # Buffers of nearly equal size: a small last one would mix the rows of few places only.
        groups = np.array_split(torch.randperm(len(runs)).numpy(), ceil(len(runs) * self.run_rows / self.buffer_rows))
        chosen = [np.concatenate([runs[i] for i in np.sort(group)]) for group in groups]
        return [(rows, torch.randperm(len(rows)).numpy()) for rows in chosen]

    def _read(self, rows: np.ndarray) -> Any:
        """Rows in the order asked for, in memory; of sorted rows each run that lies together is read at once."""
        if not self.shuffle:
            return read_rows(self.matrix, rows)
        breaks = np.flatnonzero(np.diff(rows) > RUN) + 1
        parts = [read_rows(self.matrix, part) for part in np.split(rows, breaks)]
        if len(parts) == 1:
            return parts[0]
        return vstack(parts, format="csr") if issparse(parts[0]) else np.concatenate(parts)

    def __iter__(self) -> Iterator[tuple[np.ndarray, Any]]:
        """Row numbers ``(n,)`` and their values, a dense block or compressed rows, of each minibatch."""
        sizes = iter(self.batch_sizes)
        wanted = next(sizes, None)
        kept_rows, kept = np.empty(0, np.int64), None
        for rows, order in self._buffers():
            block, start = self._in_memory(self._read(rows)), 0
            while wanted is not None and start + wanted - len(kept_rows) <= len(rows):
                stop = start + wanted - len(kept_rows)
                values = self._joined(kept, self._picked(block, order[start:stop]))
                yield np.concatenate([kept_rows, rows[order[start:stop]]]), values
                kept_rows, kept, start = kept_rows[:0], None, stop
                wanted = next(sizes, None)
            if start < len(rows):
                # The last rows of a buffer begin a minibatch that the next one completes.
                kept = self._joined(kept, self._picked(block, order[start:]))
                kept_rows = np.concatenate([kept_rows, rows[order[start:]]])

    def _in_memory(self, block: Any) -> Any:
        """A block that was read, as its rows are picked from it."""
        if not issparse(block):
            return block
        return CompressedRows(csr_matrix(block)) if self.sparse else csr_matrix(block)

    def _picked(self, block: Any, rows: np.ndarray) -> Any:
        """Rows of a block in memory, dense or compressed."""
        return dense_rows(block, rows) if issparse(block) else block[rows]

    def _joined(self, kept: Any, values: Any) -> Any:
        """Rows below those that were kept for them, if there are any."""
        if kept is None:
            return values
        return stacked(kept, values) if self.sparse else np.concatenate([kept, values])
