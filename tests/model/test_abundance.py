"""Aggregated posteriors and differential abundance."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
import scvi
import torch
from packaging.version import Version
from torch.distributions import Categorical, MixtureSameFamily

import curvi
from curvi.latent import LatentSpace
from curvi.model import abundance_log_ratio

SPACES = {name: {"latent": name, "n_latent": 2} for name in LatentSpace.names() if name != "delta"} | {
    "lorentz, learned": {"latent": "lorentz", "latent_kwargs": {"learn_curvature": True}},
    "product": {"latent": [("vmf", 2), ("lorentz", 2), ("normal", 2)]},
    "torus": {"latent": [("vmf", 1), ("vmf", 1)]},
}


@pytest.fixture(params=SPACES)
def model(request, cells, quiet) -> curvi.CurviVAE:
    scvi.settings.seed = 0
    curvi.CurviVAE.setup_anndata(cells, batch_key="patient")
    model = curvi.CurviVAE(cells, n_hidden=16, **SPACES[request.param])
    model.train(max_epochs=3, **quiet)
    return model


def _one_by_one(model: curvi.CurviVAE, points: torch.Tensor) -> np.ndarray:
    """The log-density of each point under the posterior of each cell, by the posteriors of minibatches."""
    with torch.no_grad():
        parts = [
            model.module.inference(**model.module._get_inference_input(tensors))["qz"].log_prob(points[:, None])
            for tensors in model._make_data_loader(model.adata, batch_size=50)
        ]
    return torch.cat(parts, 1).double().numpy()


def _log_mean(values: np.ndarray) -> np.ndarray:
    return np.logaddexp.reduce(values, axis=1) - np.log(values.shape[1])


def test_the_aggregated_posterior_is_the_mixture_of_the_posteriors(model):
    rows = np.array([3, 200, 17, 5, 99])
    density = model.get_aggregated_posterior(indices=rows)
    assert density.n_components == 5
    points = torch.from_numpy(model.get_latent_representation())
    expected = _log_mean(_one_by_one(model, points)[:, rows])
    np.testing.assert_allclose(density.log_prob(points), expected, rtol=1e-3, atol=1e-3)
    torchs = MixtureSameFamily(Categorical(torch.ones(5)), density.components, validate_args=False)
    torch.testing.assert_close(density.log_prob(points), torchs.log_prob(points), rtol=1e-3, atol=1e-3)
    inside, reason = model.manifold.contains(density.sample((50,)))
    assert inside, reason
    mask = np.zeros(240, bool)
    mask[rows] = True
    np.testing.assert_allclose(
        model.get_aggregated_posterior(indices=mask).log_prob(points), density.log_prob(points), rtol=1e-4, atol=1e-4
    )


def test_the_table_is_each_samples_density_at_each_cell(model):
    each = _one_by_one(model, torch.from_numpy(model.get_latent_representation()))
    sample = model.adata.obs["condition"].to_numpy()
    for leave_out_self in (True, False):
        table = model.differential_abundance(sample_key="condition", leave_out_self=leave_out_self)
        assert list(table.columns) == ["ctrl", "stim"]
        assert list(table.index) == list(model.adata.obs_names)
        pd.testing.assert_frame_equal(model.adata.obsm["da_log_probs"], table)
        seen = each.copy()
        if leave_out_self:
            np.fill_diagonal(seen, -np.inf)
        for name in table:
            among = (sample == name).sum() - (leave_out_self & (sample == name))
            expected = np.logaddexp.reduce(seen[:, sample == name], axis=1) - np.log(among)
            np.testing.assert_allclose(table[name], expected, rtol=1e-3, atol=2e-3)


def test_for_a_gaussian_it_is_the_table_of_scvi_tools(cells, quiet):
    scvi.settings.seed = 0
    curvi.CurviVAE.setup_anndata(cells, batch_key="patient")
    model = curvi.CurviVAE(cells, latent="normal", n_latent=3)
    model.train(max_epochs=3, **quiet)
    table = model.differential_abundance(sample_key="patient", leave_out_self=False)
    parameters = model.get_latent_representation(return_dist=True)

    # The host's posteriors come with their variance, which up to 1.4 it takes for their scale.
    spread = parameters["scale"] if Version(scvi.__version__) < Version("1.5") else parameters["scale"] ** 2

    class Theirs(scvi.model.base.VAEMixin):
        """The method of the host with this model's posteriors."""

        device = torch.device("cpu")
        _validate_anndata = staticmethod(lambda adata: adata)
        _check_if_trained = staticmethod(lambda warn: None)
        _make_data_loader = staticmethod(lambda adata, indices=slice(None), batch_size=None: indices)

        def get_latent_representation(self, dataloader, return_dist=False, **_):
            rows = dataloader
            return (parameters["loc"][rows], spread[rows]) if return_dist else parameters["loc"]

    Theirs().differential_abundance(cells, sample_key="patient")
    theirs = cells.obsm["da_log_probs"][table.columns]
    np.testing.assert_allclose(table, theirs, rtol=1e-4, atol=1e-4)


def test_leaving_a_cell_out_of_its_sample_removes_what_it_says_of_itself(trained, make_cells):
    adata = make_cells()
    rng = np.random.default_rng(0)
    own, without = [], []
    for _ in range(30):
        # Samples drawn by lot, all of one size: none has more of anything.
        adata.obs["lot"] = pd.Categorical(rng.permutation(np.arange(240) % 4)).rename_categories(list("abcd"))
        groups = {"a": "x", "b": "x", "c": "y", "d": "y"}
        sign = np.where(adata.obs["lot"].isin(["a", "b"]), 1, -1)
        for leave_out_self, found in ((False, own), (True, without)):
            table = trained.differential_abundance(adata, sample_key="lot", leave_out_self=leave_out_self)
            found.append(float((sign * abundance_log_ratio(table, groups, "x", "y")).mean()))
    noise = np.std(without) / 30**0.5
    assert abs(np.mean(without)) < 4 * noise
    assert np.mean(own) > 8 * noise


def test_a_sample_without_a_kind_of_cell_is_less_dense_there(trained, make_cells):
    adata = make_cells()
    kind = adata.obs["cell_type"].to_numpy()
    rng = np.random.default_rng(0)
    half = rng.random(240) < 0.5
    adata.obs["sample"] = pd.Categorical(np.where(half & (kind != "type0"), "without", "all"))
    table = trained.differential_abundance(adata, sample_key="sample")
    ratio = abundance_log_ratio(table, {"without": "without", "all": "all"}, "all")
    assert ratio.name == "log_ratio"
    assert ratio[kind == "type0"].min() > 1
    # Of the other kinds a larger share of the cells is left in the other sample.
    assert ratio[kind != "type0"].median() < -0.1


def test_fewer_cells_a_sample_describe_the_same_density(trained):
    whole = trained.differential_abundance(sample_key="patient")
    scvi.settings.seed = 1
    part = trained.differential_abundance(sample_key="patient", num_cells_posterior=60, key_added="part")
    assert part.shape == whole.shape
    assert not np.allclose(part, whole)
    assert np.median(np.abs(part - whole)) < 0.5
    scvi.settings.seed = 1
    again = trained.differential_abundance(sample_key="patient", num_cells_posterior=60, batch_size=7)
    np.testing.assert_allclose(part, again, atol=1e-3)
    assert {"part", "da_log_probs"} <= set(trained.adata.obsm)


def test_batches_that_were_not_seen_are_compared_where_the_encoder_is_blind(trained, make_cells):
    new = make_cells(60, seed=5)
    new.obs["patient"] = pd.Categorical(["p8", "p9"] * 30)
    with pytest.warns(UserWarning, match="not seen in training"):
        table = trained.differential_abundance(new, sample_key="patient")
    assert list(table.columns) == ["p8", "p9"]
    assert np.isfinite(table.to_numpy()).all()


@pytest.mark.parametrize("latent", ["vmf", "lorentz"])
def test_minified_data_say_the_same(cells, quiet, latent):
    curvi.CurviVAE.setup_anndata(cells, batch_key="patient")
    model = curvi.CurviVAE(cells, latent=latent, n_hidden=16)
    model.train(max_epochs=1, **quiet)
    before = model.differential_abundance(sample_key="condition")
    model.minify_adata()
    np.testing.assert_allclose(model.differential_abundance(sample_key="condition"), before, rtol=1e-4, atol=1e-4)


def test_the_table_can_be_written_whatever_the_samples_are_called(trained, make_cells, tmp_path):
    adata = make_cells(60)
    adata.obs["number"] = np.arange(60) % 3
    table = trained.differential_abundance(adata, sample_key="number")
    assert list(table.columns) == [0, 1, 2]
    adata.write_h5ad(tmp_path / "cells.h5ad")
    read = anndata.read_h5ad(tmp_path / "cells.h5ad").obsm["da_log_probs"]
    np.testing.assert_allclose(read[["0", "1", "2"]], table)
    assert abundance_log_ratio(table, {0: "a", 1: "b", 2: "b"}, "a").shape == (60,)


def test_it_grows_to_many_cells_in_bounded_memory(trained, make_cells):
    density = trained.get_aggregated_posterior(make_cells(500))
    points = torch.from_numpy(trained.get_latent_representation()).double().repeat(20, 1)
    assert density.log_prob(points).shape == (4800,)


def test_a_log_ratio_weighs_samples_alike_and_can_leave_out_ones_own():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(6, 4)), columns=list("abcd"), index=list("uvwxyz"))
    groups = pd.Series({"a": "x", "b": "x", "c": "y", "d": "z"})
    p = np.exp(table.to_numpy())
    expected = np.log(p[:, :2].mean(1) / p[:, 2:].mean(1))
    np.testing.assert_allclose(abundance_log_ratio(table, groups, "x"), expected)
    np.testing.assert_allclose(abundance_log_ratio(table, groups, "x", "y"), np.log(p[:, :2].mean(1) / p[:, 2]))
    own = list("abcdab")
    found = abundance_log_ratio(table, {"a": 1, "b": 1, "c": 2, "d": 2}, 1, 2, samples=own)
    first = np.log(p[0, 1] / p[0, 2:].mean())
    third = np.log(p[2, :2].mean() / p[2, 3])
    np.testing.assert_allclose(found.iloc[[0, 2]], [first, third])


def test_what_cannot_be_compared_is_said(trained, make_cells, cells, quiet):
    adata = make_cells()
    with pytest.raises(ValueError, match="`sample_key` was not given"):
        trained.differential_abundance()
    with pytest.raises(KeyError, match="not a column"):
        trained.differential_abundance(adata, sample_key="donor")
    with pytest.raises(ValueError, match="at least 2 with leave_out_self=True"):
        trained.differential_abundance(adata, sample_key="patient", num_cells_posterior=1)
    adata.obs["one"] = ["alone"] + ["others"] * 239
    with pytest.raises(ValueError, match="sample 'alone' .* has one cell"):
        trained.differential_abundance(adata, sample_key="one")
    assert trained.differential_abundance(adata, sample_key="one", leave_out_self=False).shape == (240, 2)
    adata.obs.loc["cell3", "one"] = None
    with pytest.raises(ValueError, match="1 missing values"):
        trained.differential_abundance(adata, sample_key="one")
    with pytest.raises(ValueError, match="names no cells"):
        trained.get_aggregated_posterior(indices=[])
    curvi.CurviVAE.setup_anndata(cells)
    points = curvi.CurviVAE(cells, latent="delta")
    points.train(max_epochs=1, **quiet)
    with pytest.raises(ValueError, match="latent='delta' are points, which have no density"):
        points.differential_abundance(sample_key="patient")

    table = pd.DataFrame(np.zeros((2, 2)), columns=["a", "b"])
    with pytest.raises(ValueError, match="no group for sample 'b'"):
        abundance_log_ratio(table, {"a": 1}, 1)
    with pytest.raises(ValueError, match="`group1` is 3, of which there is no sample; the groups are 1, 2"):
        abundance_log_ratio(table, {"a": 1, "b": 2}, 3)
    with pytest.raises(ValueError, match="`group2` is None, of which there is no sample"):
        abundance_log_ratio(table, {"a": 1, "b": 1}, 1)
    with pytest.raises(ValueError, match="nothing is left of its group"):
        abundance_log_ratio(table, {"a": 1, "b": 2}, 1, samples=["a", "b"])
    with pytest.raises(ValueError, match="`samples` must have the sample of each cell"):
        abundance_log_ratio(table, {"a": 1, "b": 2}, 1, samples=["a", "c"])
