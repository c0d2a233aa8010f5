"""Data with new batch categories, learned by a trained model of which nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest
import scvi
import torch

import curvi

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": None}
LEVELS = {"patient": 4, "disease": 3, "site": 2}
LATENTS = ["vmf", "lorentz", "normal", [("vmf", 1), ("normal", 1)]]


def parts(n=240):
    """Cells of the first categories of two levels, and cells of which some have new ones."""
    adata = curvi.datasets.synthetic(n_obs=n, n_vars=15, levels=LEVELS, seed=3)
    names = {level: sorted(adata.obs[level].unique().tolist()) for level in LEVELS}
    known = adata.obs["patient"].isin(names["patient"][:3]) & adata.obs["disease"].isin(names["disease"][:2])
    cut = [adata[mask.to_numpy()].copy() for mask in (known, ~known)]
    for part in cut:
        for level in LEVELS:
            part.obs[level] = part.obs[level].astype(str)
    return cut


def trained(reference, latent="vmf", **kwargs):
    curvi.CurviVAE.setup_anndata(reference, batch_key=list(LEVELS))
    scvi.settings.seed = 0
    several = isinstance(latent, list)
    model = curvi.CurviVAE(reference, latent=latent, n_latent=None if several else 2, n_hidden=16, **kwargs)
    model.train(max_epochs=3, batch_size=64, **QUIET)
    return model


def said(model, adata):
    """What a model says of cells, the noise of its draws fixed."""
    scvi.settings.seed = 1
    return {
        "embedding": model.get_latent_representation(adata),
        "means": model.get_normalized_expression(adata, library_size="latent", return_numpy=True),
        "elbo": model.get_elbo(adata, return_mean=False),
    }


@pytest.mark.parametrize("latent", LATENTS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encode_covariates": True, "dispersion": "gene-batch", "dispersion_level": "disease"},
        {"deeply_inject_covariates": False, "normalization": "layer"},
    ],
)
def test_nothing_of_the_reference_moves_at_all(latent, options):
    reference, query = parts()
    model = trained(reference, latent, **options)
    before = said(model, reference)
    with_query = curvi.CurviVAE.load_query_data(query, model)
    new = {level: with_query._levels.categories[level][len(model._levels.categories[level]) :] for level in LEVELS}
    assert {level: len(found) for level, found in new.items()} == {"patient": 1, "disease": 1, "site": 0}
    for when in ("before the training", "after it"):
        after = said(with_query, reference.copy())
        for what, values in before.items():
            np.testing.assert_array_equal(after[what], values, err_msg=f"{what} {when}")
        if when == "before the training":
            start = with_query.get_elbo(query)
            with_query.train(max_epochs=20, batch_size=64, plan_kwargs={"lr": 1e-2, "weight_decay": 0.1}, **QUIET)
            assert with_query.get_elbo(query) > start + 0.1
    # The reference model was not touched.
    for what, values in said(model, reference).items():
        np.testing.assert_array_equal(values, before[what])


def test_new_rows_start_at_the_mean_and_alone_are_moved():
    reference, query = parts()
    model = trained(reference)
    with_query = curvi.CurviVAE.load_query_data(query, model)
    known, start = model.get_batch_representation("disease"), with_query.get_batch_representation("disease")
    np.testing.assert_array_equal(start.iloc[:2], known)
    np.testing.assert_allclose(start.iloc[2], known.mean(), rtol=1e-5, atol=1e-7)
    assert start.index.name == "disease"
    with_query.train(max_epochs=3, **QUIET)
    moved = with_query.get_batch_representation("disease")
    np.testing.assert_array_equal(moved.iloc[:2], known)
    assert np.abs(moved.iloc[2] - start.iloc[2]).max() > 1e-4
    np.testing.assert_array_equal(with_query.get_batch_representation("site"), model.get_batch_representation("site"))
    with pytest.raises(ValueError, match="`level` is 'country'; the batch levels of the model are 'patient'"):
        model.get_batch_representation("country")


def test_from_a_folder_and_saved_again(tmp_path):
    reference, query = parts()
    model = trained(reference, encode_covariates=True)
    model.save(tmp_path / "reference")
    ours, theirs = (curvi.CurviVAE.load_query_data(query.copy(), source) for source in (model, tmp_path / "reference"))
    for name, value in ours.module.state_dict().items():
        assert torch.equal(value, theirs.module.state_dict()[name])
    theirs.train(max_epochs=2, **QUIET)
    theirs.save(tmp_path / "query")
    loaded = curvi.CurviVAE.load(str(tmp_path / "query"), query.copy())
    np.testing.assert_array_equal(loaded.get_latent_representation(), theirs.get_latent_representation())
    # A second query on top of the first.
    again = curvi.CurviVAE.load_query_data(query.copy(), theirs, unfrozen=True)
    again.train(max_epochs=1, **QUIET)


def test_unfrozen_everything_moves():
    reference, query = parts()
    model = trained(reference)
    with_query = curvi.CurviVAE.load_query_data(query, model, unfrozen=True)
    before = said(model, reference)
    with_query.train(max_epochs=2, **QUIET)
    assert np.abs(said(with_query, reference.copy())["embedding"] - before["embedding"]).max() > 1e-4


def test_dropout_can_be_held():
    reference, query = parts()
    model = trained(reference, dropout_rate=0.5)
    for freeze in (False, True):
        with_query = curvi.CurviVAE.load_query_data(query.copy(), model, freeze_dropout=freeze)
        with_query.module.train()
        states = {part.training for part in with_query.module.modules() if isinstance(part, torch.nn.Dropout)}
        assert states == {not freeze}


def test_genes_are_cut_and_filled():
    reference, query = parts()
    model = trained(reference)
    shuffled = query[:, ::-1].copy()
    with pytest.raises(ValueError, match=r"not those of the model in its order"):
        curvi.CurviVAE.load_query_data(shuffled.copy(), model)
    ordered = curvi.CurviVAE.load_query_data(shuffled.copy(), model, inplace_subset_query_vars=True)
    straight = curvi.CurviVAE.load_query_data(query.copy(), model)
    np.testing.assert_array_equal(ordered.get_latent_representation(), straight.get_latent_representation())
    fewer = query[:, 2:].copy()
    with pytest.raises(ValueError, match=r"lacks 2 of the 15 genes"):
        curvi.CurviVAE.load_query_data(fewer.copy(), model)
    curvi.CurviVAE.prepare_query_anndata(fewer, model)
    assert list(fewer.var_names) == list(reference.var_names)
    assert float(np.abs(fewer[:, :2].X).sum()) == 0


def test_without_a_new_category_there_is_nothing_to_train():
    reference, _ = parts()
    model = trained(reference)
    with pytest.warns(UserWarning, match="there is nothing to train"):
        same = curvi.CurviVAE.load_query_data(reference.copy(), model)
    np.testing.assert_array_equal(same.get_latent_representation(), model.get_latent_representation())


def test_categories_of_another_kind_are_refused():
    reference, query = parts()
    model = trained(reference)
    query.obs["site"] = query.obs["site"].astype("category").cat.codes.astype(int)
    with pytest.raises(ValueError, match=r"categories of batch level 'site' are not of one kind"):
        curvi.CurviVAE.load_query_data(query, model)
