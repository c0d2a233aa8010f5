"""Differential expression: of genes that are known to differ, in every latent space, over any level."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
import scvi

import curvi

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": None}
UP = 5


def cells(n=400, genes=30):
    """Two types, of which the second has five genes four times as high; two patients and three sites shift others."""
    rng = np.random.default_rng(0)
    kind, patient, site = rng.integers(2, size=n), rng.integers(2, size=n), rng.integers(3, size=n)
    rate = np.tile(rng.gamma(2.0, 2.0, genes) + 1, (n, 1))
    rate[:, :UP] *= np.where(kind == 1, 4.0, 1.0)[:, None]
    rate[:, 10:15] *= np.where(patient == 1, 3.0, 1.0)[:, None]
    rate[:, 20:25] *= (1 + site)[:, None]
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical(np.array(["a", "b"])[kind]),
            "patient": pd.Categorical(np.array(["p0", "p1"])[patient]),
            "site": pd.Categorical(np.array(["s0", "s1", "s2"])[site]),
        },
        index=[f"cell{i}" for i in range(n)],
    )
    var = pd.DataFrame(index=[f"gene{i}" for i in range(genes)])
    return anndata.AnnData(rng.poisson(rate).astype(np.float32), obs=obs, var=var)


def trained(latent="normal", n_latent=2):
    adata = cells()
    curvi.CurviVAE.setup_anndata(adata, batch_key=["patient", "site"])
    scvi.settings.seed = 0
    several = isinstance(latent, list)
    model = curvi.CurviVAE(
        adata, latent=latent, n_latent=None if several else n_latent, likelihood="poisson", n_hidden=32
    )
    model.train(max_epochs=60, plan_kwargs={"lr": 5e-3}, **QUIET)
    return model


@pytest.fixture(scope="module")
def model():
    return trained()


def compared(model, **kwargs):
    return model.differential_expression(groupby="kind", group1="b", group2="a", silent=True, **kwargs)


TRUE = {f"gene{i}" for i in range(UP)}


@pytest.mark.parametrize("latent", ["vmf", "lorentz", [("vmf", 1), ("normal", 1)]])
@pytest.mark.parametrize("weights", ["uniform", "importance"])
def test_genes_that_differ_come_first_in_every_latent_space(latent, weights):
    options = {"max_cells": 20, "n_mc_samples": 20, "n_mc_samples_per_pass": 20}
    table = compared(
        trained(latent),
        weights=weights,
        batch_correction=["patient", "site"],
        n_samples_overall=1200,
        importance_weighting_kwargs=options if weights == "importance" else None,
    )
    assert set(table.index[:UP]) == TRUE
    # Four times as high, of cells whose total is 1.5 times as high: 1.4, less what the posteriors shrink.
    assert table.loc[sorted(TRUE), "lfc_mean"].between(0.7, 1.8).all()
    # Uniform draws are as wide as the cells differ; weighted ones are of what the group has in common.
    if weights == "importance":
        assert table["is_de_fdr_0.05"].loc[sorted(TRUE)].all()


@pytest.mark.parametrize("correction", [False, True, "site", ["patient", "site"]])
def test_batches_are_corrected_over_any_level(model, correction):
    table = compared(model, batch_correction=correction, n_samples_overall=1200)
    assert set(table.index[:UP]) == TRUE
    assert len(table) == 30
    assert {"proba_de", "scale1", "scale2", "raw_mean1", "raw_normalized_mean2", "comparison"} <= set(table.columns)
    x = model.adata.X[(model.adata.obs["kind"] == "b").to_numpy()]
    np.testing.assert_allclose(table["raw_mean1"].loc[model.adata.var_names], x.mean(0), rtol=1e-5)
    share = (x / x.sum(1, keepdims=True)).mean(0)
    np.testing.assert_allclose(table["raw_normalized_mean1"].loc[model.adata.var_names], 1e4 * share, rtol=1e-5)


def test_groups_that_differ_by_batch_alone_are_told_apart_by_the_correction(model):
    patient, columns = (model.adata.obs["patient"] == "p1").to_numpy(), list(model.adata.obs.columns)
    plain = model.differential_expression(idx1=patient, silent=True, n_samples_overall=1200)
    corrected = model.differential_expression(
        idx1=patient, silent=True, batch_correction="patient", n_samples_overall=1200
    )
    shifted = [f"gene{i}" for i in range(10, 15)]
    assert plain.loc[shifted, "proba_de"].min() > 0.9
    assert corrected.loc[shifted, "proba_de"].max() < 0.5
    # The same cells by a query, and nothing is left behind.
    again = model.differential_expression(idx1="patient == 'p1'", silent=True, n_samples_overall=1200)
    assert set(again.index[:UP]) == set(plain.index[:UP])
    assert list(model.adata.obs.columns) == columns


def test_each_group_under_batches_of_its_own(model):
    table = compared(model, batch_correction=True, batchid1=["p0"], batchid2=["p1"], n_samples_overall=1200)
    shifted = [f"gene{i}" for i in range(10, 15)]
    assert table.loc[shifted, "lfc_mean"].max() < -0.8
    by_level = compared(
        model, batch_correction="site", batchid1=[{"site": "s0"}], batchid2=[{"site": "s2"}], n_samples_overall=1200
    )
    assert by_level.loc[[f"gene{i}" for i in range(20, 25)], "lfc_mean"].max() < -0.8


def test_outliers_are_found_around_the_mean_on_the_manifold():
    model = trained("vmf")
    inner = model._tangent_coordinates(model.adata, np.arange(50))
    assert inner.shape == (50, 2)
    points = model.get_latent_representation(indices=np.arange(50))
    assert np.linalg.norm(inner, axis=1).max() < np.pi
    # Around the Frechet mean, tangent coordinates have the mean 0, and their lengths are distances.
    np.testing.assert_allclose(inner.mean(0), 0, atol=1e-5)
    assert points.shape == (50, 3)
    table = compared(model, filter_outlier_cells=True, n_samples_overall=500)
    assert set(table.index[:UP]) == TRUE


def test_truncation_cuts_the_largest_weights_only(model, monkeypatch):
    drawn = []
    choose = np.random.choice

    def seen(a, size=None, replace=True, p=None):
        if p is not None:
            drawn.append(np.asarray(p))
        return choose(a, size, replace, p)

    monkeypatch.setattr(np.random, "choice", seen)
    for truncation in (False, True):
        scvi.settings.seed = 0
        options = {"max_cells": 10, "n_mc_samples": 20, "n_mc_samples_per_pass": 20, "truncation": truncation}
        compared(model, weights="importance", n_samples_overall=400, importance_weighting_kwargs=options)
    plain, cut = drawn[0], drawn[2]
    np.testing.assert_allclose([plain.sum(), cut.sum()], 1, rtol=1e-6)
    # The mean of weights that sum to 1, times the root of their number.
    bound = 1 / np.sqrt(len(plain))
    assert plain.max() > bound
    expected = np.minimum(plain, bound)
    np.testing.assert_allclose(cut, expected / expected.sum(), rtol=1e-4, atol=1e-12)


def test_vanilla_mode_ranks_by_the_sign_of_the_difference(model):
    table = compared(model, mode="vanilla", batch_correction=True, n_samples_overall=1200)
    assert set(table.index[:UP]) == TRUE
    assert table["proba_m1"].loc[sorted(TRUE)].min() > 0.95


def test_what_cannot_be_compared_is_refused(model):
    with pytest.raises(ValueError, match="neither `groupby` nor `idx1` was given"):
        model.differential_expression()
    with pytest.raises(ValueError, match="`weights` is 'other'; expected 'uniform' or 'importance'"):
        compared(model, weights="other")
    with pytest.raises(ValueError, match="given without `batch_correction`"):
        compared(model, batchid1=["p0"])
    with pytest.raises(ValueError, match="`transform_batch` names 'country'"):
        compared(model, batch_correction="country")
