"""What each of several processes takes of an epoch: every cell once, equally many minibatches, of even size."""

from __future__ import annotations

import anndata
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from curvi.data import CellDataset, EvenBatchSampler, EvenDistributedSampler
from curvi.data._loader import CellStream
from curvi.data._shares import share_of_steps


def _samplers(n, batch_size, n_processes, **kwargs):
    kwargs = {"shuffle": True, **kwargs}
    return [
        EvenDistributedSampler(n, batch_size, rank=rank, n_processes=n_processes, **kwargs)
        for rank in range(n_processes)
    ]


@given(n=st.integers(40, 700), batch_size=st.integers(8, 200), n_processes=st.integers(1, 5))
def test_every_cell_is_once_in_a_minibatch_of_one_process(n, batch_size, n_processes):
    epochs = [list(sampler) for sampler in _samplers(n, batch_size, n_processes)]
    assert sorted(i for epoch in epochs for batch in epoch for i in batch) == list(range(n))
    steps = -(-n // (batch_size * n_processes))
    assert [len(epoch) for epoch in epochs] == [steps] * n_processes
    assert all(len(sampler) == steps for sampler in _samplers(n, batch_size, n_processes))
    for step in zip(*epochs, strict=True):
        sizes = [len(batch) for batch in step]
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= batch_size
    together = [sum(len(batch) for batch in step) for step in zip(*epochs, strict=True)]
    assert max(together) - min(together) <= 1


def test_the_order_is_that_of_the_seed_and_the_epoch():
    def drawn(seed, epoch):
        found = []
        for sampler in _samplers(100, 10, 2, seed=seed):
            sampler.set_epoch(epoch)
            found.append([batch.tolist() for batch in sampler])
        return found

    assert drawn(3, 1) == drawn(3, 1)
    assert drawn(3, 1) != drawn(3, 2) != drawn(4, 2)


def test_cells_in_order_stay_in_order():
    epochs = [[batch.tolist() for batch in sampler] for sampler in _samplers(11, 4, 2, shuffle=False)]
    assert epochs == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10]]]


def test_a_process_without_cells_is_refused():
    with pytest.raises(ValueError, match="1 cells in minibatches of up to 8 cannot be dealt to 2 processes"):
        share_of_steps(1, 8, 0, 2)


@pytest.mark.parametrize(("n", "batch_size", "parts"), [(100, 7, 3), (129, 128, 2), (1000, 128, 5), (30, 10, 1)])
def test_parts_of_the_minibatches_are_those_of_one_process_in_order(n, batch_size, parts):
    whole = list(EvenBatchSampler(n, batch_size, shuffle=False))
    found = [list(EvenBatchSampler(n, batch_size, shuffle=False, part=(part, parts))) for part in range(parts)]
    assert [batch.tolist() for part in found for batch in part] == [batch.tolist() for batch in whole]
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_more_parts_than_minibatches_are_refused():
    with pytest.raises(ValueError, match="100 cells make 1 minibatches of up to 128 cells, fewer than the 2 processes"):
        EvenBatchSampler(100, 128, shuffle=False, part=(0, 2))


@pytest.mark.parametrize("n_processes", [2, 3])
def test_cells_on_disk_are_dealt_anew_each_epoch(tmp_path, n_processes):
    n = 4001
    counts = np.arange(1, n + 1, dtype=np.float32)[:, None]
    anndata.AnnData(sparse.csr_matrix(counts)).write_h5ad(tmp_path / "cells.h5ad")
    matrix = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r").X
    chosen = np.random.default_rng(0).permutation(n)[:3500]
    cells = CellDataset(matrix, {}, chosen)
    shares = [share_of_steps(len(chosen), 100, rank, n_processes) for rank in range(n_processes)]
    streams = [CellStream(cells, share, shuffle=True, seed=5) for share in shares]

    def epoch(number):
        found = []
        for stream, share in zip(streams, shares, strict=True):
            stream.set_epoch(number)
            batches = [batch["X"][:, 0].numpy().astype(int) - 1 for batch in stream]
            assert [len(batch) for batch in batches] == share.sizes
            assert len(stream) == len(share.sizes) == len(shares[0].sizes)
            found.append(np.concatenate(batches))
        return found

    first, second = epoch(0), epoch(1)
    for dealt in (first, second):
        np.testing.assert_array_equal(np.sort(np.concatenate(dealt)), np.sort(chosen))
    assert set(first[0]) != set(second[0])
    # A process has cells from everywhere, not a stretch of the file.
    assert all(np.ptp(part) > 0.5 * n for part in first)
