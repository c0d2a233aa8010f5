"""Compiled functions, with and without a place to keep their machine code."""

from __future__ import annotations

import numpy as np
from numba.core import caching

from curvi._compiled import compiled


def total(x):
    found = 0.0
    for value in x:
        found += value
    return found


def test_a_function_is_compiled_and_kept():
    function = compiled(nogil=True)(total)
    assert function(np.arange(5.0)) == 10
    assert function.stats.cache_path


def test_without_a_place_to_keep_it_a_function_is_compiled_all_the_same(monkeypatch):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    assert compiled(nogil=True)(total)(np.arange(5.0)) == 10
