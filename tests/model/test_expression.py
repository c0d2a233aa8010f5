"""Expected values, draws and parameters of the data of cells, under their own batches and under others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scvi
import sparse

import curvi

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": None}
LEVELS = {"patient": 2, "site": 3}
LATENTS = ["vmf", "lorentz", "normal", "delta", [("vmf", 1), ("poincare", 2)]]


def trained(likelihood="nb", latent="delta", **kwargs):
    adata = curvi.datasets.synthetic(n_obs=90, n_vars=12, levels=LEVELS, seed=1)
    if likelihood in ("normal", "student_t"):
        adata.X = np.log1p(adata.X.toarray())
    curvi.CurviVAE.setup_anndata(adata, batch_key=list(LEVELS))
    scvi.settings.seed = 0
    model = curvi.CurviVAE(
        adata,
        latent=latent,
        n_latent=None if isinstance(latent, list) else 2,
        likelihood=likelihood,
        n_hidden=8,
        **kwargs,
    )
    model.train(max_epochs=3, **QUIET)
    return model


@pytest.fixture(scope="module")
def counts():
    return trained()


def own_levels(model, **changed):
    return {name: model.adata.obs[name].to_numpy() for name in LEVELS} | changed


def test_without_noise_it_is_the_decoder_at_the_embedding(counts):
    z = counts.get_latent_representation()
    got = counts.get_normalized_expression()
    assert isinstance(got, pd.DataFrame)
    assert list(got.index) == list(counts.adata.obs_names)
    assert list(got.columns) == list(counts.adata.var_names)
    np.testing.assert_allclose(got, counts.decode(z, own_levels(counts)), rtol=1e-5)
    np.testing.assert_allclose(got.sum(axis=1), 1, rtol=1e-5)
    sizes = counts.adata.X.sum(1)
    np.testing.assert_allclose(counts.get_latent_library_size(), np.asarray(sizes).reshape(-1, 1), rtol=1e-6)
    latent = counts.get_normalized_expression(library_size="latent", return_numpy=True)
    np.testing.assert_allclose(latent.sum(1), np.asarray(sizes).ravel(), rtol=1e-5)


def test_counterfactuals_at_any_combination_of_levels(counts):
    z, (patients, sites) = counts.get_latent_representation(), counts._levels.categories.values()
    ways = {
        patients[1]: own_levels(counts, patient=patients[1]),
        ("site", sites[2]): own_levels(counts, site=sites[2]),
    }
    first = counts.get_normalized_expression(transform_batch=patients[1], return_numpy=True)
    np.testing.assert_allclose(first, counts.decode(z, ways[patients[1]]), rtol=1e-5)
    site = counts.get_normalized_expression(transform_batch={"site": sites[2]}, return_numpy=True)
    np.testing.assert_allclose(site, counts.decode(z, ways["site", sites[2]]), rtol=1e-5)
    # Of lists, the mean over all combinations.
    every = counts.get_normalized_expression(
        transform_batch={"patient": list(patients), "site": sites[:2]}, return_numpy=True
    )
    combined = [counts.decode(z, {"patient": p, "site": s}) for p in patients for s in sites[:2]]
    np.testing.assert_allclose(every, np.mean(combined, 0), rtol=1e-5)
    assert np.abs(first - site).max() > 1e-4


def test_cells_and_genes_come_back_in_the_order_asked_for(counts):
    everything = counts.get_normalized_expression()
    genes = list(everything.columns[[7, 2]])
    some = counts.get_normalized_expression(indices=[5, 3, 80], gene_list=genes, batch_size=2)
    pd.testing.assert_frame_equal(some, everything.iloc[[5, 3, 80]][genes], rtol=1e-5)


@pytest.mark.parametrize("latent", LATENTS)
def test_draws_vary_about_their_mean_in_every_latent_space(latent):
    model = trained(latent=latent)
    draws = model.get_normalized_expression(n_samples=20, return_mean=False)
    assert draws.shape == (20, 90, 12)
    np.testing.assert_allclose(draws.sum(-1), 1, rtol=1e-5)
    assert (draws.std(0).max() > 1e-4) == (latent != "delta")
    mean = model.get_normalized_expression(n_samples=20)
    np.testing.assert_allclose(mean, draws.mean(0), atol=0.05)


@pytest.mark.parametrize(
    ("likelihood", "names"),
    [
        ("nb", {"mean", "dispersions"}),
        ("zinb", {"mean", "dispersions", "dropout"}),
        ("poisson", {"mean"}),
        ("normal", {"mean", "scale"}),
        ("student_t", {"mean", "scale", "df"}),
    ],
)
def test_parameters_draws_and_correlations_of_every_likelihood(likelihood, names):
    model = trained(likelihood)
    parameters = model.get_likelihood_parameters()
    assert set(parameters) == names
    assert {x.shape for x in parameters.values()} == {(90, 12)}
    several = model.get_likelihood_parameters(n_samples=3)
    assert several["mean"].shape == (3, 90, 12)
    size = "latent" if model.module.likelihood.observations.are_counts else 1.0
    expected = model.get_normalized_expression(library_size=size, return_numpy=True)
    np.testing.assert_allclose(parameters["mean"], expected, rtol=1e-5)
    drawn = model.posterior_predictive_sample(n_samples=300)
    assert isinstance(drawn, sparse.GCXS) == model.module.likelihood.observations.are_counts
    values = np.asarray(drawn.todense() if isinstance(drawn, sparse.GCXS) else drawn)
    assert values.shape == (90, 12, 300)
    shown = expected * (1 - parameters["dropout"]) if likelihood == "zinb" else expected
    noise = values.std(-1) / np.sqrt(300)
    assert np.quantile(np.abs(values.mean(-1) - shown) / (noise + 1e-3), 0.99) < 4
    assert model.posterior_predictive_sample(gene_list=[model.adata.var_names[3]]).shape == (90, 1)
    for kind in ("spearman", "pearson"):
        matrix = model.get_feature_correlation_matrix(n_samples=2, rna_size_factor=100.0, correlation_type=kind)
        assert list(matrix.columns) == list(model.adata.var_names)
        np.testing.assert_allclose(np.diag(matrix), 1)
        assert np.abs(matrix.to_numpy()).max() <= 1 + 1e-9


def test_draws_under_several_batches_take_one_at_random(counts):
    sites = list(counts._levels.categories["site"])
    drawn = counts.posterior_predictive_sample(n_samples=400, transform_batch={"site": sites[:2]}).todense()
    each = [
        counts.get_normalized_expression(transform_batch={"site": s}, library_size="latent", return_numpy=True)
        for s in sites[:2]
    ]
    noise = drawn.std(-1) / np.sqrt(400)
    assert np.quantile(np.abs(drawn.mean(-1) - np.mean(each, 0)) / (noise + 1e-3), 0.99) < 4


def test_correlations_are_without_the_noise_of_counting():
    # Two genes that rise together from very few counts: the rates are far more correlated than the counts.
    rng = np.random.default_rng(0)
    rate = np.exp(rng.normal(size=400))
    x = rng.poisson(np.stack([rate, rate, 5 / rate, np.full(400, 4.0)], 1)).astype(np.float32)
    import anndata

    adata = anndata.AnnData(x)
    curvi.CurviVAE.setup_anndata(adata)
    scvi.settings.seed = 0
    model = curvi.CurviVAE(adata, latent="normal", n_latent=1, likelihood="poisson", n_hidden=16)
    model.train(max_epochs=60, plan_kwargs={"lr": 1e-2}, **QUIET)
    matrix = model.get_feature_correlation_matrix(n_samples=5)
    assert matrix.iloc[0, 1] > 0.9 > np.corrcoef(x[:, 0], x[:, 1])[0, 1] + 0.1
    assert matrix.iloc[0, 2] < -0.8


def test_what_cannot_be_is_refused(counts):
    cases = [
        (r"`transform_batch` names 'country'; the batch levels of the model are 'patient', 'site'", {"country": 1}),
        (r"`transform_batch` has 'nobody' for batch level 'patient'; its categories are", "nobody"),
        (r"`transform_batch` has an empty list for batch level 'site'", {"site": []}),
    ]
    for message, transform in cases:
        with pytest.raises(ValueError, match=message):
            counts.get_normalized_expression(transform_batch=transform)
    with pytest.raises(ValueError, match=r"`gene_list` names 'Gene X', which is not among the 12 genes"):
        counts.get_normalized_expression(gene_list=["Gene X"])
    with pytest.raises(ValueError, match=r"`library_size` is 0; expected a positive number or 'latent'"):
        counts.get_normalized_expression(library_size=0)
    with pytest.raises(ValueError, match=r"`n_samples` is 0; it must be at least 1"):
        counts.get_normalized_expression(n_samples=0)
    with pytest.raises(ValueError, match=r"`return_numpy` is False, but 3 draws"):
        counts.get_normalized_expression(n_samples=3, return_mean=False, return_numpy=False)
    with pytest.raises(ValueError, match=r"`correlation_type` is 'kendall'"):
        counts.get_feature_correlation_matrix(correlation_type="kendall")
    with pytest.raises(ValueError, match=r"a library size of 100.0 was given; likelihood 'normal' describes values"):
        trained("normal").get_normalized_expression(library_size=100.0)
    adata = curvi.datasets.synthetic(n_obs=30, n_vars=5)
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(adata, n_hidden=4)
    model.train(max_epochs=1, **QUIET)
    with pytest.raises(ValueError, match=r"`transform_batch` is 'a', but the model has no batch levels"):
        model.get_normalized_expression(transform_batch="a")
