"""Images above what a model makes of them."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import curvi

ROWS = [3, 8, 1]
# A line of text is two pixels high.
HEAD = 2


@pytest.fixture
def model(painters):
    return painters["vmf"]


def _expected(model, stain=None):
    stain = model.adata.obs["stain"].iloc[ROWS].to_numpy() if stain is None else stain
    return model.decode(model.adata.obsm["X_curvi"][ROWS], {"stain": stain}).reshape(3, 6, 4, 3)


def test_each_reconstruction_is_below_its_image(model, tile):
    ax = curvi.pl.reconstructions(model, indices=ROWS, show=False)
    expected = _expected(model)
    originals = np.asarray(model.adata.X).reshape(-1, 6, 4, 3)
    for column, row in enumerate(ROWS):
        np.testing.assert_allclose(tile(ax, column, 0), originals[row], atol=1e-6)
        np.testing.assert_allclose(tile(ax, column, 1), expected[column], atol=1e-5)
    assert [text.get_text() for text in ax.texts] == ["original", "reconstruction"]


def test_another_batch(model, tile):
    ax = curvi.pl.reconstructions(model, indices=ROWS, batch={"stain": "pink"}, show=False)
    np.testing.assert_allclose(tile(ax, 0, 1), _expected(model, "pink")[0], atol=1e-5)
    # The first of the images has another stain, which the decoder tells apart.
    assert model.adata.obs["stain"].iloc[ROWS[0]] == "violet"
    assert np.abs(_expected(model, "pink")[0] - _expected(model)[0]).max() > 1e-3


def test_binarised(model, tile):
    ax = curvi.pl.reconstructions(model, indices=ROWS, binarise=True, vmin=0.2, vmax=0.8, show=False)
    assert [text.get_text() for text in ax.texts] == [
        "original",
        "original, binarised",
        "reconstruction",
        "reconstruction, binarised",
    ]
    originals = np.asarray(model.adata.X).reshape(-1, 6, 4, 3)
    np.testing.assert_array_equal(tile(ax, 1, 1), originals[ROWS[1]] > 0.5)
    np.testing.assert_array_equal(tile(ax, 1, 3), _expected(model)[1] > 0.5)


def test_labels_stand_above_the_originals_only(model, tile):
    ax = curvi.pl.reconstructions(model, indices=ROWS, color="label", show=False)
    assert [text.get_text() for text in ax.texts] == ["a", "c", "b", "original", "reconstruction"]
    (frames,) = ax.collections
    assert len(frames.get_paths()) == 6
    np.testing.assert_allclose(frames.get_edgecolor()[:3], frames.get_edgecolor()[3:])
    np.testing.assert_allclose(tile(ax, 2, 1, HEAD), _expected(model)[2], atol=1e-5)


def test_other_images_and_a_seeded_choice(model, tile):
    other = model.adata[20:].copy()
    ax = curvi.pl.reconstructions(model, other, n=4, seed=1, show=False)
    rows = np.sort(np.random.default_rng(1).choice(10, 4, replace=False))
    images = np.asarray(other.X).reshape(-1, 6, 4, 3)
    for column, row in enumerate(rows):
        np.testing.assert_allclose(tile(ax, column, 0), images[row], atol=1e-6)


def test_names_of_lines_lie_within_the_figure(model, tmp_path):
    figure = curvi.pl.reconstructions(model, n=2, binarise=True, return_fig=True)
    figure.canvas.draw()
    assert min(text.get_window_extent().x0 for text in figure.axes[0].texts) >= 0
    curvi.pl.reconstructions(model, save=tmp_path / "pairs.png")
    assert (tmp_path / "pairs.png").stat().st_size > 2_000
    _, ax = plt.subplots()
    assert curvi.pl.reconstructions(model, ax=ax, title="pairs", show=False) is ax
    assert ax.get_title() == "pairs"


def test_what_cannot_be_drawn(model, counter):
    with pytest.raises(ValueError, match="`color` is 'slide', which is no column"):
        curvi.pl.reconstructions(model, color="slide")
    with pytest.raises(ValueError, match="`n` is 0; expected at least 1"):
        curvi.pl.reconstructions(model, n=0)
    with pytest.raises(ValueError, match="`model` was not trained on images"):
        curvi.pl.reconstructions(counter)


def test_levels_covariates_and_a_layer_are_read_as_the_model_reads_them(rng, tile):
    obs = {"stain": ["pink", "violet"] * 6, "slide": ["x", "y", "z"] * 4, "age": rng.random(12)}
    adata = curvi.data.from_images(rng.random((12, 6, 4, 3)).astype(np.float32), obs=obs)
    adata.layers["negative"] = 1 - adata.X
    curvi.CurviVAE.setup_anndata(
        adata,
        layer="negative",
        batch_key="stain",
        categorical_covariate_keys=["slide"],
        continuous_covariate_keys=["age"],
    )
    model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, likelihood="bernoulli", n_hidden=8)
    model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    own = adata.obs.iloc[ROWS]
    points = model.get_latent_representation()[ROWS]
    levels = {name: own[name].to_numpy() for name in ("stain", "slide")}
    own_age = curvi.pl.reconstructions(model, indices=ROWS, show=False)
    newborn = curvi.pl.reconstructions(model, indices=ROWS, continuous={"age": 0.0}, show=False)
    for ax, age in ((own_age, own["age"].to_numpy()), (newborn, 0.0)):
        expected = model.decode(points, levels, continuous={"age": age}).reshape(3, 6, 4, 3)
        for column, row in enumerate(ROWS):
            np.testing.assert_allclose(tile(ax, column, 0), 1 - adata.X[row].reshape(6, 4, 3), atol=1e-6)
            np.testing.assert_allclose(tile(ax, column, 1), expected[column], atol=1e-5)
