"""Labels keep their places where they can and never overlap where there is room."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from curvi.pl._labels import draw_labels, label_size, spread_out

FRAME = np.array([[0.0, 0.0], [400.0, 400.0]])


def overlaps(centres, sizes):
    apart = np.abs(centres[:, None] - centres[None])
    room = (sizes[:, None] + sizes[None]) / 2
    inside = (apart < room - 0.5).all(-1)
    np.fill_diagonal(inside, val=False)
    return int(inside.sum()) // 2


def test_labels_that_touch_no_other_stay():
    anchors = np.array([[50.0, 50.0], [200.0, 200.0], [300.0, 90.0]])
    np.testing.assert_array_equal(spread_out(anchors, np.full((3, 2), [60.0, 12.0]), FRAME), anchors)


@pytest.mark.parametrize("seed", range(5))
def test_crowded_labels_move_apart_and_stay_in_the_frame(seed):
    rng = np.random.default_rng(seed)
    anchors = rng.uniform(150, 250, (15, 2))
    sizes = np.column_stack([rng.uniform(40, 90, 15), np.full(15, 12.0)])
    assert overlaps(anchors, sizes) > 0
    centres = spread_out(anchors, sizes, FRAME)
    assert overlaps(centres, sizes) == 0
    assert (centres - sizes / 2 >= FRAME[0] - 1e-9).all()
    assert (centres + sizes / 2 <= FRAME[1] + 1e-9).all()


def test_labels_at_one_place_are_told_apart():
    centres = spread_out(np.full((3, 2), 200.0), np.full((3, 2), [60.0, 12.0]), FRAME)
    assert overlaps(centres, np.full((3, 2), [60.0, 12.0])) == 0


def test_a_label_wider_than_the_frame_does_not_break():
    centres = spread_out(np.array([[200.0, 200.0]]), np.array([[900.0, 12.0]]), FRAME)
    assert np.isfinite(centres).all()


def test_a_label_points_to_its_place_with_a_line_only_when_it_is_far_away():
    ax = plt.figure(figsize=(4, 4)).add_axes((0, 0, 1, 1))
    xy = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.1, 0.9]])
    labels = draw_labels(ax, ["a", "b", "c", "d", "away"], xy, ["red"] * 5, fontsize=9, zorder=5)
    np.testing.assert_allclose([label.xy for label in labels], xy)
    lines = [label.arrow_patch.get_visible() for label in labels]
    assert any(lines[:4])
    assert not lines[4]
    assert labels[4].get_position() == pytest.approx((0.1, 0.9))


def test_names_are_wrapped_and_dark_and_no_names_are_no_labels():
    ax = plt.figure().add_subplot()
    (label,) = draw_labels(
        ax, ["CD8+/CD45RA+ Naive Cytotoxic"], np.array([[0.5, 0.5]]), ["yellow"], fontsize=9, zorder=5
    )
    assert label.get_text() == "CD8+/CD45RA+ Naive\nCytotoxic"
    assert max(label.get_color()) <= 0.4
    assert draw_labels(ax, [], np.empty((0, 2)), [], fontsize=9, zorder=5) == []


def test_many_labels_are_smaller_unless_a_size_is_given():
    assert label_size(30, None) < label_size(5, None)
    assert label_size(30, 11) == 11
