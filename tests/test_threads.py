"""Loops over rows on the threads of torch: every row once, whatever their number and the kinds of arrays."""

from __future__ import annotations

import sys

import pytest
import torch
from numba.core import caching

from curvi import _threads
from curvi._threads import RowLoop, arrays, claim, row_loop

_take = arrays("float32 2", "int32 1", "float64 3", "int64 1")


@row_loop(chunk=3)
def visit(table):
    first, stop = claim(table)
    while first < stop:
        x, by, cube, visits = _take(table)
        for i in range(first, stop):
            visits[i] += 1
            cube[i, 1, 2] = x[i].sum() * by[i]
        first, stop = claim(table)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("n", [0, 1, 3, 100, 1000])
def test_every_row_is_done_once(threads, n_threads, n):
    threads(n_threads)
    x, by = torch.randint(-9, 9, (n, 7)).float(), torch.arange(n, dtype=torch.int32)
    cube, visits = torch.zeros(n, 2, 3, dtype=torch.float64), torch.zeros(n, dtype=torch.int64)
    visit(n, x, by, cube, visits)
    assert (visits == 1).all()
    torch.testing.assert_close(cube[:, 1, 2], (x.sum(1) * by).double())
    assert not cube[:, 0].any()


def test_torch_computes_on_afterwards(threads):
    threads(2)
    a = torch.randn(300, 300)
    before = a @ a
    for _ in range(20):
        visit(
            100,
            torch.randn(100, 7),
            torch.arange(100, dtype=torch.int32),
            torch.zeros(100, 2, 3).double(),
            torch.zeros(100, dtype=torch.int64),
        )
        torch.testing.assert_close(a @ a, before)


def test_where_torch_has_no_threads_to_share_one_does_all(threads, monkeypatch):
    threads(2)
    monkeypatch.setattr(_threads, "_start", lambda: None)
    visits = torch.zeros(50, dtype=torch.int64)
    visit(50, torch.randn(50, 7), torch.arange(50, dtype=torch.int32), torch.zeros(50, 2, 3).double(), visits)
    assert (visits == 1).all()


def test_torch_has_threads_to_share_on_linux():
    assert (_threads._start() is not None) or sys.platform != "linux"


def test_without_a_place_to_keep_it_a_loop_is_compiled_all_the_same(monkeypatch):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    visits = torch.zeros(5, dtype=torch.int64)
    RowLoop(visit.share, 2)(
        5, torch.randn(5, 7), torch.arange(5, dtype=torch.int32), torch.zeros(5, 2, 3).double(), visits
    )
    assert (visits == 1).all()
