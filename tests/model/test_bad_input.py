"""Bad input meets a sentence before training starts: what was got, what was expected, what to do."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse

import curvi
from curvi import CurviVAE


def with_value(adata, value: float):
    x = adata.X.tolil()
    x[3, 5] = value
    adata.X = sparse.csr_matrix(x)
    return adata


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1.0, "negative values"),
        (0.5, "not integers|fractional"),
        (np.nan, "NaN|nan|not finite"),
        (np.inf, "infinite|not finite"),
    ],
)
@pytest.mark.parametrize("likelihood", ["nb", "zinb", "poisson"])
def test_values_that_are_not_counts(cells, value, message, likelihood):
    CurviVAE.setup_anndata(with_value(cells, value))
    with pytest.raises(ValueError, match=message):
        CurviVAE(cells, likelihood=likelihood)


@pytest.mark.parametrize("likelihood", ["normal", "student_t"])
def test_real_values_need_a_likelihood_of_real_values(cells, likelihood):
    CurviVAE.setup_anndata(with_value(cells, -0.5))
    CurviVAE(cells, likelihood=likelihood)
    CurviVAE.setup_anndata(with_value(cells, np.nan))
    with pytest.raises(ValueError, match="NaN|nan|not finite"):
        CurviVAE(cells, likelihood=likelihood)


def test_empty_cells_are_refused_and_empty_genes_are_not(cells, quiet):
    x = cells.X.tolil()
    x[:, 7] = 0
    cells.X = sparse.csr_matrix(x)
    CurviVAE.setup_anndata(cells)
    model = CurviVAE(cells)
    model.train(max_epochs=2, **quiet)
    assert np.isfinite(model.get_elbo())
    x[11] = 0
    cells.X = sparse.csr_matrix(x)
    CurviVAE.setup_anndata(cells)
    with pytest.raises(ValueError, match="1 (empty )?cells?.*row 11|row 11"):
        CurviVAE(cells)


@pytest.mark.parametrize(
    "argument",
    ["batch_key", "labels_key", "size_factor_key", "categorical_covariate_keys", "continuous_covariate_keys"],
)
def test_unknown_keys_are_named_with_the_columns_there_are(cells, argument):
    key = "nowhere" if argument.endswith("_key") else ["nowhere"]
    with pytest.raises(KeyError, match=f"`{argument}` names 'nowhere'.*the columns are 'cell_type', 'patient'"):
        CurviVAE.setup_anndata(cells, **{argument: key})


def test_unknown_layer(cells):
    with pytest.raises(KeyError, match="`layer` is 'raw'.*the layers are none"):
        CurviVAE.setup_anndata(cells, layer="raw")


def test_missing_categories(cells):
    cells.obs["patient"] = cells.obs["patient"].where(np.arange(cells.n_obs) != 4)
    with pytest.raises(ValueError, match=r"has 1 missing values \(first in row 4\)"):
        CurviVAE.setup_anndata(cells, batch_key=["condition", "patient"])


def test_a_level_with_one_category_corrects_nothing(cells):
    cells.obs["site"] = "here"
    with pytest.warns(UserWarning, match="batch level 'site' has the one category 'here'"):
        CurviVAE.setup_anndata(cells, batch_key=["patient", "site"])


def test_a_level_named_twice(cells):
    with pytest.raises(ValueError, match="'patient' is named more than once"):
        CurviVAE.setup_anndata(cells, batch_key=["patient"], categorical_covariate_keys=["patient"])


def test_size_factors_must_be_positive(cells):
    cells.obs["size"] = np.where(np.arange(cells.n_obs) == 0, 0.0, 1.0)
    with pytest.raises(ValueError, match="values that are not positive"):
        CurviVAE.setup_anndata(cells, size_factor_key="size")


@pytest.mark.filterwarnings("ignore:Category 0 in adata.obs")
def test_fewer_than_two_cells(cells):
    one = cells[:1].copy()
    CurviVAE.setup_anndata(one)
    with pytest.raises(ValueError, match="has 1 cells; at least 2 are needed"):
        CurviVAE(one)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_latent": 0}, "`n_latent` is 0; the latent space 'vmf' needs a dimension of at least 1"),
        ({"n_latent": 2.0}, "`n_latent` is 2.0"),
        ({"latent": "sphere"}, "unknown latent 'sphere'; the known names are .*'vmf'"),
        ({"likelihood": "binomial"}, "unknown likelihood 'binomial'; the known names are .*'nb'"),
        ({"dispersion": "cell"}, "unknown dispersion 'cell'; the known names are .*'gene'"),
        ({"dispersion": "gene-batch", "dispersion_level": "x"}, "`dispersion_level` is 'x'.*the levels are 'patient'"),
        ({"likelihood": "poisson", "dispersion": "gene"}, "likelihood 'poisson' does not take 'dispersion'"),
        ({"n_hidden": [8, 0]}, "`n_hidden` is .*width of at least 1"),
        ({"n_layers": -1}, "`n_layers` is -1"),
        ({"dropout_rate": 1.0}, "`dropout_rate` is 1.0; it must lie in"),
        ({"thinning_weight": -1.0}, "`thinning_weight` is -1.0"),
        ({"thinning_rate": 1.5}, "`thinning_rate` is 1.5"),
        ({"activation": "sine"}, "unknown activation 'sine'"),
    ],
)
def test_constructor_arguments(cells, arguments, message):
    CurviVAE.setup_anndata(cells, batch_key="patient")
    with pytest.raises(ValueError, match=message):
        CurviVAE(cells, **arguments)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("kl_weight", -1.0),
        ("kl_warmup", 1.5),
        ("kl_warmup", float("nan")),
        ("max_epochs", 0),
        ("batch_size", 0),
    ],
)
def test_training_arguments(cells, quiet, argument, value):
    CurviVAE.setup_anndata(cells)
    with pytest.raises(ValueError, match=f"`{argument}` is"):
        CurviVAE(cells).train(**({"max_epochs": 1} | {argument: value}), **quiet)


def test_unknown_plan_argument_is_refused_before_training(cells, quiet):
    CurviVAE.setup_anndata(cells)
    with pytest.raises(ValueError, match="`plan_kwargs` has 'learning_rate'; the training plan takes .* lr,"):
        CurviVAE(cells).train(max_epochs=1, plan_kwargs={"learning_rate": 1e-3}, **quiet)


def test_other_genes_are_refused(trained, make_cells):
    with pytest.raises(ValueError, match="lacks 3 of the 40 genes of the model, 'gene0' first"):
        trained.get_latent_representation(make_cells()[:, 3:].copy())
    with pytest.raises(ValueError, match="not those of the model in its order"):
        trained.get_latent_representation(make_cells()[:, ::-1].copy())


@pytest.mark.parametrize("value", ["p9", 0])
def test_an_encoder_blind_to_the_levels_embeds_new_categories_with_a_warning(trained, make_cells, value):
    adata = make_cells()
    adata.obs["patient"] = [value] * adata.n_obs
    with pytest.warns(UserWarning, match=f"{value!r} of batch level 'patient' was not seen in training"):
        z = trained.get_latent_representation(adata)
    np.testing.assert_array_equal(z, trained.get_latent_representation())
    with pytest.raises(ValueError, match=f"{value!r} of batch level 'patient' was not seen in training. Train with"):
        trained.get_elbo(adata)


@pytest.mark.parametrize("level", ["patient", "condition"])
@pytest.mark.parametrize("value", ["p9", 0])
def test_an_encoder_that_reads_the_levels_refuses_new_categories(cells, make_cells, quiet, level, value):
    CurviVAE.setup_anndata(cells, batch_key=["patient", "condition"])
    model = CurviVAE(cells, encode_covariates=True)
    model.train(max_epochs=1, **quiet)
    new = make_cells()
    new.obs[level] = [value] * new.n_obs
    with pytest.raises(ValueError, match=f"{value!r} of batch level {level!r} was not seen in training"):
        model.get_latent_representation(new)


def test_bad_values_in_new_data_are_refused(trained, make_cells):
    with pytest.raises(ValueError, match="negative values"):
        trained.get_latent_representation(with_value(make_cells(), -1.0))


def test_good_input_does_not_warn(cells, quiet):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        CurviVAE.setup_anndata(cells, batch_key=["patient", "condition"], continuous_covariate_keys=["age"])
        model = curvi.CurviVAE(cells)
        model.train(max_epochs=1, **quiet)
    assert model.is_trained


def test_a_size_factor_needs_a_likelihood_of_counts(cells):
    cells.obs["size"] = 1.0
    CurviVAE.setup_anndata(cells, size_factor_key="size")
    CurviVAE(cells, likelihood="nb")
    with pytest.raises(ValueError, match="`size_factor_key` was set up, but likelihood 'normal' has no size factor"):
        CurviVAE(cells, likelihood="normal")


@pytest.mark.filterwarnings("ignore:Category . in adata.obs")
def test_one_cell_can_be_embedded(trained, make_cells):
    one = trained.get_latent_representation(make_cells()[5:6].copy())
    np.testing.assert_allclose(one, trained.get_latent_representation()[5:6], atol=1e-6)
