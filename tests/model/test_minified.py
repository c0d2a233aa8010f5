"""Minified data: a model says the same of its cells without what was measured of them, or says that it cannot."""

from __future__ import annotations

import gc
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pytest
import scvi
import torch
from scipy import sparse

import curvi

if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS = ["patient", "condition"]
CASES: dict[str, dict[str, Any]] = {
    "vmf": {},
    "vmf, encoder sees levels": {"encode_covariates": True},
    "power_spherical": {"latent": "power_spherical", "n_latent": 3, "likelihood": "zinb"},
    "normal": {"latent": "normal", "n_latent": 4, "likelihood": "poisson", "encode_covariates": True},
    "normal in one dimension": {"latent": "normal", "n_latent": 1},
    "lorentz of learned curvature": {"latent": "lorentz", "latent_kwargs": {"learn_curvature": True}},
    "poincare": {"latent": "poincare", "dispersion": "gene-batch", "dispersion_level": "condition"},
    "delta": {"latent": "delta"},
    "product": {"latent": [("vmf", 1), ("lorentz", 2), ("normal", 1)], "encode_covariates": True},
    "real values": {"latent": "vmf", "likelihood": "student_t"},
}


def model_of(adata: anndata.AnnData, quiet: dict[str, Any], setup: dict[str, Any] | None = None, **arguments: Any):
    scvi.settings.seed = 0
    curvi.CurviVAE.setup_anndata(adata, **(setup or {"batch_key": LEVELS}))
    model = curvi.CurviVAE(adata, **{"n_hidden": 16} | arguments)
    model.train(max_epochs=1, **quiet)
    return model


def answers(model: curvi.CurviVAE, adata: anndata.AnnData | None = None) -> dict[str, np.ndarray]:
    """What the model says of its cells, or of others."""
    data = {} if adata is None else {"adata": adata}
    counts = model.module.likelihood.observations.are_counts
    level, categories = next(iter(model._levels.categories.items()))
    way = {level: categories[0]}
    methods: dict[str, Callable[[], Any]] = {
        "location": lambda: model.get_latent_representation(**data),
        "one draw": lambda: model.get_latent_representation(give_mean=False, **data),
        "draws": lambda: model.get_latent_representation(give_mean=False, n_samples=3, indices=[5, 2], **data),
        "expression": lambda: model.get_normalized_expression(**data),
        "counterfactual": lambda: model.get_normalized_expression(
            transform_batch=way, library_size="latent" if counts else 1, n_samples=2, return_numpy=True, **data
        ),
        "predictive": lambda: model.posterior_predictive_sample(n_samples=2, indices=[7, 1], **data),
        "rates": lambda: model.get_likelihood_parameters(**data)["mean"],
        "sizes": lambda: model.get_latent_library_size(**data),
        "correlations": lambda: model.get_feature_correlation_matrix(n_samples=2, **data),
        "differences": lambda: (
            model.differential_expression(
                groupby="cell_type",
                group1="type0",
                all_stats=False,
                batch_correction=level,
                filter_outlier_cells=model.module.latent.has_prior,
                n_samples_overall=200,
                silent=True,
                **({"pseudocounts": 1e-5} if counts else {"mode": "vanilla"}),
                **data,
            )
            .sort_index()
            .select_dtypes("number")
        ),
        **(
            {
                "density": lambda: model.get_aggregated_posterior(**data).log_prob(
                    torch.from_numpy(model.sample_prior(3, seed=0))
                )
            }
            if model.module.latent.has_prior
            else {}
        ),
        "batches": lambda: model.get_batch_representation(level),
        "decoded": lambda: model.decode(
            model.get_latent_representation(**data)[:3],
            {key: known[0] for key, known in model._levels.categories.items()},
        ),
        **({"prior": lambda: model.sample_prior(4, seed=0)} if model.module.latent.has_prior else {}),
    }
    found = {}
    for name, method in methods.items():
        scvi.settings.seed = 1
        value = method()
        found[name] = value.todense() if hasattr(value, "todense") else np.asarray(value)
    for name, value in model.get_latent_representation(return_dist=True, **data).items():
        found[f"parameter {name}"] = value
    return found


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("arguments", CASES.values(), ids=CASES)
def test_a_model_says_the_same_of_minified_data_saved_or_not(make_cells, quiet, tmp_path, arguments):
    cells = make_cells(100)
    if arguments.get("likelihood") == "student_t":
        cells.X = cells.X.log1p()
    model = model_of(cells, quiet, **arguments)
    before = answers(model)
    model.minify_adata()
    assert model.minified_data_type == "latent_posterior_parameters"
    assert model.adata.X.nnz == 0
    assert model.adata is not cells
    assert cells.X.nnz > 0
    assert_same(answers(model), before)
    # The original, and a copy of it, which are not minified.
    np.testing.assert_array_equal(model.get_latent_representation(cells), before["location"])
    np.testing.assert_array_equal(model.get_latent_representation(cells.copy()), before["location"])
    model.save(tmp_path / "model", save_anndata=True)
    again = curvi.CurviVAE.load(tmp_path / "model")
    assert again.minified_data_type == "latent_posterior_parameters"
    assert_same(answers(again), before)


def test_the_posteriors_lie_in_the_data_under_their_names(trained_anew):
    model = trained_anew()
    expected = model.get_latent_representation(return_dist=True)
    sizes = np.asarray(model.adata.X.sum(1)).ravel()
    model.adata.layers["other"] = model.adata.X.copy()
    model.adata.raw = model.adata
    model.adata.obsm["X_umap"] = np.ones((model.adata.n_obs, 2))
    obs = model.adata.obs.copy()
    model.minify_adata()
    small = model.adata
    np.testing.assert_array_equal(small.obsm["X_curvi_qz_loc"], expected["loc"])
    np.testing.assert_array_equal(small.obsm["X_curvi_qz_concentration"], expected["concentration"][:, None])
    np.testing.assert_array_equal(small.obs["observed_lib_size"], sizes)
    assert small.obs.drop(columns="observed_lib_size").equals(obs)
    assert small.uns["_scvi_adata_minify_type"] == "latent_posterior_parameters"
    assert small.uns["curvi"]["X_curvi_qz_loc"]["manifold"] == model.manifold.config()
    assert (curvi.data.layer_names(small), small.raw, list(small.obsm)[-3:-2]) == ([], None, ["X_umap"])


@pytest.fixture
def trained_anew(make_cells, quiet) -> Callable[..., curvi.CurviVAE]:
    def make(**arguments: Any) -> curvi.CurviVAE:
        return model_of(make_cells(), quiet, **arguments)

    return make


NEED_VALUES: dict[str, Callable[..., Any]] = {
    "get_elbo": lambda model, **data: model.get_elbo(**data),
    "get_reconstruction_error": lambda model, **data: model.get_reconstruction_error(**data),
    "get_marginal_ll": lambda model, **data: model.get_marginal_ll(n_mc_samples=2, **data),
    "differential_expression": lambda model, **data: model.differential_expression(
        groupby="cell_type",
        group1="type0",
        weights="importance",
        all_stats=False,
        silent=True,
        n_samples_overall=50,
        pseudocounts=1e-6,
        importance_weighting_kwargs={"max_cells": 3, "n_mc_samples": 2},
        **data,
    ),
}


@pytest.mark.parametrize("method", NEED_VALUES)
def test_what_needs_values_says_so_and_takes_other_data(trained_anew, make_cells, method):
    model = trained_anew()
    model.minify_adata()
    with pytest.raises(ValueError, match=rf"^{method}\(\) .* but of minified data the posteriors are all that is left"):
        NEED_VALUES[method](model)
    assert NEED_VALUES[method](model, adata=make_cells()) is not None


def test_training_and_queries_need_values(trained_anew, quiet):
    model = trained_anew()
    model.minify_adata()
    with pytest.raises(ValueError, match=r"^train\(\) compares .* Set up data that are not minified for a new model"):
        model.train(max_epochs=1, **quiet)
    with pytest.raises(ValueError, match=r"^load_query_data\(\) is for training on what was measured"):
        curvi.CurviVAE.load_query_data(model.adata, model)
    with pytest.raises(ValueError, match="are minified already"):
        model.minify_adata()
    with pytest.raises(ValueError, match="Load that model"):
        curvi.CurviVAE.setup_anndata(model.adata.copy(), batch_key="patient")


def test_a_minified_model_is_a_reference_for_queries(trained_anew, make_cells, quiet):
    model = trained_anew()
    location = model.get_latent_representation()
    model.minify_adata()
    adata = make_cells(100, seed=1)
    adata.obs["patient"] = "new"
    query = curvi.CurviVAE.load_query_data(adata, model)
    query.train(max_epochs=1, **quiet)
    assert query.minified_data_type is None
    # Its encoder does not see the levels, so that the posteriors of the reference are its own too.
    np.testing.assert_array_equal(query.get_latent_representation(model.adata.copy()), location)


def test_with_counts_everything_works(trained_anew, quiet):
    model = trained_anew()
    scvi.settings.seed = 1
    elbo, before = model.get_elbo(), answers(model)
    model.minify_adata("latent_posterior_parameters_with_counts")
    assert model.minified_data_type == "latent_posterior_parameters_with_counts"
    assert model.adata.obsm["X_curvi_qz_loc"].shape == (240, 3)
    assert_same(answers(model), before)
    scvi.settings.seed = 1
    assert model.get_elbo() == pytest.approx(elbo, rel=1e-6)
    for method in NEED_VALUES.values():
        method(model)
    model.train(max_epochs=1, **quiet)
    moved = model.get_latent_representation()
    assert not np.array_equal(moved, before["location"])
    model.minify_adata()
    np.testing.assert_array_equal(model.get_latent_representation(), moved)
    np.testing.assert_array_equal(model.adata.obsm["X_curvi_qz_loc"], moved)


def test_means_of_the_data_are_nan_and_a_warning_says_why(trained_anew):
    model = trained_anew()
    model.minify_adata()
    with pytest.warns(UserWarning, match="are NaN; `all_stats=False` leaves them out"):
        table = model.differential_expression(
            groupby="cell_type", group1="type0", silent=True, n_samples_overall=50, pseudocounts=1e-6
        )
    assert table[["raw_mean1", "raw_mean2", "non_zeros_proportion1", "raw_normalized_mean2"]].isna().all(axis=None)
    assert table["lfc_mean"].notna().all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.differential_expression(
            groupby="cell_type", group1="type0", silent=True, n_samples_overall=50, all_stats=False, pseudocounts=1e-6
        )
    with pytest.raises(ValueError, match=r"estimates `pseudocounts` from the genes .* Pass a number"):
        model.differential_expression(groupby="cell_type", silent=True)


def test_the_memory_of_the_data_is_free(make_cells, quiet):
    cells = make_cells()
    gone = weakref.ref(cells)
    model = model_of(cells, quiet)
    model.minify_adata()
    del cells
    gc.collect()
    assert gone() is None


def test_a_layer_own_sizes_and_continuous_covariates(cells, quiet, tmp_path):
    cells.layers["counts"] = cells.X
    cells.X = sparse.csr_matrix(cells.shape, dtype=np.float32)
    cells.obs["size"] = np.linspace(50.0, 150.0, cells.n_obs)
    setup = {
        "layer": "counts",
        "batch_key": "patient",
        "size_factor_key": "size",
        "labels_key": "cell_type",
        "continuous_covariate_keys": ["age"],
    }
    model = model_of(cells, quiet, setup, encode_covariates=True, latent="lorentz")
    scvi.settings.seed = 1
    location, expected = model.get_latent_representation(), model.get_normalized_expression(library_size="latent")
    model.minify_adata()
    assert model.adata.layers["counts"].nnz == 0
    assert "observed_lib_size" not in model.adata.obs
    model.save(tmp_path / "model", save_anndata=True)
    for each in (model, curvi.CurviVAE.load(tmp_path / "model")):
        scvi.settings.seed = 1
        np.testing.assert_array_equal(each.get_latent_representation(), location)
        np.testing.assert_array_equal(each.get_normalized_expression(library_size="latent"), expected)
        np.testing.assert_allclose(each.get_latent_library_size().ravel(), cells.obs["size"], rtol=1e-6)


def test_pictures_are_minified_too(quiet, tmp_path):
    adata = curvi.datasets.digits()[:200].copy()
    model = model_of(
        adata, quiet, {"batch_key": None}, likelihood="continuous_bernoulli", network="conv", n_hidden=[4, 8]
    )
    location, pictures = model.get_latent_representation(), model.decode(model.get_latent_representation()[:3])
    model.minify_adata()
    model.save(tmp_path / "model", save_anndata=True)
    again = curvi.CurviVAE.load(tmp_path / "model")
    np.testing.assert_array_equal(again.get_latent_representation(), location)
    np.testing.assert_allclose(again.decode(location[:3]), pictures, rtol=1e-6)
    assert curvi.data.image_shape(again.adata) == curvi.data.image_shape(adata)


def test_a_model_saved_with_either_kind_of_data_loads_with_the_other(trained_anew, make_cells, tmp_path):
    model = trained_anew()
    before = answers(model)
    model.save(tmp_path / "whole")
    model.minify_adata()
    model.save(tmp_path / "small")
    small = model.adata
    loaded = curvi.CurviVAE.load(tmp_path / "whole", small.copy())
    assert loaded.minified_data_type == "latent_posterior_parameters"
    assert_same(answers(loaded), before)
    loaded = curvi.CurviVAE.load(tmp_path / "small", make_cells())
    assert loaded.minified_data_type is None
    assert_same(answers(loaded), before)
    loaded = curvi.CurviVAE.load(tmp_path / "small", adata=False)
    assert loaded.minified_data_type is None
    assert_same(answers(loaded, small.copy()), before)


def test_whole_models_take_minified_data_of_their_own_only(trained_anew, make_cells, quiet):
    model = trained_anew()
    location = model.get_latent_representation()
    whole = model.adata
    model.minify_adata()
    small = model.adata.copy()
    del small.uns["_scvi_uuid"]
    model.adata = whole
    assert model.minified_data_type is None
    np.testing.assert_array_equal(model.get_latent_representation(small), location)
    scvi.settings.seed = 3
    curvi.CurviVAE.setup_anndata(whole, batch_key=LEVELS)
    other = curvi.CurviVAE(whole, n_hidden=16)
    other.train(max_epochs=1, **quiet)
    with pytest.raises(ValueError, match="the posteriors in it are not those of this model"):
        other.get_latent_representation(small.copy())
    model.train(max_epochs=2, **quiet)
    with pytest.raises(ValueError, match="or this one before it was trained further"):
        model.get_latent_representation(small.copy())


def test_minified_data_of_others_are_refused(trained, make_cells):
    foreign = make_cells()
    foreign.uns["_scvi_adata_minify_type"] = "latent_posterior_parameters"
    with pytest.raises(ValueError, match="but not by this class"):
        trained.get_latent_representation(foreign)
    with pytest.raises(ValueError, match="`minified_data_type` is 'x'; the types are 'latent_posterior_parameters'"):
        trained.minify_adata("x")


def test_minified_data_that_have_lost_a_parameter_are_refused(trained_anew, tmp_path):
    model = trained_anew()
    model.save(tmp_path / "model")
    model.minify_adata()
    small = model.adata.copy()
    del small.obsm["X_curvi_qz_concentration"]
    with pytest.raises(ValueError, match=r"`.obsm` lacks 'X_curvi_qz_concentration'"):
        curvi.CurviVAE.load(tmp_path / "model", small)


def test_data_on_disk_are_minified_into_memory(cells, quiet, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    model = model_of(backed, quiet)
    location = model.get_latent_representation()
    model.minify_adata()
    assert not model.adata.isbacked
    np.testing.assert_array_equal(model.get_latent_representation(), location)
