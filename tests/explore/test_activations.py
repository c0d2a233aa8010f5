from __future__ import annotations

import numpy as np
import pytest
import torch

from curvi.explore import activations


@pytest.mark.parametrize("base", [None, "c3", ("group", "b")])
def test_rows_are_as_long_as_the_distance_from_the_base(cells, ruler, base):
    table = activations(cells, base=base)
    assert table.index.equals(cells.obs_names)
    assert table.columns.tolist() == [f"z{i}" for i in range(ruler.manifold.dim)]
    from curvi.explore import points

    at = points(cells, [base]).points
    expected = ruler.dist(at, points(cells, range(cells.n_obs)).points)
    np.testing.assert_allclose(np.linalg.norm(table, axis=1), expected, atol=1e-7)


def test_at_the_origin_they_are_the_tangent_coordinates(cells, ruler):
    expected = ruler.manifold.log0(torch.from_numpy(cells.obsm["X_curvi"]).double()).numpy()
    np.testing.assert_allclose(activations(cells), expected, atol=1e-6)


def test_they_are_written_where_asked_for(cells):
    table = activations(cells, key_added="tangent")
    np.testing.assert_array_equal(cells.obsm["tangent"], table)
    assert table.describe().loc["count"].eq(cells.n_obs).all()
