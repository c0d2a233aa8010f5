from __future__ import annotations

import numpy as np
import pytest
import torch

from curvi.explore import prototypes


def test_no_point_near_a_prototype_has_less_spread(cells, ruler):
    found = prototypes(cells, "group")
    assert found.groups == ("a", "b", "c")
    assert found.n.tolist() == [20, 20, 19]
    assert ruler.on_it(found.points)
    for group, centre, spread in zip(found.groups, found.points, found.spread, strict=True):
        members = cells.obsm["X_curvi"][cells.obs["group"] == group].astype(np.float64)
        members = ruler.manifold.project(torch.from_numpy(members)).numpy()
        np.testing.assert_allclose(np.mean(ruler.dist(centre, members) ** 2), spread, rtol=1e-6)
        for other in members:
            nearby = ruler.manifold.geodesic(torch.from_numpy(centre), torch.from_numpy(other), 0.05).numpy()
            assert np.mean(ruler.dist(nearby, members) ** 2) > spread


def test_the_table_has_coordinates_sizes_and_spreads(cells, ruler):
    found = prototypes(cells, "group")
    table = found.to_frame()
    assert table.index.tolist() == ["a", "b", "c"]
    expected = ruler.manifold.log0(torch.from_numpy(found.points)).numpy()
    np.testing.assert_allclose(table.iloc[:, : ruler.manifold.dim], expected, atol=1e-12)
    assert table["n"].tolist() == [20, 20, 19]
    np.testing.assert_array_equal(table["spread"], found.spread)


def test_flat_prototypes_are_means(make_cells):
    from curvi.manifolds import Euclidean

    adata = make_cells(Euclidean(10))
    expected = adata.obsm["X_curvi"][adata.obs["group"] == "c"].astype(float).mean(0)
    np.testing.assert_allclose(prototypes(adata, "group").points[2], expected, atol=1e-12)


def test_groups_that_have_none_are_sentences(globe):
    with pytest.raises(ValueError, match="`groupby` is 'colour', but `adata.obs` has 'group'"):
        prototypes(globe, "colour")
    globe.obs["empty"] = None
    with pytest.raises(ValueError, match="has no value in any cell"):
        prototypes(globe, "empty")
    globe.obsm["X_curvi"][:2] = [[0, 1, 0], [0, -1, 0]]
    globe.obs["pair"] = np.where(np.arange(60) < 2, "poles", "rest")
    with pytest.raises(ValueError, match="group 'poles' of 'pair' has no prototype: the mean .* is not unique"):
        prototypes(globe, "pair")
