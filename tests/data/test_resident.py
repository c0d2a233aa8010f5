"""Cells held on a device: the minibatches made there are those made on the host, to the last bit."""

from __future__ import annotations

import logging
from functools import partial
from itertools import pairwise

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from scvi.data import AnnDataManager

from curvi.data import (
    CellDataset,
    CellLoader,
    EvenDistributedSampler,
    ResidentCells,
    _resident,
    from_images,
    hold,
    host_fields,
)

N, G = 53, 30
CPU = torch.device("cpu")
DRAW = np.random.default_rng(0)
COUNTS = DRAW.poisson(0.2, (N, G)).astype(np.float32)
COUNTS[7] = 0
BYTES = (DRAW.integers(0, 256, (N, 6, 5)) * (DRAW.random((N, 6, 5)) < 0.2)).astype(np.uint8)


def parted(counts):
    """Compressed rows in which each entry is stored in two parts, in no order."""
    whole = sparse.csr_matrix(counts)
    order = np.concatenate([np.arange(a, b)[::-1].repeat(2) for a, b in pairwise(whole.indptr)])
    return sparse.csr_matrix((whole.data[order] / 2, whole.indices[order], whole.indptr * 2), shape=whole.shape)


def images(form):
    adata = from_images(BYTES)
    adata.X = form(BYTES.reshape(N, -1))
    return adata


STORED = {
    "csr": (lambda: sparse.csr_matrix(COUNTS), "uint8", True),
    "csr_array": (lambda: sparse.csr_array(COUNTS), "uint8", True),
    "in parts": (lambda: parted(COUNTS), "uint8", True),
    "integers": (lambda: sparse.csr_matrix(COUNTS.astype(np.int64) * 300), "int16", True),
    "large": (lambda: sparse.csr_matrix(COUNTS * 123457), "float32", True),
    "negative": (lambda: -COUNTS, "int16", False),
    "double": (lambda: sparse.csr_matrix(COUNTS.astype(np.float64) / 3), "float32", True),
    "full csr": (lambda: sparse.csr_matrix(COUNTS + 1), "uint8", False),
    "dense": (lambda: COUNTS.copy(), "uint8", False),
    "dense double": (lambda: COUNTS.astype(np.float64) / 3, "float32", False),
    "yes and no": (lambda: COUNTS > 0, "uint8", False),
    "not finite": (lambda: np.where(COUNTS == 3, np.inf, COUNTS), "float32", False),
    "images": (lambda: images(np.asarray), "uint8", False),
    "sparse images": (lambda: images(sparse.csr_matrix), "uint8", True),
}


def registered(matrix):
    adata = matrix if isinstance(matrix, anndata.AnnData) else anndata.AnnData(matrix)
    obs = {"a": [f"p{i % 3}" for i in range(N)], "b": [i % 2 for i in range(N)], "age": np.arange(N) / 7}
    adata.obs = pd.DataFrame(obs, index=[f"cell{i}" for i in range(N)])
    keys = {"labels_key": None, "size_factor_key": None, "categorical_covariate_keys": None}
    fields = host_fields(adata, layer=None, batch_key=["a", "b"], continuous_covariate_keys=["age"], **keys)
    manager = AnnDataManager(fields=fields, setup_method_args={"setup_args": {}})
    manager.register_fields(adata)
    return manager


def every(manager):
    return CellDataset.from_manager(manager, np.arange(N))


def both(manager, device=CPU, **kwargs):
    """The minibatches of two epochs, made on the host and on a device."""
    made = []
    for resident in (None, ResidentCells(every(manager)).to(device)):
        torch.manual_seed(3)
        loader = CellLoader(manager, resident=resident, **kwargs)
        made.append([batch for _ in range(2) for batch in loader])
        assert len(made[-1]) == 2 * len(loader)
    return made


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        assert list(a) == list(b)
        for name, value in a.items():
            assert value.dtype == b[name].dtype
            assert torch.equal(value, b[name].cpu())


@pytest.mark.parametrize("stored", STORED)
def test_minibatches_are_those_of_the_host(stored, monkeypatch):
    # Several windows and several pieces.
    for name, value in {"_WINDOW": 2, "_ENTRIES": 7, "_ROWS": 10}.items():
        monkeypatch.setattr(_resident, name, value)
    make, dtype, compressed = STORED[stored]
    manager = registered(make())
    held = ResidentCells(every(manager))
    assert (held.dtype.name, held.compressed) == (dtype, compressed)
    assert_same(*both(manager, batch_size=8, shuffle=True, indices=np.arange(N)[::-1][:41]))
    assert_same(*both(manager, batch_size=5, indices=[7, 50, 0, 7, 7, -1, 20]))


def test_a_matrix_by_columns():
    held = ResidentCells(CellDataset(sparse.csc_matrix(COUNTS), {}, np.arange(N))).to(CPU)
    assert held.compressed
    (batch,) = held.minibatches([np.array([5, 0, 5])])
    np.testing.assert_array_equal(batch["X"].numpy(), COUNTS[[5, 0, 5]])


def test_no_gene_in_a_minibatch():
    assert_same(*both(registered(sparse.csr_matrix(COUNTS * 0)), batch_size=8))
    assert_same(*both(registered(sparse.csr_matrix(COUNTS)), batch_size=1, indices=[7, 7]))


def test_what_they_take():
    manager = registered(sparse.csr_matrix(COUNTS))
    # A byte for the value and two for the column; three codes (a constant label is one) and a number a cell.
    columns = sum(column.nbytes for column in every(manager).columns.values())
    assert columns == N * (3 * 8 + 4)
    assert ResidentCells(every(manager)).nbytes == 3 * np.count_nonzero(COUNTS) + columns
    held = ResidentCells(every(manager)).to(CPU)
    assert held._values.nbytes + held._places.nbytes + columns == held.nbytes
    wide = CellDataset(sparse.csr_matrix((3, 2**15 + 1)), {}, np.arange(3))
    assert ResidentCells(wide).column_type == np.int32


def test_the_last_of_many_columns():
    matrix = sparse.csr_matrix(([1.0, 2.0], ([0, 1], [0, 2**15 - 1])), shape=(2, 2**15))
    held = ResidentCells(CellDataset(matrix, {}, np.arange(2))).to(CPU)
    assert held.column_type == np.int16
    (batch,) = held.minibatches([np.array([1, 0])])
    np.testing.assert_array_equal(batch["X"].numpy(), matrix.toarray()[::-1])


def test_no_step_waits_for_the_device():
    # Tensors without values have shapes only: whatever asked for a value would raise.
    for matrix in (sparse.csr_matrix(COUNTS), COUNTS):
        host, there = both(registered(matrix), torch.device("meta"), batch_size=8, shuffle=True)
        for a, b in zip(host, there, strict=True):
            assert {name: value.shape for name, value in a.items()} == {name: value.shape for name, value in b.items()}
            assert all(value.is_meta for value in b.values())


def test_shares_of_processes(monkeypatch):
    manager = registered(sparse.csr_matrix(COUNTS))
    held = ResidentCells(every(manager)).to(CPU)
    for rank in range(2):
        dealt = partial(EvenDistributedSampler, rank=rank, n_processes=2)
        monkeypatch.setattr("curvi.data._loader.EvenDistributedSampler", dealt)
        loaders = [
            CellLoader(manager, batch_size=8, shuffle=True, distributed_sampler=True, seed=5, resident=resident)
            for resident in (None, held)
        ]
        seen = []
        for epoch in (0, 1):
            loaders[0].sampler.set_epoch(epoch)
            loaders[1].dataset.set_epoch(epoch)
            seen.append(list(loaders[1]))
            assert_same(list(loaders[0]), seen[-1])
        assert not torch.equal(seen[0][0]["X"], seen[1][0]["X"])


def test_letting_go():
    manager = registered(sparse.csr_matrix(COUNTS))
    held = ResidentCells(every(manager)).to(CPU)
    kept = CellLoader(manager, resident=held)
    held.free()
    assert kept.dataset.cells._values.nbytes == 0
    assert kept.dataset.cells._columns == {}


@pytest.fixture
def said():
    """The lines of the host's logger."""
    lines, handler = [], logging.Handler(logging.INFO)
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("scvi").addHandler(handler)
    yield lines
    logging.getLogger("scvi").removeHandler(handler)


def test_what_fits_is_held_and_said(said, monkeypatch):
    cells = every(registered(sparse.csr_matrix(COUNTS)))
    size = ResidentCells(cells).nbytes
    monkeypatch.setattr(_resident, "free_bytes", lambda device: 2 * size)
    held = hold(cells, torch.device("meta"), {})
    assert held is not None
    assert held._values.is_meta
    assert said == ["The cells are held on meta: 0.0 MB in compressed rows of uint8."]
    assert hold(cells, CPU, {}, say=False) is not None
    assert len(said) == 1


@pytest.mark.parametrize(
    ("free", "loader", "reason"),
    [
        (2 * 10**6, {}, "the cells take 2.0 MB, and at most 1.0 MB of cpu are for them"),
        (None, {}, "how much of the memory of cpu is free is not known"),
        (10**9, {"num_workers": 2}, "`num_workers` is 2, which is about minibatches made on the host"),
        (10**9, {"pin_memory": True}, "`pin_memory` is True, which is about minibatches made on the host"),
    ],
)
def test_what_cannot_be_held_comes_from_the_host(free, loader, reason, said, monkeypatch):
    cells = CellDataset(np.ones((2000, 1000), np.float32), {}, np.arange(2000))
    monkeypatch.setattr(_resident, "free_bytes", lambda device: free)
    assert hold(cells, CPU, loader) is None
    assert said == [f"Minibatches are copied to cpu one by one: {reason}."]
    if loader:
        with pytest.raises(ValueError, match=f"`data_device` is 'model', but {reason}; leave out"):
            hold(cells, CPU, loader, must=True)
    else:
        # All that is free may be asked for.
        assert hold(cells, CPU, loader, must=True) is not None


def test_what_is_too_large_or_on_disk_cannot_be_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(_resident, "free_bytes", lambda device: 10**6)
    cells = CellDataset(np.ones((2000, 1000), np.float32), {}, np.arange(2000))
    with pytest.raises(ValueError, match=r"take 2.0 MB, and at most 1.0 MB of cpu are for them; free some"):
        hold(cells, CPU, {}, must=True)
    anndata.AnnData(COUNTS).write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    with pytest.raises(ValueError, match=r"the cells stay on disk; load them with `adata.to_memory\(\)`, or leave"):
        hold(CellDataset(backed.X, {}, np.arange(N)), CPU, {}, must=True)
    backed.file.close()


@pytest.mark.gpu
@pytest.mark.parametrize("stored", STORED)
def test_a_gpu_makes_the_same(stored):
    assert_same(*both(registered(STORED[stored][0]()), torch.device("cuda"), batch_size=8, shuffle=True))


@pytest.mark.gpu
def test_a_gpu_is_not_waited_for():
    held = hold(every(registered(sparse.csr_matrix(COUNTS))), torch.device("cuda", 0), {})
    assert held is not None
    batches = held.minibatches(np.array_split(np.arange(N), 7))
    next(batches)
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(list(batches)) == 6
    finally:
        torch.cuda.set_sync_debug_mode("default")
