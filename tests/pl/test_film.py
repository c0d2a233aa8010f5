"""Images along a path as a film."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64decode

import numpy as np
import pytest
import torch
from PIL import Image

import curvi
from curvi.pl._score_strip import ScoreStrip

PINK = {"stain": "pink"}


def _vivid(images, **levels):
    """A model on the sphere whose images differ much from point to point, as those of a long training do."""
    curvi.model.set_seed(0)
    adata = curvi.data.from_images(images, obs=levels or None)
    curvi.CurviVAE.setup_anndata(adata, batch_key=list(levels) or None)
    model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, likelihood="bernoulli", n_hidden=16)
    model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    with torch.no_grad():
        model.module.decoder.network.head.weight.mul_(20)
    model.embed()
    return model


@pytest.fixture(scope="module")
def vivid():
    """A model of colour images 6 x 4 of two stains."""
    return _vivid(np.random.default_rng(0).random((30, 6, 4, 3)), stain=["pink", "violet"] * 15)


def _circle(model):
    """Nine points around the origin."""
    turn = torch.arange(9, dtype=torch.float64) * (2 * torch.pi / 9)
    around = model.manifold.exp0(1.3 * torch.stack([turn.cos(), turn.sin()], 1)).numpy()
    return curvi.explore.points(model.adata, list(around))


@pytest.fixture(scope="module")
def way(vivid):
    """A closed way of nine points on the sphere, no two of which have the same image."""
    return _circle(vivid)


def _expected(model, path, batch=PINK):
    decoded = model.decode(path.points, batch).reshape(-1, 6, 4, 3)
    return np.round(255 * decoded.astype(np.float64)).astype(np.uint8)


def _large(images, times):
    return images.repeat(times, axis=1).repeat(times, axis=2)


def _read_gif(file):
    """The frames `(n, h, w, 3)`, and how long each is shown."""
    with Image.open(file) as film:
        frames, durations = [], []
        for i in range(film.n_frames):
            film.seek(i)
            frames.append(np.asarray(film.convert("RGB")))
            durations.append(film.info["duration"])
    return np.stack(frames), durations


@pytest.mark.parametrize("latent", ["vmf", "poincare", "normal"])
def test_frames_are_the_decoded_images(painters, tmp_path, latent):
    model = painters[latent]
    path = _circle(model)
    made = curvi.pl.film(model, path, tmp_path / "circle.gif", scale=3, batch=PINK)
    expected = _expected(model, path)
    # Images that follow each other and are the same are one of the file.
    new = np.concatenate([[True], (expected[1:] != expected[:-1]).any(axis=(1, 2, 3))])
    frames, durations = _read_gif(made)
    # An image of 24 pixels has no more colours than a GIF can hold.
    np.testing.assert_array_equal(frames, _large(expected[new], 3))
    assert sum(durations) == 9 * 50
    assert (made.n_frames, made.fps, made.loop) == (9, 20.0, True)


def test_grey_images_are_exact_however_many_pixels_they_have(tmp_path):
    model = _vivid(np.random.default_rng(0).random((20, 40, 30)))
    path = _circle(model)
    decoded = model.decode(path.points).astype(np.float64).reshape(9, 40, 30, 1)
    assert np.ptp(decoded) > 0.6
    frames, _ = _read_gif(curvi.pl.film(model, path, tmp_path / "grey.gif", scale=1))
    # The map of colours has 256 of them, counted down.
    np.testing.assert_array_equal(frames, np.broadcast_to(np.floor(256 * decoded), frames.shape))
    frames, _ = _read_gif(curvi.pl.film(model, path, tmp_path / "grey.gif", vmin=0.3, vmax=0.7, scale=1))
    stretched = np.clip((decoded - 0.3) / 0.4, 0, 1)
    np.testing.assert_allclose(frames, np.broadcast_to(255 * stretched, frames.shape), atol=1)
    # By default the longer side has 200 pixels.
    assert _read_gif(curvi.pl.film(model, path, tmp_path / "grey.gif"))[0].shape == (9, 200, 150, 3)


def test_images_of_many_colours_keep_them_nearly(tmp_path):
    # Smooth colours with a little noise, as pictures of cells have: more than a thousand of them.
    y, x = np.mgrid[:36, :36] / 35
    smooth = np.stack([x, y, 1 - x * y], axis=2) * 0.6 + 0.2
    model = _vivid((smooth + 0.05 * np.random.default_rng(0).random((20, 36, 36, 3))).clip(0, 1))
    path = _circle(model)
    expected = np.round(255 * model.decode(path.points).astype(np.float64)).reshape(9, 36, 36, 3)
    assert len(np.unique(expected[0].reshape(-1, 3), axis=0)) > 1000
    frames, _ = _read_gif(curvi.pl.film(model, path, tmp_path / "colours.gif", scale=1))
    assert np.abs(frames - expected).mean() < 8


@pytest.mark.parametrize("fps", [0.5, 7, 12.5, 30, 50])
def test_the_time_is_right_though_a_gif_counts_hundredths(vivid, way, tmp_path, fps):
    _, durations = _read_gif(curvi.pl.film(vivid, way, tmp_path / "loop.gif", fps=fps, batch=PINK, scale=1))
    assert len(durations) == 9
    np.testing.assert_allclose(np.cumsum(durations), 1000 * np.arange(1, 10) / fps, atol=5)
    assert np.ptp(durations) <= 10


def test_whether_it_begins_again(vivid, way, tmp_path):
    for loop in (True, False):
        made = curvi.pl.film(vivid, way, tmp_path / "loop.gif", loop=loop, batch=PINK, scale=1)
        with Image.open(made) as film:
            assert film.info.get("loop") == (0 if loop else None)


def test_a_condition_for_each_point(vivid, way, tmp_path):
    stains = np.array(["pink", "violet", "pink"] * 3)
    frames, _ = _read_gif(curvi.pl.film(vivid, way, tmp_path / "loop.gif", batch={"stain": stains}, scale=1))
    pink, violet = (_expected(vivid, way, {"stain": stain}) for stain in ("pink", "violet"))
    np.testing.assert_array_equal(frames, np.where((stains == "pink")[:, None, None, None], pink, violet))
    assert (pink != violet).any()


def test_one_channel(vivid, way, tmp_path):
    frames, _ = _read_gif(curvi.pl.film(vivid, way, tmp_path / "loop.gif", channel=1, batch=PINK, scale=1))
    np.testing.assert_allclose(frames[..., 0], _expected(vivid, way)[..., 1], atol=1)
    np.testing.assert_array_equal(frames[..., 0], frames[..., 2])


def test_images_that_are_the_same_are_shown_as_one_for_longer(vivid, tmp_path):
    start, end = vivid.adata.obsm["X_curvi"][0], -vivid.adata.obsm["X_curvi"][0]
    path = curvi.explore.points(vivid.adata, [start, start, start, end, start])
    frames, durations = _read_gif(curvi.pl.film(vivid, path, tmp_path / "cells.gif", fps=10, batch=PINK, scale=1))
    assert durations == [300, 100, 100]
    np.testing.assert_array_equal(frames, _expected(vivid, path)[2:])


def test_scores_are_a_curve_on_which_a_dot_runs(vivid, way, tmp_path):
    scores = np.array([0.0, 1, 4, 2, 3, 3, 0, 0, 1])
    made = curvi.pl.film(vivid, way, tmp_path / "loop.gif", scores=scores, typical=2.0, batch=PINK, scale=50)
    frames, _ = _read_gif(made)
    assert frames.shape[1:] == (348, 200, 3)
    # Up to the palette, which the letters share.
    np.testing.assert_allclose(frames[:, :300], _large(_expected(vivid, way), 50), atol=3)
    # The dot is orange, as is the number above it.
    strips = frames[:, 300 + 22 :].astype(int)
    orange = (strips[..., 0] - strips[..., 2] > 120) & (strips[..., 0] > 180)
    places = np.array([[y.mean(), x.mean()] for y, x in map(np.nonzero, orange)])
    np.testing.assert_allclose(np.diff(places[:, 1]), 184 / 8, atol=1)
    assert np.corrcoef(places[:, 0], scores)[0, 1] < -0.99
    # The dashed line is as high as the dot at its score.
    with_line, without = (ScoreStrip(scores, typical, "", 200).at(0).astype(int) for typical in (2.0, None))
    assert np.nonzero(with_line != without)[0].mean() == pytest.approx(places[3, 0] + 22, abs=0.6)


def test_frames_are_scored_by_their_likelihood(tmp_path):
    model = _vivid(np.random.default_rng(0).random((20, 8, 6)))
    way = _circle(model)
    shape = curvi.data.image_shape(model.adata)
    frames = curvi.data.from_images(curvi.data.to_images(model.decode(way.points), shape=shape))
    evidence = model.get_marginal_ll(frames, n_mc_samples=10, return_mean=False)
    made = curvi.pl.film(model, way, tmp_path / "loop.gif", scores=evidence, score_name="log p(x)")
    drawn, _ = _read_gif(made)
    strip = ScoreStrip(evidence, None, "log p(x)", 6 * 25)
    assert drawn.shape == (9, 8 * 25 + strip.height, 6 * 25, 3)
    assert np.abs(drawn[4, 200:].astype(int) - strip.at(4)).mean() < 3


@pytest.mark.parametrize("width", [6, 40, 90, 600])
def test_strips_of_any_width(vivid, way, tmp_path, width):
    scores = np.full(9, -1234.5)
    tall = ScoreStrip(scores, None, "log-likelihood", width)
    assert tall.at(8).shape == (tall.height, width, 3)
    assert 36 <= tall.height <= 64
    made = curvi.pl.film(vivid, way, tmp_path / "loop.gif", scores=scores, batch=PINK, scale=1)
    assert _read_gif(made)[0].shape == (9, 6 + 36, 4, 3)


def _read_mp4(file, height, width):
    """The frames `(n, height, width, 3)`, and what the program says of the file."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    command = [ffmpeg, "-i", file, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    read = subprocess.run(command, capture_output=True, check=True)
    frames = np.frombuffer(read.stdout, dtype=np.uint8).reshape(-1, height, width, 3)
    return frames.astype(int), read.stderr.decode()


def test_mp4(vivid, way, tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    made = curvi.pl.film(vivid, way, tmp_path / "loop.mp4", fps=12, channel=0, batch=PINK, scale=25)
    frames, about = _read_mp4(made.file, 150, 100)
    assert len(frames) == 9
    assert " 12 fps," in about
    assert "Video: h264" in about
    assert "100x150" in about
    # What is written is compressed.
    expected = _large(_expected(vivid, way)[..., :1], 25)
    assert np.abs(frames - expected).mean() < 3
    assert np.abs(frames - expected[::-1]).mean() > 6


def test_mp4_with_a_curve_and_an_odd_height(vivid, way, tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    scores = np.arange(9.0)
    made = curvi.pl.film(vivid, way, tmp_path / "loop.mp4", scores=scores, batch=PINK, scale=41)
    strip = ScoreStrip(scores, None, "drift", 164)
    assert strip.height == 39
    # The last line is there twice.
    frames, about = _read_mp4(made.file, 6 * 41 + 39 + 1, 164)
    assert len(frames) == 9
    assert "164x286" in about
    assert np.abs(frames[5, 246:-1] - strip.at(5)).mean() < 8


def test_a_notebook_shows_the_film_itself(vivid, way, tmp_path):
    made = curvi.pl.film(vivid, way, tmp_path / "loop.gif", batch=PINK, scale=1)
    assert os.fspath(made) == str(tmp_path / "loop.gif")
    head, _, rest = made._repr_html_().partition("base64,")
    assert head == '<img src="data:image/gif;'
    assert b64decode(rest.partition('"')[0]) == made.file.read_bytes()
    clip = curvi.pl.Film(made.file.rename(tmp_path / "loop.mp4"), 9, 20.0, True)
    assert clip._repr_html_().startswith('<video controls autoplay muted loop src="data:video/mp4;base64,')


def test_what_cannot_be_filmed(vivid, painters, counter, way, tmp_path):
    file = tmp_path / "loop.gif"
    with pytest.raises(ValueError, match=r"`file` is '.*loop.avi'; expected a name that ends in one of '.gif', '.mp4'"):
        curvi.pl.film(vivid, way, tmp_path / "loop.avi", batch=PINK)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        curvi.pl.film(vivid, way, tmp_path / "none" / "loop.gif", batch=PINK)
    with pytest.raises(ValueError, match=r"`fps` is 60; expected 0.1 to 50 images in a second in a \.gif file"):
        curvi.pl.film(vivid, way, file, fps=60, batch=PINK)
    with pytest.raises(ValueError, match="`fps` is 0"):
        curvi.pl.film(vivid, way, file, fps=0, batch=PINK)
    with pytest.raises(ValueError, match="`scale` is 0"):
        curvi.pl.film(vivid, way, file, scale=0, batch=PINK)
    with pytest.raises(ValueError, match=r"`scores` has shape \(3,\); expected one finite number .*, \(9,\)"):
        curvi.pl.film(vivid, way, file, scores=[1, 2, 3], batch=PINK)
    with pytest.raises(ValueError, match="expected one finite number"):
        curvi.pl.film(vivid, way, file, scores=np.full(9, np.nan), batch=PINK)
    with pytest.raises(ValueError, match="`typical` is 1.0, but there are no `scores`"):
        curvi.pl.film(vivid, way, file, typical=1.0, batch=PINK)
    with pytest.raises(ValueError, match="`batch` has nothing for the batch level 'stain'"):
        curvi.pl.film(vivid, way, file)
    with pytest.raises(ValueError, match="`model` was not trained on images"):
        curvi.pl.film(counter, way, file)
    with pytest.raises(ValueError, match="`z` does not lie on"):
        curvi.pl.film(painters["normal"], way, file, batch=PINK)
    assert not file.exists()


@pytest.mark.parametrize("missing", ["imageio.v2", "imageio_ffmpeg"])
def test_without_the_package_it_says_what_to_install(vivid, way, tmp_path, monkeypatch, missing):
    pytest.importorskip("imageio.v2")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"an MP4 film needs the package 'imageio.*curvi\[plot\]"):
        curvi.pl.film(vivid, way, tmp_path / "loop.mp4", batch=PINK)
    # A GIF needs nothing more.
    assert curvi.pl.film(vivid, way, tmp_path / "loop.gif", batch=PINK).file.exists()
