"""Cells that stay on disk: every one once, in order or well mixed, in memory that does not grow with their number."""

from __future__ import annotations

import anndata
import h5py
import numpy as np
import pytest
import torch
import zarr
from scipy import sparse

from curvi.data import _stream
from curvi.data._loader import even_sizes
from curvi.data._stream import RowStream, is_on_disk

N, G = 5000, 30
COUNTS = np.random.default_rng(0).poisson(0.4, (N, G)).astype(np.float32)
COUNTS[:, 0] = np.arange(N)


def sparse_h5ad(path):
    anndata.AnnData(sparse.csr_matrix(COUNTS)).write_h5ad(path / "cells.h5ad")
    return anndata.read_h5ad(path / "cells.h5ad", backed="r").X


def dense_h5ad(path):
    anndata.AnnData(COUNTS).write_h5ad(path / "cells.h5ad")
    return anndata.read_h5ad(path / "cells.h5ad", backed="r").X


def sparse_zarr(path):
    anndata.AnnData(sparse.csr_matrix(COUNTS)).write_zarr(path / "cells.zarr")
    return anndata.io.sparse_dataset(zarr.open(path / "cells.zarr", mode="r")["X"])


STORED = {"sparse h5ad": sparse_h5ad, "dense h5ad": dense_h5ad, "sparse zarr": sparse_zarr}


@pytest.fixture(params=STORED)
def matrix(request, tmp_path):
    return STORED[request.param](tmp_path)


@pytest.fixture
def small_buffers(monkeypatch):
    monkeypatch.setattr(_stream, "RUN", 16)
    monkeypatch.setattr(_stream, "MAX_BUFFER_ROWS", 700)


def passed(matrix, rows, *, shuffle, batch_size=128):
    batches = list(RowStream(matrix, rows, even_sizes(len(rows), batch_size), shuffle=shuffle))
    return [len(rows) for rows, _ in batches], *(np.concatenate(part) for part in zip(*batches, strict=True))


@pytest.mark.usefixtures("small_buffers")
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_cell_once_with_its_own_values(matrix, shuffle):
    assert is_on_disk(matrix)
    rows = np.random.default_rng(1).permutation(N)[:4321]
    sizes, order, values = passed(matrix, rows, shuffle=shuffle)
    assert sizes == even_sizes(len(rows), 128)
    np.testing.assert_array_equal(values, COUNTS[order])
    if shuffle:
        np.testing.assert_array_equal(np.sort(order), np.sort(rows))
    else:
        np.testing.assert_array_equal(order, rows)


@pytest.mark.usefixtures("small_buffers")
def test_the_order_keeps_rows_that_are_named_twice(matrix):
    rows = np.array([5, 4999, 0, 5, 5, 17])
    np.testing.assert_array_equal(passed(matrix, rows, shuffle=False, batch_size=4)[1], rows)


@pytest.mark.parametrize("rows", [[], [3]])
@pytest.mark.parametrize("shuffle", [False, True])
def test_few_rows(matrix, rows, shuffle):
    stream = RowStream(matrix, np.array(rows, dtype=np.int64), even_sizes(len(rows), 4), shuffle=shuffle)
    assert [found.tolist() for found, _ in stream] == ([rows] if rows else [])


@pytest.mark.usefixtures("small_buffers")
def test_minibatches_are_mixed_and_every_pass_is_another(tmp_path):
    torch.manual_seed(0)
    stream = RowStream(sparse_h5ad(tmp_path), np.arange(N), even_sizes(N, 100), shuffle=True)
    first, second = ([rows for rows, _ in stream] for _ in range(2))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    assert len(first) == 50
    for rows in first:
        # Runs of 16 cells from everywhere: about 43 of them are in a buffer.
        assert len(np.unique(rows // 16)) > 25
        assert rows.max() - rows.min() > N / 2
    torch.manual_seed(0)
    np.testing.assert_array_equal(np.concatenate([rows for rows, _ in stream]), np.concatenate(first))


def test_a_buffer_is_bounded_in_bytes(tmp_path):
    def rows(matrix):
        return RowStream(matrix, np.arange(10), [10], shuffle=True).buffer_rows

    with h5py.File(tmp_path / "wide.h5", "w") as file:
        assert rows(file.create_dataset("x", (100_000, 20_000), "float32", chunks=(1, 20_000))) == 2**27 // 80_000
        assert rows(file.create_dataset("y", (100_000, 10**7), "float32", chunks=(1, 1000))) == 256
    assert rows(sparse_h5ad(tmp_path)) == 32768


def test_columns_are_refused(tmp_path):
    anndata.AnnData(sparse.csc_matrix(COUNTS)).write_h5ad(tmp_path / "cells.h5ad")
    matrix = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r").X
    with pytest.raises(ValueError, match="stored by columns"):
        RowStream(matrix, np.arange(N), even_sizes(N, 100), shuffle=True)


def test_an_error_of_the_disk_is_not_swallowed():
    class Broken:
        shape, dtype = (100, 3), np.dtype("float32")

        def __getitem__(self, rows):
            raise OSError("the disk is gone")

    stream = RowStream(Broken(), np.arange(100), even_sizes(100, 10), shuffle=False)
    with pytest.raises(OSError, match="the disk is gone"):
        next(iter(stream))
