from __future__ import annotations

import numpy as np
import pytest

from curvi.explore import points


def test_chosen_points_come_in_order_with_the_way_between_them(cells, ruler):
    path = points(cells, ["c5", 2, ("group", "a"), "c5"])
    assert ruler.on_it(path.points)
    assert path.rows.tolist() == [5, 2, -1, 5]
    np.testing.assert_allclose(np.diff(path.travelled), ruler.dist(path.points[:-1], path.points[1:]))
    assert path.length == path.travelled[-1]
    table = path.to_frame()
    assert table.index.tolist() == ["c5", "c2", "a", "c5"]
    assert table.columns[0] == "travelled"
    np.testing.assert_array_equal(table.iloc[0, 1:], table.iloc[3, 1:])


def test_a_position_in_a_picture_is_taken_through_the_nearest_cell(cells):
    wanted = np.array([[0.1, -0.2], [1.0, 1.0], [-2.0, 0.0]])
    path = points(cells, [*wanted, "c4", ("group", "b")], basis_2d="X_umap")
    picture = cells.obsm["X_umap"].astype(float)
    mean = picture[cells.obs["group"] == "b"].mean(0)
    positions = np.vstack([wanted, picture[4], mean])
    np.testing.assert_allclose(path.positions, positions, atol=1e-7)
    nearest = ((positions[:, None] - picture) ** 2).sum(-1).argmin(1)
    assert path.rows.tolist() == nearest.tolist()
    assert path.names == tuple(cells.obs_names[nearest])
    np.testing.assert_allclose(path.points, cells.obsm["X_curvi"][nearest], atol=1e-6)


def test_more_columns_than_two_are_left_alone(globe):
    globe.obsm["X_pca"] = np.hstack([globe.obsm["X_umap"], 100 * np.ones((60, 3))])
    by_umap, by_pca = (points(globe, [[0.0, 0.0]], basis_2d=basis) for basis in ("X_umap", "X_pca"))
    assert by_umap.rows.tolist() == by_pca.rows.tolist()


def test_bad_arguments_are_sentences(globe):
    with pytest.raises(ValueError, match="`places` is empty"):
        points(globe, [])
    with pytest.raises(ValueError, match="`basis_2d` is 'X_tsne', but `adata.obsm` has 'X_curvi', 'X_umap'"):
        points(globe, [[0.0, 0.0]], basis_2d="X_tsne")
    globe.obsm["line"] = np.zeros((60, 1))
    with pytest.raises(ValueError, match=r"`basis_2d`\) has shape \(60, 1\); expected \(n_obs, 2\)"):
        points(globe, [[0.0, 0.0]], basis_2d="line")
    globe.obsm["X_umap"][3] = np.nan
    with pytest.raises(ValueError, match="finite numbers"):
        points(globe, [[0.0, 0.0]], basis_2d="X_umap")
