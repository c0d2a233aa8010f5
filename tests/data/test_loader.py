"""Minibatches: every cell once, in the order asked for, however the matrix is stored."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from scvi.data import AnnDataManager
from torch.utils.data import DataLoader

from curvi._compressed import dense
from curvi.data import CellLoader, EvenBatchSampler, _loader, host_fields

N, G = 53, 7
COUNTS = np.random.default_rng(0).poisson(1.0, (N, G)).astype(np.float32)


def registered(adata: anndata.AnnData, layer: str | None = None) -> AnnDataManager:
    keys = {"labels_key": None, "size_factor_key": None, "categorical_covariate_keys": None}
    fields = host_fields(adata, layer=layer, batch_key=["a", "b"], continuous_covariate_keys=["age"], **keys)
    manager = AnnDataManager(fields=fields, setup_method_args={"setup_args": {}})
    manager.register_fields(adata)
    return manager


def make(matrix) -> anndata.AnnData:
    obs = pd.DataFrame(
        {"a": [f"p{i % 3}" for i in range(N)], "b": [i % 2 for i in range(N)], "age": np.arange(N, dtype=float)},
        index=[f"cell{i}" for i in range(N)],
    )
    return anndata.AnnData(matrix, obs=obs)


STORED = {
    "dense": lambda path: make(COUNTS.copy()),
    "integers": lambda path: make(COUNTS.astype(np.int32)),
    "csr": lambda path: make(sparse.csr_matrix(COUNTS)),
    "csr_array": lambda path: make(sparse.csr_array(COUNTS)),
    "backed_csr": lambda path: backed(make(sparse.csr_matrix(COUNTS)), path),
    "backed_dense": lambda path: backed(make(COUNTS.copy()), path),
}


def backed(adata: anndata.AnnData, path) -> anndata.AnnData:
    adata.write_h5ad(path / "cells.h5ad")
    return anndata.read_h5ad(path / "cells.h5ad", backed="r")


@pytest.mark.parametrize("stored", STORED)
def test_rows_come_in_the_order_asked_for(stored, tmp_path):
    rows = np.array([5, 50, 0, 7, 7, -1, 20])
    loader = CellLoader(registered(STORED[stored](tmp_path)), indices=rows, batch_size=3)
    batches = list(loader)
    assert [len(batch["X"]) for batch in batches] == [3, 2, 2]
    x = torch.cat([batch["X"] for batch in batches])
    assert x.dtype == torch.float32
    np.testing.assert_array_equal(x.numpy(), COUNTS[rows])
    columns = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
    assert columns["batch"].dtype == columns["extra_categorical_covs"].dtype == torch.int64
    np.testing.assert_array_equal(columns["batch"][:, 0], rows % N % 3)
    np.testing.assert_array_equal(columns["extra_continuous_covs"][:, 0], rows % N)


@pytest.mark.parametrize(("n", "size"), [(1, 4), (4, 4), (5, 4), (129, 128), (1000, 128)])
def test_minibatches_are_even_and_hold_every_cell_once(n, size):
    torch.manual_seed(0)
    batches = list(EvenBatchSampler(n, size, shuffle=True))
    sizes = [len(batch) for batch in batches]
    assert len(batches) == len(EvenBatchSampler(n, size, shuffle=True)) == -(-n // size)
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    assert sorted(i for batch in batches for i in batch) == list(range(n))


def test_shuffling_follows_the_global_seed():
    def order() -> list[int]:
        torch.manual_seed(3)
        return [i for batch in EvenBatchSampler(50, 8, shuffle=True) for i in batch]

    assert order() == order() != list(range(50))


@pytest.mark.parametrize(("size", "compressed", "n"), [(4, True, 5), (10, True, 2), (40, True, 1), (4, False, 1)])
def test_some_small_minibatches_are_made_in_a_row(size, compressed, n, monkeypatch):
    monkeypatch.setattr(_loader, "_AHEAD", 5)
    monkeypatch.setattr(_loader, "_CELLS_AHEAD", 20)
    loader = CellLoader(registered(make(COUNTS.copy())), batch_size=size, load_sparse_tensor=compressed)
    made = []
    one = _loader.CellDataset.minibatch
    monkeypatch.setattr(_loader.CellDataset, "minibatch", lambda *args: made.append(one(*args)) or made[-1])
    next(iter(loader))
    assert len(made) == n


@pytest.mark.parametrize("stored", ["dense", "csr", "backed_csr"])
@pytest.mark.parametrize("compressed", [False, True])
def test_minibatches_and_random_numbers_are_those_of_torch_s_own_loader(stored, compressed, tmp_path, monkeypatch):
    monkeypatch.setattr(_loader, "_AHEAD", 3)
    manager = registered(STORED[stored](tmp_path))

    def passes(iterate):
        torch.manual_seed(3)
        loader = CellLoader(manager, np.arange(3, N), 8, shuffle=True, load_sparse_tensor=compressed)
        return [batch for _ in range(2) for batch in iterate(loader)], torch.rand(1)

    (ours, then), (theirs, also_then) = passes(iter), passes(DataLoader.__iter__)
    assert then == also_then
    for mine, its in zip(ours, theirs, strict=True):
        assert list(mine) == list(its)
        for key, values in mine.items():
            assert (
                values.layout == its[key].layout == (torch.sparse_csr if compressed and key == "X" else values.layout)
            )
            assert torch.equal(dense(values), dense(its[key]))


# Torch puts compressed rows of another process together with its own, which says so once.
@pytest.mark.filterwarnings("ignore:Sparse (CSR|invariant)")
@pytest.mark.parametrize("compressed", [False, True])
def test_workers_make_the_same_minibatches(compressed):
    manager = registered(make(sparse.csr_matrix(COUNTS)))

    def batches(n):
        torch.manual_seed(3)
        loader = CellLoader(manager, batch_size=16, shuffle=True, num_workers=n, load_sparse_tensor=compressed)
        return [{key: dense(values) for key, values in batch.items()} for batch in loader]

    for own, theirs in zip(batches(0), batches(1), strict=True):
        for key, values in own.items():
            assert torch.equal(values, theirs[key])


@pytest.mark.parametrize(
    ("indices", "message"),
    [([0, N], f"names row {N}; the data has {N} cells"), (np.ones(3, dtype=bool), "mask of shape")],
)
def test_rows_that_do_not_exist_are_refused(indices, message):
    with pytest.raises(IndexError, match=message):
        CellLoader(registered(make(COUNTS.copy())), indices=indices)


def test_a_mask_selects_cells():
    mask = COUNTS[:, 0] > 1
    loader = CellLoader(registered(make(COUNTS.copy())), indices=mask)
    np.testing.assert_array_equal(torch.cat([batch["X"] for batch in loader]).numpy(), COUNTS[mask])
