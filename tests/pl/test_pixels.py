"""Images as bytes."""

from __future__ import annotations

import numpy as np
import pytest

from curvi.pl._pixels import as_bytes, enlarged, enlargement


def test_colours_become_bytes_on_white():
    tiles = np.array([[[[0, 0.5, 1, 1], [0, 0, 0, 0], [1, 0, 0.2, 0.5]]]])
    assert as_bytes(tiles).tolist() == [[[[0, 128, 255], [255, 255, 255], [255, 128, 153]]]]


def test_each_pixel_is_a_square():
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    large = enlarged(image, 3)
    assert large.shape == (3, 6, 3)
    np.testing.assert_array_equal(large[:, :3], np.broadcast_to(image[0, 0], (3, 3, 3)))
    np.testing.assert_array_equal(large[:, 3:], np.broadcast_to(image[0, 1], (3, 3, 3)))


@pytest.mark.parametrize(("shape", "times"), [((28, 28, 1), 8), ((20, 100, 3), 2), ((199, 3), 2), ((640, 480, 3), 1)])
def test_small_images_are_enlarged_most(shape, times):
    assert enlargement(shape, None) == times
    assert enlargement(shape, 5) == 5


def test_what_is_no_factor():
    with pytest.raises(ValueError, match="`scale` is 0; expected at least 1"):
        enlargement((4, 4), 0)
