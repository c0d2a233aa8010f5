"""Manifolds from their configurations."""

from __future__ import annotations

import pytest
from torch import nn

from curvi.manifolds import Manifold, from_config
from curvi.manifolds._base import _value


def test_a_configuration_needs_a_known_name():
    with pytest.raises(ValueError, match="needs 'name'"):
        from_config({"dim": 2})
    with pytest.raises(ValueError, match="'euclidean'.*'sphere'"):
        from_config({"name": "flatland", "dim": 2})


def test_a_mapping_of_numbers_is_a_list_of_manifolds_in_order():
    parts = {str(i): {"name": "euclidean", "dim": i + 1} for i in reversed(range(12))}
    assert [part.dim for part in _value(parts)] == list(range(1, 13))


def test_a_manifold_is_a_module_that_is_known_by_name():
    assert issubclass(Manifold, nn.Module)
    assert {"euclidean", "sphere"} <= set(Manifold.names())
