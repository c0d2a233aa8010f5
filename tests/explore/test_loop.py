from __future__ import annotations

import numpy as np
import pytest

from curvi.explore import loop


def test_a_loop_closes_and_is_walked_at_constant_speed(cells, ruler):
    path = loop(cells, "group", "a", n_stops=5, n_frames=200)
    assert ruler.on_it(path.points)
    pace = path.length / 200
    np.testing.assert_allclose(path.travelled, pace * np.arange(200))
    following = np.roll(path.points, -1, axis=0)
    apart = ruler.dist(path.points, following)
    same_leg = path.rows == np.roll(path.rows, -1)
    np.testing.assert_allclose(apart[same_leg], pace, atol=1e-6)
    # Round a corner the way is longer than the distance, and nowhere is there a jump.
    assert (apart <= pace + 1e-6).all()
    assert (~same_leg).sum() == 5


def test_it_goes_along_geodesics_through_cells_of_the_group(cells, ruler):
    path = loop(cells, "group", "b", n_stops=4, n_frames=50, seed=3)
    stops = path.rows[np.sort(np.unique(path.rows, return_index=True)[1])]
    assert len(stops) == 4
    assert (cells.obs["group"].iloc[stops] == "b").all()
    points = cells.obsm["X_curvi"].astype(float)
    after = dict(zip(stops, np.roll(stops, -1), strict=True))
    here, there = points[path.rows], points[[after[row] for row in path.rows]]
    detour = ruler.dist(here, path.points) + ruler.dist(path.points, there) - ruler.dist(here, there)
    np.testing.assert_allclose(detour, 0, atol=1e-5)
    np.testing.assert_allclose(path.length, ruler.dist(points[stops], points[np.roll(stops, -1)]).sum(), rtol=1e-5)
    assert path.names == tuple(cells.obs_names[path.rows])


def test_the_seed_decides(globe):
    first, again, other = (loop(globe, n_stops=4, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.points, again.points)
    assert not np.array_equal(first.rows, other.rows)


def test_cells_at_one_point_are_passed_at_once(globe):
    globe.obsm["X_curvi"][:3] = globe.obsm["X_curvi"][0]
    path = loop(globe[:4].copy(), n_stops=4, n_frames=40)
    assert np.isfinite(path.points).all()
    assert len(np.unique(path.rows)) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"groupby": "group"}, "`groupby` is 'group' and `group` is None; pass both, or neither"),
        ({"groupby": "group", "group": "z"}, "`group` names 'z' of 'group', which no cell has"),
        ({"groupby": "group", "group": "a", "n_stops": 21}, "`n_stops` is 21, but there are 20 cells"),
        ({"n_stops": 1}, "`n_stops` is 1; it must be at least 2"),
        ({"n_frames": 1}, "`n_frames` is 1; it must be at least 2"),
    ],
)
def test_bad_arguments_are_sentences(globe, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        loop(globe, **arguments)


def test_one_point_is_no_way(globe):
    globe.obsm["X_curvi"][:] = [1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="all lie at one point"):
        loop(globe)
