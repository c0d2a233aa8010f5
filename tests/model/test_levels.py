"""What the batch levels of a model explain, and a prior that draws their categories together."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scvi
import torch

import curvi
from curvi.metrics import variance_explained
from curvi.nn import row_spread

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": None}
FAST = {"check_val_every_n_epoch": None, "train_size": 1.0, "batch_size": 64, **QUIET}
LATENTS = ["vmf", [("vmf", 1), ("lorentz", 1)]]


def made(adata, keys, latent="vmf", epochs=30, **kwargs):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "confounded batch levels")
        curvi.CurviVAE.setup_anndata(adata, batch_key=keys)
    scvi.settings.seed = 0
    options = {"n_hidden": 32, "n_layers": 1} | kwargs
    model = curvi.CurviVAE(adata, latent=latent, n_latent=None if isinstance(latent, list) else 2, **options)
    model.train(max_epochs=epochs, plan_kwargs={"lr": 1e-2}, **FAST)
    return model


@pytest.mark.parametrize("latent", LATENTS)
def test_a_correction_takes_what_a_level_explains(latent):
    adata = curvi.datasets.synthetic(300, 30, levels={"patient": 3, "site": 2}, batch_strength=0.7, seed=1)
    adata.obs["noise"] = np.random.default_rng(0).permutation(np.repeat(["a", "b", "c"], 100))
    # After a third of the epochs the latent space still knows the levels, more or less by the seed.
    model = made(adata, ["patient", "site", "noise"], latent, epochs=100)
    effects = model.get_level_effects(within="cell_type")
    assert effects.index.tolist() == ["patient", "site", "noise"]
    assert effects["n_categories"].tolist() == [3, 2, 3]
    for level in ("patient", "site"):
        row = effects.loc[level]
        assert row["decoded"] > 0.2
        assert row["decoded_unique"] > 0.2
        assert 0.02 < row["observed"] < row["decoded"]
        assert row["corrected"] < 0.2 * row["decoded"]
        assert row["latent"] < 1
    assert abs(effects.loc["noise", ["observed", "latent"]]).max() < 0.05
    assert effects.loc["noise", "shift"] < 0.7 * effects.loc[["patient", "site"], "shift"].min()
    x = model.get_latent_representation()
    expected = variance_explained(x, adata.obs["patient"], model.manifold, adata.obs["cell_type"])
    assert effects.loc["patient", "latent"] == pytest.approx(expected, abs=1e-3)


def test_shift_is_that_of_decoded_expression():
    adata = curvi.datasets.synthetic(150, 20, levels={"patient": 3}, seed=2)
    model = made(adata, "patient", "delta", epochs=3)
    decoded = np.stack(
        [
            np.log1p(1e4 * model.get_normalized_expression(transform_batch=name, return_numpy=True))
            for name in model._levels.categories["patient"]
        ]
    )
    pairs = [np.square(decoded[i] - decoded[j]).mean() for i in range(3) for j in range(3) if i != j]
    assert model.get_level_effects().loc["patient", "shift"] == pytest.approx(np.sqrt(np.mean(pairs)), rel=1e-4)


def test_nested_levels_and_subsets():
    adata = curvi.datasets.synthetic(300, 20, levels={"patient": 4}, seed=3)
    adata.obs["disease"] = adata.obs["patient"].isin(["patient1", "patient2"]).map({True: "ill", False: "well"})
    model = made(adata, ["disease", "patient"])
    effects = model.get_level_effects()
    unique = [name for name in effects if name.endswith("_unique")]
    np.testing.assert_allclose(effects.loc["disease", unique].astype(float), 0, atol=1e-6)
    assert effects.loc["disease", "decoded"] > 0.02
    assert (effects.loc["patient", ["decoded_unique", "observed_unique"]] > 0.02).all()
    rows = np.flatnonzero(adata.obs["disease"] == "ill")
    of_ill = model.get_level_effects(indices=rows)
    assert of_ill["n_categories"].tolist() == [1, 2]
    assert np.isnan(of_ill.loc["disease", ["observed", "latent", "corrected_unique"]].astype(float)).all()
    assert model.get_level_effects(n_cells=50, n_shuffles=0)["observed"].notna().all()
    given = model.get_level_effects(transform_batch={"patient": ["patient1", "patient3"], "disease": "ill"})
    assert given.loc["patient", "corrected"] < given.loc["patient", "decoded"]
    model.minify_adata()
    without = model.get_level_effects()
    observed = ["observed", "observed_unique"]
    assert without[observed].isna().all(axis=None)
    assert np.allclose(without.drop(columns=observed), effects.drop(columns=observed), atol=1e-4)


def test_what_effects_refuse():
    adata = curvi.datasets.synthetic(60, 10, levels={"patient": 2})
    model = made(adata, "patient", epochs=1)
    with pytest.raises(KeyError, match="`within` names 'kind'"):
        model.get_level_effects(within="kind")
    with pytest.raises(ValueError, match="`n_cells` is 0"):
        model.get_level_effects(n_cells=0)
    with pytest.raises(ValueError, match="the model has no batch levels"):
        made(adata, None, epochs=1).get_level_effects()


def few_cells(n=350, few=3):
    """Cells of which two patients have a few for training, and the others of these two."""
    adata = curvi.datasets.synthetic(n, 30, levels={"patient": 7}, batch_strength=0.1, seed=4)
    rare = [np.flatnonzero(adata.obs["patient"] == name) for name in ("patient1", "patient2")]
    held_out = np.zeros(n, dtype=bool)
    held_out[np.concatenate([rows[few:] for rows in rare])] = True
    return adata[~held_out].copy(), adata[held_out].copy()


def test_a_prior_draws_categories_together_and_helps_those_of_few_cells():
    train, test = few_cells()
    rare, spread, score = [], [], []
    for weight in (None, 10.0, 100.0):
        model = made(train, "patient", "normal", epochs=60, level_shrinkage=weight)
        rows = model.get_batch_representation("patient")
        length = (rows - rows.mean()).pow(2).sum(axis=1) ** 0.5
        rare.append(length.iloc[:2].mean())
        spread.append(length.iloc[2:].mean())
        scvi.settings.seed = 1
        score.append(model.get_marginal_ll(test.copy(), n_mc_samples=20))
    assert rare[0] > 1.5 * rare[1] > 2 * rare[2]
    assert spread[0] > 1.2 * spread[1] > 1.5 * spread[2]
    # Those of few cells are moved more.
    assert rare[1] / rare[0] < spread[1] / spread[0]
    assert score[1] > score[0] + 1


def test_the_prior_is_a_gaussian_and_each_cell_bears_its_part():
    adata = curvi.datasets.synthetic(80, 10, levels={"patient": 3, "site": 2})
    curvi.CurviVAE.setup_anndata(adata, batch_key=["patient", "site"])
    scvi.settings.seed = 0
    plain = curvi.CurviVAE(adata, encode_covariates=True)
    scvi.settings.seed = 0
    drawn = curvi.CurviVAE(adata, encode_covariates=True, level_shrinkage={"site": 3.0})
    tensors = next(iter(plain._make_data_loader(adata)))
    losses = []
    for model, n_obs in ((plain, 50), (drawn, None), (drawn, 50), (drawn, 100)):
        model.module.eval()
        torch.manual_seed(0)
        losses.append(model.module(tensors, loss_kwargs={"n_obs": n_obs})[2].loss.item())
    tables = [p for name, p in drawn.module.named_parameters() if name.endswith("tables.1")]
    assert len(tables) == 4
    squares = sum(float((t - t.mean(0)).square().sum().detach()) for t in tables)
    assert float(row_spread(drawn.module, 1).detach()) == pytest.approx(squares, rel=1e-5)
    # Without a prior, and outside of training, it is the present loss to the last bit.
    assert losses[0] == losses[1]
    assert losses[2] - losses[1] == pytest.approx(3 * squares / 2 / 50, rel=1e-3)
    assert losses[3] - losses[1] == pytest.approx(3 * squares / 2 / 100, rel=1e-3)


def test_the_prior_is_logged_saved_and_goes_on_with_a_query(tmp_path):
    adata = curvi.datasets.synthetic(240, 15, levels={"patient": 4}, seed=5)
    adata.obs["patient"] = adata.obs["patient"].astype(str)
    new = (adata.obs["patient"] == "patient4").to_numpy()
    model = made(adata[~new].copy(), "patient", epochs=3, level_shrinkage={"patient": 5.0})
    assert model.history["level_shrinkage_train"].iloc[-1].item() > 0
    model.save(tmp_path / "model")
    assert curvi.CurviVAE.load(str(tmp_path / "model"), adata[~new].copy()).module.level_shrinkage == (5.0,)
    moved = []
    for weight in (0.0, 5.0, 500.0):
        query = curvi.CurviVAE.load_query_data(adata[new].copy(), model)
        assert query.module.level_shrinkage == (5.0,)
        query.module.level_shrinkage = (weight,)
        scvi.settings.seed = 0
        query.train(max_epochs=10, plan_kwargs={"lr": 1e-2}, **FAST)
        rows = query.get_batch_representation()
        moved.append(float((rows.iloc[3] - rows.iloc[:3].mean()).pow(2).sum() ** 0.5))
        np.testing.assert_array_equal(rows.iloc[:3], model.get_batch_representation())
    assert moved[0] > moved[1] > 1.5 * moved[2]


@pytest.mark.parametrize(
    ("keys", "weight", "message"),
    [
        ("patient", {"disease": 1.0}, "`level_shrinkage` is .*; the batch levels are 'patient'"),
        (None, 1.0, "the batch levels are none"),
        ("patient", -1.0, "-1.0 for batch level 'patient'; expected 0"),
        ("patient", float("nan"), "nan for batch level 'patient'"),
        ("patient", {"patient": "much"}, "'much' for batch level 'patient'"),
    ],
)
def test_what_the_prior_refuses(keys, weight, message):
    adata = curvi.datasets.synthetic(20, 5, levels={"patient": 2})
    curvi.CurviVAE.setup_anndata(adata, batch_key=keys)
    with pytest.raises(ValueError, match=message):
        curvi.CurviVAE(adata, level_shrinkage=weight)


def test_a_precision_of_zero_is_none():
    adata = curvi.datasets.synthetic(20, 5, levels={"patient": 2})
    curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
    assert curvi.CurviVAE(adata, level_shrinkage={"patient": 0}).module.level_shrinkage == ()
