"""Sliders and the image that is decoded where they stand, driven without a browser."""

from __future__ import annotations

import sys
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

import curvi

pytest.importorskip("ipywidgets")

# Every latent space by name, and products of them.
SPACES = {
    "circle": {"latent": "vmf", "n_latent": 1},
    "globe": {"latent": "vmf", "n_latent": 2},
    "sphere of 6": {"latent": "vmf", "n_latent": 6},
    "power_spherical": {"latent": "power_spherical", "n_latent": 3},
    "lorentz": {"latent": "lorentz", "n_latent": 3, "latent_kwargs": {"learn_curvature": True}},
    "poincare": {"latent": "poincare", "n_latent": 2},
    "normal": {"latent": "normal", "n_latent": 5},
    "line": {"latent": "normal", "n_latent": 1},
    "delta": {"latent": "delta", "n_latent": 2},
    "product": {"latent": [("lorentz", 2, {"learn_curvature": True}), ("vmf", 2), ("normal", 1)]},
    "torus": {"latent": [("vmf", 1), ("power_spherical", 1)]},
}


def _trained(obs=None, setup=None, **arguments):
    curvi.model.set_seed(0)
    rng = np.random.default_rng(0)
    obs = obs or {}
    adata = curvi.data.from_images(rng.random((24, 5, 4)), rng.permutation(list("abc") * 8), obs=obs or None)
    curvi.CurviVAE.setup_anndata(adata, **(setup or {}))
    model = curvi.CurviVAE(adata, likelihood="bernoulli", n_hidden=8, n_layers=1, **arguments)
    model.train(max_epochs=1, batch_size=24, train_size=1.0, enable_progress_bar=False, logger=None)
    with torch.no_grad():
        # The images differ much from point to point, as those of a long training do.
        model.module.decoder.network.head.weight.mul_(20)
    return model


@pytest.fixture(scope="module")
def spaces():
    """A function: the model of a latent space by its name in ``SPACES``, with an embedding."""
    made = {}

    def of(name):
        if name not in made:
            made[name] = _trained(**SPACES[name])
            made[name].embed()
        return made[name]

    return of


@pytest.fixture(scope="module")
def conditioned():
    """A model of images of two levels and a continuous covariate, without an embedding."""
    obs = {
        "stain": ["pink", "violet"] * 12,
        "plate": np.repeat([3, 1, 2], 8),
        "age": np.linspace(0.0, 4.0, 24),
    }
    setup = {"batch_key": ["stain", "plate"], "continuous_covariate_keys": ["age"]}
    return _trained(obs, setup, latent="vmf", n_latent=2)


def _shown(panel):
    """The pixels of the image `(h, w, 3)`."""
    return np.asarray(Image.open(BytesIO(panel.controls.image.value)).convert("RGB"))


def _expected(model, point, batch=None, continuous=None, times=1):
    """What is to be shown at a point."""
    decoded = model.decode(np.asarray(point), batch, continuous=continuous).astype(np.float64).reshape(5, 4)
    # The grey map of colours has 256 of them.
    grey = np.floor(256 * decoded).clip(0, 255).astype(np.uint8)
    return np.broadcast_to(grey.repeat(times, 0).repeat(times, 1)[..., None], (5 * times, 4 * times, 3))


@pytest.mark.parametrize("name", SPACES)
def test_the_image_is_that_of_the_point_of_the_sliders(spaces, name):
    model = spaces(name)
    panel = curvi.pl.sliders(model, scale=2)
    sliders = panel.controls.sliders
    assert len(sliders) == model.manifold.dim
    assert [slider.description for slider in sliders.values()] == list(sliders)
    seen = set()
    for share in (0.1, 0.35, 0.6, 0.9):
        for slider in sliders.values():
            slider.value = slider.min + share * (slider.max - slider.min)
            np.testing.assert_array_equal(_shown(panel), _expected(model, panel.point, times=2))
            seen.add(panel.controls.image.value)
        inside, reason = model.manifold.contains(torch.from_numpy(panel.point))
        assert inside, reason
    # Every slider that is moved changes the image.
    assert len(seen) == 4 * len(sliders)


@pytest.mark.parametrize("name", [name for name in SPACES if name != "delta"])
def test_a_draw_from_the_prior_moves_the_sliders_to_it(spaces, name):
    model = spaces(name)
    panel = curvi.pl.sliders(model, seed=4, scale=1)
    seeds = np.random.default_rng(4)
    points = []
    for _ in range(3):
        before = panel.point
        panel.controls.random.click()
        expected = model.sample_prior(1, seed=int(seeds.integers(2**31)))[0]
        np.testing.assert_allclose(panel.point, expected, atol=1e-5)
        assert np.abs(panel.point - before).max() > 1e-3
        np.testing.assert_array_equal(_shown(panel), _expected(model, panel.point))
        points.append(panel.point)
        for slider in panel.controls.sliders.values():
            assert slider.min <= slider.value <= slider.max
    again = curvi.pl.sliders(model, seed=4)
    again.controls.random.click()
    np.testing.assert_array_equal(again.point, points[0])
    # Torch's own generator goes on as if nothing had happened.
    torch.manual_seed(0)
    first = torch.rand(3)
    torch.manual_seed(0)
    panel.controls.random.click()
    assert torch.equal(torch.rand(3), first)


def test_a_plain_autoencoder_has_nothing_to_draw(spaces):
    model = spaces("delta")
    panel = curvi.pl.sliders(model)
    assert panel.controls.random is None
    points = model.adata.obsm["X_curvi"]
    for column, slider in zip(points.T, panel.controls.sliders.values(), strict=True):
        low, high = np.quantile(column, [0.005, 0.995])
        assert low - 0.1 * (high - low) < slider.min < low
        assert high < slider.max < high + 0.1 * (high - low)
    with pytest.raises(ValueError, match=r"has no prior and there is no embedding in 'X_none' .* `model.embed\(\)`"):
        curvi.pl.sliders(model, basis="X_none")


@pytest.mark.parametrize("name", ["globe", "lorentz", "normal", "product"])
def test_where_it_starts(spaces, name):
    model = spaces(name)
    adata, points = model.adata, model.adata.obsm["X_curvi"].astype(np.float64)
    manifold = curvi.manifolds.from_config(model.manifold.config()).double()

    def mean(rows):
        return manifold.mean(torch.from_numpy(points[rows])).detach().numpy()

    np.testing.assert_allclose(curvi.pl.sliders(model).point, mean(slice(None)), atol=1e-6)
    is_b = (adata.obs["label"] == "b").to_numpy()
    np.testing.assert_allclose(curvi.pl.sliders(model, base=("label", "b")).point, mean(is_b), atol=1e-6)
    np.testing.assert_allclose(curvi.pl.sliders(model, base=7).point, points[7], atol=1e-5)
    np.testing.assert_allclose(curvi.pl.sliders(model, base=adata.obs_names[7]).point, points[7], atol=1e-5)
    np.testing.assert_allclose(curvi.pl.sliders(model, base=points[3]).point, points[3], atol=1e-5)
    np.testing.assert_allclose(curvi.pl.sliders(model, basis="X_none", base=points[3]).point, points[3], atol=1e-5)
    np.testing.assert_allclose(curvi.pl.sliders(model, basis="X_none").point, manifold.origin.detach(), atol=1e-7)


def test_data_with_no_single_mean_start_at_the_origin(spaces):
    model = spaces("globe")
    poles = model.adata[:2].copy()
    poles.obsm["X_curvi"] = np.array([[0.0, 0, 1], [0, 0, -1]])
    np.testing.assert_allclose(curvi.pl.sliders(model, poles).point, [1, 0, 0], atol=1e-12)


def test_images_of_the_data_and_the_way_back(spaces):
    model = spaces("poincare")
    points = model.adata.obsm["X_curvi"]
    panel = curvi.pl.sliders(model, base=5, scale=1)
    controls = panel.controls
    assert (controls.row.value, controls.row.min, controls.row.max) == (-1, -1, 23)
    controls.row.value = 9
    np.testing.assert_allclose(panel.point, points[9], atol=1e-6)
    np.testing.assert_array_equal(_shown(panel), _expected(model, panel.point))
    controls.random.click()
    assert np.abs(panel.point - points[9]).max() > 1e-3
    # Back to the image that was chosen, and from there to where it all began.
    controls.reset.click()
    np.testing.assert_allclose(panel.point, points[9], atol=1e-6)
    controls.row.value = -1
    np.testing.assert_allclose(panel.point, points[5], atol=1e-6)
    controls.sliders["z0"].value += 0.01
    controls.reset.click()
    np.testing.assert_allclose(panel.point, points[5], atol=1e-6)


def test_a_slider_grows_to_reach_a_point(spaces):
    model = spaces("line")
    panel = curvi.pl.sliders(model, scale=1)
    (slider,) = panel.controls.sliders.values()
    assert -4 < slider.min < -2.3 < 2.3 < slider.max < 4
    for value in (-9.5, 12.25, 0.5):
        panel.go(np.array([value]))
        assert slider.value == panel.point[0] == value
        np.testing.assert_array_equal(_shown(panel), _expected(model, [value]))
    assert (slider.min, slider.max) == pytest.approx((-9.5, 12.25))
    with pytest.raises(ValueError, match=r"`point` is not a point of Euclidean\(dim=1\): points have shape"):
        panel.go(np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="it is more than one"):
        panel.go(np.zeros((2, 1)))


@pytest.mark.parametrize("name", ["globe", "lorentz", "product"])
def test_a_browser_moves_sliders_to_whole_steps_and_the_point_stays(spaces, name):
    model = spaces(name)
    panel = curvi.pl.sliders(model, base=4, scale=1)
    sliders = panel.controls.sliders.values()
    panel.controls.random.click()
    point, image, exact = panel.point, panel.controls.image.value, [slider.value for slider in sliders]
    for slider in sliders:
        slider.value = slider.min + round((slider.value - slider.min) / slider.step) * slider.step
    np.testing.assert_array_equal(panel.point, point)
    assert panel.controls.image.value == image
    # What is moved goes where it is seen, and the others stay.
    first = next(iter(sliders))
    first.value -= 2 * first.step
    chart = curvi.pl._chart.chart(curvi.manifolds.from_config(model.manifold.config()).double())
    expected = chart.points(torch.tensor([first.value, *exact[1:]], dtype=torch.float64)).detach()
    np.testing.assert_allclose(panel.point, expected, atol=1e-12)
    np.testing.assert_array_equal(_shown(panel), _expected(model, panel.point))
    panel.controls.reset.click()
    np.testing.assert_allclose(panel.point, model.adata.obsm["X_curvi"][4], atol=1e-5)


def test_levels_and_covariates(conditioned):
    panel = curvi.pl.sliders(conditioned, scale=1)
    controls = panel.controls
    assert {name: part.value for name, part in controls.levels.items()} == {"stain": "pink", "plate": 1}
    assert controls.levels["plate"].options == (("1", 1), ("2", 2), ("3", 3))
    assert controls.continuous["age"].value == pytest.approx(2.0)
    assert controls.row is None
    seen = []
    for stain, plate, age in [("pink", 1, 2.0), ("violet", 1, 2.0), ("violet", 3, 2.0), ("violet", 3, 3.5)]:
        controls.levels["stain"].value, controls.levels["plate"].value = stain, plate
        controls.continuous["age"].value = age
        expected = _expected(conditioned, panel.point, {"stain": stain, "plate": plate}, {"age": age})
        np.testing.assert_array_equal(_shown(panel), expected)
        seen.append(controls.image.value)
    assert len(set(seen)) == 4
    panel = curvi.pl.sliders(conditioned, scale=1, batch={"plate": 2}, continuous={"age": 1.0})
    expected = _expected(conditioned, panel.point, {"stain": "pink", "plate": 2}, {"age": 1.0})
    np.testing.assert_array_equal(_shown(panel), expected)


def test_a_notebook_shows_the_widget(spaces):
    panel = curvi.pl.sliders(spaces("globe"))
    bundle = panel._repr_mimebundle_(include=None, exclude=None)
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == panel.controls.all.model_id
    held = [panel.controls.all]
    for widget in held:
        held.extend(getattr(widget, "children", ()))
    controls = panel.controls
    for part in (*controls.sliders.values(), controls.row, controls.random, controls.reset, controls.image):
        assert part in held
    # By default the longer side has 200 pixels.
    assert _shown(panel).shape == (200, 160, 3)


def test_what_cannot_be_shown(spaces, conditioned, counter):
    with pytest.raises(ValueError, match="`model` was not trained on images"):
        curvi.pl.sliders(counter)
    with pytest.raises(ValueError, match=r"`batch` has 'blue' for .* 'stain'; the model has the categories 'pink', 'v"):
        curvi.pl.sliders(conditioned, batch={"stain": "blue"})
    with pytest.raises(ValueError, match=r"`batch` has 1 for .* 'dish'; the model has the levels 'stain', 'plate'"):
        curvi.pl.sliders(conditioned, batch={"dish": 1})
    with pytest.raises(ValueError, match="`continuous` names 'dose'; the continuous covariates of the model are 'age'"):
        curvi.pl.sliders(conditioned, continuous={"dose": 1.0})
    with pytest.raises(ValueError, match=r"`base` is 3, but there is no embedding; write it with `model.embed\(\)`"):
        curvi.pl.sliders(conditioned, base=3)
    with pytest.raises(ValueError, match=r"`base` is \('label', 'a'\), but there is no embedding"):
        curvi.pl.sliders(conditioned, base=("label", "a"))
    with pytest.raises(ValueError, match="`basis` is 'X_curvi', but `adata.obsm` has "):
        curvi.pl.sliders(conditioned, conditioned.adata)
    with pytest.raises(ValueError, match=r"does not lie on the manifold of the model, Poincare\(dim=2\)"):
        curvi.pl.sliders(spaces("poincare"), spaces("globe").adata)
    with pytest.raises(ValueError, match="`scale` is 0"):
        curvi.pl.sliders(spaces("globe"), scale=0)


def test_a_model_without_data_needs_values_of_covariates(conditioned, tmp_path):
    conditioned.save(str(tmp_path / "model"))
    loaded = curvi.CurviVAE.load(str(tmp_path / "model"), adata=False, accelerator="cpu")
    with pytest.raises(ValueError, match="`continuous` has nothing for 'age' and there are no data"):
        curvi.pl.sliders(loaded)
    panel = curvi.pl.sliders(loaded, scale=1, continuous={"age": 0.0})
    expected = _expected(conditioned, panel.point, {"stain": "pink", "plate": 1}, {"age": 0.0})
    np.testing.assert_array_equal(_shown(panel), expected)


def test_without_ipywidgets_it_says_what_to_install(spaces, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match=r"`pl.sliders` needs the package 'ipywidgets'; .*'curvi\[notebook\]'"):
        curvi.pl.sliders(spaces("globe"))
