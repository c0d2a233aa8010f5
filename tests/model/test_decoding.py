"""Latent points and plain arrays through the model, without cells."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

import curvi

CASES = {
    "vmf": {"latent": "vmf"},
    "power_spherical": {"latent": "power_spherical", "n_latent": 5},
    "lorentz": {"latent": "lorentz", "latent_kwargs": {"learn_curvature": True}},
    "poincare": {"latent": "poincare", "likelihood": "zinb"},
    "normal": {"latent": "normal", "n_latent": 10, "likelihood": "normal"},
    "delta": {"latent": "delta", "n_latent": 3, "likelihood": "poisson"},
    "product": {"latent": [("vmf", 1), ("lorentz", 2), ("normal", 2)], "encode_covariates": True},
}
BATCH = {"patient": "p1", "condition": "ctrl"}


@pytest.fixture(scope="module", params=CASES.values(), ids=list(CASES))
def model(request, make_cells) -> curvi.CurviVAE:
    adata = make_cells()
    curvi.CurviVAE.setup_anndata(
        adata,
        batch_key=["patient", "condition"],
        continuous_covariate_keys=["age"] if "n_latent" in request.param else None,
    )
    model = curvi.CurviVAE(adata, n_hidden=16, **request.param)
    model.train(max_epochs=2, enable_progress_bar=False, enable_model_summary=False, logger=None)
    return model


def covariates(model: curvi.CurviVAE) -> dict:
    """Those of each cell of the model, as the arrays take them."""
    obs = model.adata.obs
    has_age = bool(model.registry["setup_args"]["continuous_covariate_keys"])
    return {
        "batch": {key: obs[key].to_numpy() for key in ("patient", "condition")},
        "continuous": {"age": obs["age"].to_numpy()} if has_age else None,
    }


def settings(model: curvi.CurviVAE) -> dict:
    """The same for every point."""
    return {"batch": BATCH, "continuous": {"age": 0.5} if covariates(model)["continuous"] else None}


def test_encoding_an_array_is_embedding_its_cells(model):
    x = model.adata.X.toarray()
    expected = model.get_latent_representation()
    np.testing.assert_allclose(model.encode(x, **covariates(model)), expected, atol=1e-6)


@torch.inference_mode()
def test_decoding_is_what_the_module_expects_of_the_cells(model):
    z = model.get_latent_representation()
    total = np.asarray(model.adata.X.sum(1)).ravel()
    found = model.decode(z, **covariates(model), library_size=total)
    tensors = next(iter(model._make_data_loader(model.adata, batch_size=model.adata.n_obs)))
    inputs = model.module._get_generative_input(tensors, {"z": torch.from_numpy(z)})
    expected = model.module.generative(**inputs)["px"].mean.numpy()
    assert found.shape == model.adata.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_points_keep_their_shape_and_passes_do_not_matter(model):
    z = model.get_latent_representation(indices=np.arange(24)).reshape(2, 3, 4, -1)
    options = settings(model)
    found = model.decode(z, **options)
    assert found.shape == (2, 3, 4, model.adata.n_vars)
    np.testing.assert_allclose(model.decode(z, **options, batch_size=5), found, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(model.decode(z[1, 2, 3], **options), found[1, 2, 3], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(model.decode(torch.from_numpy(z).double(), **options), found, rtol=1e-4, atol=1e-6)
    found.flags.writeable = z.flags.writeable = False
    np.testing.assert_array_equal(model.decode(z, **options), found)
    back = model.encode(found, **options)
    assert back.shape == z.shape
    assert model.manifold.contains(torch.from_numpy(back))[0]
    assert model.decode(z[:0], **options).shape == (0, 3, 4, model.adata.n_vars)


def test_points_drawn_from_the_prior_lie_on_the_manifold_and_decode(model):
    if not model.module.latent.has_prior:
        with pytest.raises(ValueError, match="latent='delta' has no prior to draw from"):
            model.sample_prior(3)
        return
    state = torch.get_rng_state()
    z = model.sample_prior(500, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(model.sample_prior(500, seed=3), z)
    assert not np.array_equal(model.sample_prior(500), z)
    assert not np.array_equal(model.sample_prior(500), model.sample_prior(500))
    assert z.shape == (500, model.manifold.ambient_dim)
    inside, reason = model.manifold.contains(torch.from_numpy(z))
    assert inside, reason
    assert np.isfinite(model.decode(z, **settings(model))).all()
    # The prior is centred at the origin or spread evenly, so that coordinates have mean 0.
    with torch.inference_mode():
        mean = model.manifold.log0(torch.from_numpy(z)).mean(0)
    assert float(mean.abs().max()) < 0.35


def test_counts_sum_to_the_size_of_the_library(trained):
    z = trained.sample_prior(7, seed=0)
    np.testing.assert_allclose(trained.decode(z, BATCH).sum(-1), 1.0, rtol=1e-5)
    sizes = np.arange(1.0, 8.0) * 100
    np.testing.assert_allclose(trained.decode(z, BATCH, library_size=sizes).sum(-1), sizes, rtol=1e-5)


def test_categories_change_what_is_decoded(trained):
    z = trained.sample_prior(4, seed=0)
    other = BATCH | {"patient": "p0"}
    mixed = trained.decode(z, BATCH | {"patient": np.array(["p1", "p0", "p1", "p0"])})
    expected = np.where([[True], [False], [True], [False]], trained.decode(z, BATCH), trained.decode(z, other))
    np.testing.assert_allclose(mixed, expected, rtol=1e-5)
    assert np.abs(trained.decode(z, BATCH) - trained.decode(z, other)).max() > 1e-4


def test_an_encoder_blind_to_the_levels_needs_none(trained):
    x = trained.adata.X.toarray()
    np.testing.assert_allclose(trained.encode(x), trained.get_latent_representation(), atol=1e-6)


def test_an_encoder_that_reads_the_levels_needs_them(make_cells):
    adata = make_cells()
    curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
    model = curvi.CurviVAE(adata, encode_covariates=True)
    model.train(max_epochs=1, enable_progress_bar=False, enable_model_summary=False, logger=None)
    with pytest.raises(ValueError, match="`batch` has nothing for the batch level 'patient'"):
        model.encode(adata.X.toarray())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"z": [[1.0, 1.0, 0.0]]}, "`z` does not lie on Sphere(dim=2): points must have length 1"),
        ({"z": [[1.0, 0.0]]}, "`z` does not lie on Sphere(dim=2): points have shape (1, 2); expected (..., 3)"),
        ({"z": [[np.nan, 0.0, 1.0]]}, "nan or infinite"),
        ({"batch": None}, "`batch` has nothing for the batch level 'patient'"),
        ({"batch": {"patient": "p1"}}, "`batch` has nothing for the batch level 'condition'; the decoder reads it"),
        (
            {"batch": BATCH | {"patient": "p9"}},
            "`batch` has 'p9' for batch level 'patient'; its categories are 'p0', 'p1'",
        ),
        (
            {"batch": BATCH | {"site": "x"}},
            "`batch` names 'site', which is no batch level of the model; it has 'patient'",
        ),
        (
            {"batch": BATCH | {"patient": ["p0", "p1"]}},
            "`batch` has values of shape (2,); expected one, or one a point, (1,)",
        ),
        (
            {"continuous": {"age": 1.0}},
            "`continuous` names 'age', which is no continuous covariate of the model; it has none",
        ),
        ({"library_size": 0.0}, "`library_size` is 0.0; it must be positive and finite"),
        ({"library_size": np.ones(3)}, "`library_size` has values of shape (3,)"),
        ({"batch_size": 0}, "`batch_size` is 0; it must be at least 1"),
    ],
)
def test_bad_input_is_a_sentence(trained, arguments, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        trained.decode(**({"z": [[1, 0, 0]], "batch": BATCH} | arguments))


def test_bad_data_and_numbers_are_sentences(trained, model):
    with pytest.raises(ValueError, match=re.escape("`x` has shape (2, 3); expected (..., 40), finite numbers")):
        trained.encode(np.ones((2, 3)))
    with pytest.raises(ValueError, match="finite numbers"):
        trained.encode(np.full((2, 40), np.nan))
    with pytest.raises(ValueError, match="`n` is 0; it must be at least 1"):
        trained.sample_prior(0)
    if covariates(model)["continuous"]:
        with pytest.raises(ValueError, match="`continuous` has nothing for the continuous covariate 'age'"):
            model.decode(model.get_latent_representation(indices=[0]), BATCH)


def test_an_untrained_model_does_not_decode(cells):
    curvi.CurviVAE.setup_anndata(cells)
    with pytest.raises(RuntimeError, match="[Tt]rain"):
        curvi.CurviVAE(cells).decode([[1.0, 0.0, 0.0]])
