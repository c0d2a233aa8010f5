"""Images in a grid."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba

import curvi
from curvi.data import from_images

H, W = 6, 4


@pytest.fixture
def pixels(rng):
    return rng.random((20, H, W, 3)).astype(np.float32)


@pytest.fixture
def adata(pixels):
    labels = np.array(["a", "b"] * 10)
    return from_images(pixels, labels, obs={"brightness": pixels.mean((1, 2, 3))})


def _tile(ax, column, line, head=0):
    """The drawn pixels of one image; the gap between columns is one pixel."""
    (image,) = ax.images
    x, y = column * (W + 1), line * (H + head + 1) + head
    return np.asarray(image.get_array())[y : y + H, x : x + W]


def test_pixels_stand_where_they_belong(adata, pixels):
    ax = curvi.pl.images(adata, [3, 7, 1, 0, 19], n_columns=3, show=False)
    for i, row in enumerate([3, 7, 1, 0, 19]):
        np.testing.assert_allclose(_tile(ax, i % 3, i // 3)[..., :3], pixels[row], atol=1e-6)
    drawn = np.asarray(ax.images[0].get_array())
    assert drawn.shape == (2 * H + 1, 3 * W + 2, 4)
    # The gaps and the place of a sixth image are see-through.
    assert (_tile(ax, 2, 1)[..., 3] == 0).all()
    assert (drawn[H, :, 3] == 0).all()


def test_labels_and_frames(adata):
    adata.uns["label_colors"] = ["#ff0000", "#0000ff"]
    ax = curvi.pl.images(adata, [0, 1, 2], color="label", n_columns=3, show=False)
    assert [text.get_text() for text in ax.texts] == ["a", "b", "a"]
    (frames,) = ax.collections
    np.testing.assert_allclose(frames.get_edgecolor(), [to_rgba(c) for c in ("#ff0000", "#0000ff", "#ff0000")])
    lefts = [path.vertices[:, 0].min() for path in frames.get_paths()]
    np.testing.assert_allclose(lefts, [-0.5, W + 0.5, 2 * W + 1.5])


def test_numbers_are_written_without_frames(adata):
    ax = curvi.pl.images(adata, [4], color="brightness", show=False)
    assert ax.texts[0].get_text() == f"{adata.obs['brightness'].iloc[4]:.3g}"
    assert len(ax.collections) == 0


def test_the_choice_is_seeded(adata, pixels):
    first, again, other = (curvi.pl.images(adata, n=4, seed=seed, show=False).images[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.get_array(), again.get_array())
    assert not np.array_equal(first.get_array(), other.get_array())
    ax = curvi.pl.images(adata, n=4, seed=None, show=False)
    np.testing.assert_allclose(_tile(ax, 1, 0)[..., :3], pixels[1], atol=1e-6)
    assert curvi.pl.images(adata, n=50, show=False).images[0].get_array().shape == (4 * (H + 1) - 1, 5 * (W + 1) - 1, 4)


def test_one_channel_is_coloured(adata, pixels):
    ax = curvi.pl.images(adata, [2], channel=1, cmap="viridis", show=False)
    np.testing.assert_allclose(_tile(ax, 0, 0), mpl.colormaps["viridis"](pixels[2, ..., 1].astype(np.float64)))
    ax = curvi.pl.images(from_images(pixels[..., 0]), [2], show=False)
    np.testing.assert_allclose(_tile(ax, 0, 0)[..., 0], pixels[2, ..., 0], atol=1 / 255)


def test_values_beyond_black_and_white(pixels):
    ax = curvi.pl.images(4 * pixels - 1, [0], vmin=0.0, vmax=2.0, show=False)
    np.testing.assert_allclose(_tile(ax, 0, 0)[..., :3], np.clip((4 * pixels[0] - 1) / 2, 0, 1), atol=1e-6)


def test_a_layer(adata, pixels):
    adata.layers["negative"] = 1 - adata.X
    ax = curvi.pl.images(adata, [5], layer="negative", show=False)
    np.testing.assert_allclose(_tile(ax, 0, 0)[..., :3], 1 - pixels[5], atol=1e-6)


def test_size_save_and_axes(adata, tmp_path):
    figure = curvi.pl.images(adata, n=4, n_columns=2, size=1.2, return_fig=True)
    (ax,) = figure.axes
    box = ax.get_window_extent()
    assert box.height / figure.dpi == pytest.approx(1.2 * (2 * H + 1) / H)
    assert box.width / box.height == pytest.approx((2 * W + 1) / (2 * H + 1))
    curvi.pl.images(adata, color="label", save=tmp_path / "images.png")
    assert (tmp_path / "images.png").stat().st_size > 2_000
    _, ax = plt.subplots()
    assert curvi.pl.images(adata, ax=ax, title="cells", show=False) is ax
    assert ax.get_title() == "cells"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"color": "stain"}, r"`color` is 'stain', which is no column of `adata.obs`; it has 'label', 'brightness'"),
        ({"indices": []}, "`indices` names no image"),
        ({"n": 0}, "`n` is 0; expected at least 1"),
        ({"n_columns": 0}, "`n_columns` is 0; expected at least 1"),
        ({"channel": 3}, "`channel` is 3; the images have 3 channels, counted from 0"),
        ({"vmin": 1.0}, "`vmin` is 1.0 and `vmax` is 1.0; black must be below white"),
        ({"size": 0}, "`size` is 0; expected inches above 0"),
    ],
)
def test_what_cannot_be_drawn(adata, arguments, message):
    with pytest.raises(ValueError, match=message):
        curvi.pl.images(adata, **arguments)


def test_arrays_that_are_no_images(pixels):
    with pytest.raises(ValueError, match=r"`data` has shape \(20, 6\); expected images"):
        curvi.pl.images(pixels[:, :, 0, 0])
    with pytest.raises(ValueError, match="`color` and `layer` need an AnnData"):
        curvi.pl.images(pixels, color="label")
    with pytest.raises(ValueError, match="the images have 2 channels, which are no colours; choose one with `channel`"):
        curvi.pl.images(pixels[..., :2])
