from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from anndata import concat
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

import curvi
from curvi.metrics import reconstruction_confusion

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": None, "check_val_every_n_epoch": None}


class Recorder(ClassifierMixin, BaseEstimator):
    """A nearest-neighbour classifier that writes down what it was trained on and what it was asked about."""

    fits: list = []
    asked: list = []

    def fit(self, x, y, sample_weight=None):
        Recorder.fits.append((x.copy(), y.copy(), sample_weight))
        self.inner_ = KNeighborsClassifier(1).fit(x, y)
        return self

    def predict(self, x):
        Recorder.asked.append(x.copy())
        return self.inner_.predict(x)


@pytest.fixture
def recorder():
    Recorder.fits, Recorder.asked = [], []
    return Recorder()


@pytest.fixture(scope="module")
def adata():
    """Three digits, of which the last is rare, with the page that each was cut from."""
    full = curvi.datasets.digits()
    rng = np.random.default_rng(0)
    label = full.obs["label"].astype(str).to_numpy()
    keep = np.isin(label, ["0", "1", "7"]) & ~((label == "7") & (rng.random(full.n_obs) < 0.75))
    adata = full[keep].copy()
    adata.obs["page"] = pd.Categorical([f"{split}{i % 5}" for i, split in enumerate(adata.obs["split"])])
    adata.obs["ink"] = pd.Categorical(np.array(["blue", "black"])[np.arange(adata.n_obs) % 2])
    return adata


@pytest.fixture(scope="module")
def model(adata):
    train = adata[adata.obs["split"] == "train"].copy()
    curvi.model.set_seed(0)
    curvi.CurviVAE.setup_anndata(train, batch_key="ink")
    model = curvi.CurviVAE(train, latent="vmf", n_latent=5, likelihood="bernoulli", n_hidden=64, dropout_rate=0.0)
    model.train(max_epochs=60, train_size=1.0, batch_size=64, **QUIET)
    return model


def halves(adata):
    split = adata.obs["split"]
    return adata.X[split == "train"], adata.X[split == "test"]


def test_a_trained_model_keeps_what_makes_digits_different(model, adata):
    found = reconstruction_confusion(model, adata, "label", group_key="page", n_samples=40)
    scores = found.scores()
    assert list(scores.index) == ["originals", "reconstructions", "samples"]
    assert scores["n"].tolist() == [len(halves(adata)[1])] * 2 + [120]
    assert (found.samples.sum(axis=1) == 40).all()
    assert (scores["balanced_accuracy"] > 0.85).all()
    assert found.n_seen == 0
    expected = adata.obs.query("split == 'train'")["label"].value_counts()
    assert found.n_train.to_dict() == {name: expected[name] for name in ("0", "1", "7")}


def test_matrices_count_the_predictions_of_each_held_out_picture(model, adata, recorder):
    found = reconstruction_confusion(model, adata, "label", classifier=recorder, balance=None)
    test = adata[adata.obs["split"] == "test"]
    assert list(found.held_out.index) == list(test.obs_names)
    assert list(found.held_out["truth"]) == list(test.obs["label"])
    for name, column in {"originals": "original", "reconstructions": "reconstruction"}.items():
        counted = pd.crosstab(found.held_out["truth"], found.held_out[column], dropna=False)
        np.testing.assert_array_equal(getattr(found, name), counted)


@pytest.mark.parametrize("balance", ["weights", "duplicates", None])
def test_no_held_out_picture_is_ever_learned_from(model, adata, recorder, balance):
    reconstruction_confusion(model, adata, "label", classifier=recorder, balance=balance, n_samples=5)
    train, test = halves(adata)
    ((x, _, _),) = Recorder.fits
    learned = {row.tobytes() for row in x}
    assert learned == {row.tobytes() for row in train}
    assert not learned & {row.tobytes() for row in test}
    np.testing.assert_array_equal(Recorder.asked[0], test)


def test_classes_weigh_the_same_in_training(model, adata, recorder):
    codes = adata.obs["label"].cat.remove_unused_categories().cat.codes[adata.obs["split"] == "train"].to_numpy()
    size = np.bincount(codes)
    reconstruction_confusion(model, adata, "label", classifier=recorder, n_samples=5)
    reconstruction_confusion(model, adata, "label", classifier=recorder, balance="duplicates", n_samples=5)
    (_, y, weight), (x, repeated, _) = Recorder.fits
    np.testing.assert_allclose(np.bincount(y, weight), np.full(3, len(y) / 3))
    np.testing.assert_array_equal(np.bincount(repeated), np.full(3, size.max()))
    # Every picture of the rare class is repeated, about equally often.
    _, times = np.unique(x[repeated == 2], axis=0, return_counts=True)
    assert len(times) == size[2]
    assert times.max() - times.min() <= 1


def test_data_that_were_balanced_before_they_were_split_are_refused(model, adata):
    rare = adata[adata.obs["label"] == "7"].copy()
    rare.obs_names = [f"{name}-again" for name in rare.obs_names]
    doubled = concat([adata, rare], uns_merge="first")
    rng = np.random.default_rng(0)
    doubled.obs["split"] = np.where(rng.random(doubled.n_obs) < 0.2, "test", "train")
    pictures = pd.Series([row.tobytes() for row in doubled.X])
    test = (doubled.obs["split"] == "test").to_numpy()
    leaked = int(pictures[test].isin(pictures[~test]).sum())
    assert leaked > 0
    with pytest.raises(ValueError, match=re.escape(f"{leaked} of {test.sum()} rows of `test` are the same pictures")):
        reconstruction_confusion(model, doubled, "label", classifier=LogisticRegression())
    # Copies that stay on the side of training leak nothing.
    doubled.obs["split"] = [*adata.obs["split"], *rare.obs["split"]]
    only_train = doubled[(doubled.obs["split"] == "train") | ~doubled.obs_names.str.endswith("again")].copy()
    found = reconstruction_confusion(
        model, only_train, "label", classifier=LogisticRegression(max_iter=500), n_samples=5
    )
    assert found.originals.to_numpy().sum() == len(halves(adata)[1])


def test_pictures_that_the_model_has_seen_are_reported(adata):
    curvi.CurviVAE.setup_anndata(both := adata.copy())
    seen = curvi.CurviVAE(both, latent="vmf", n_latent=2, likelihood="bernoulli", n_hidden=8)
    seen.train(max_epochs=1, train_size=1.0, **QUIET)
    n = len(halves(adata)[1])
    with pytest.warns(UserWarning, match=f"trained on {n} of the {n} pictures"):
        found = reconstruction_confusion(seen, adata, "label", classifier=KNeighborsClassifier(1), balance=None)
    assert found.n_seen == n


def test_a_classifier_of_the_embedding(model, adata, recorder):
    placed = adata.copy()
    model.embed(placed)
    found = reconstruction_confusion(model, placed, "label", use_rep="X_curvi", classifier=recorder, n_samples=30)
    assert (found.scores()["accuracy"] > 0.7).all()
    assert all(x.shape[1] == 6 for x in Recorder.asked)
    # What was decoded is on the sphere again.
    np.testing.assert_allclose(np.linalg.norm(Recorder.asked[1], axis=1), 1, atol=1e-5)
    placed.obsm["X_curvi"] = placed.obsm["X_curvi"][::-1].copy()
    with pytest.raises(ValueError, match="is not the embedding of `model`"):
        reconstruction_confusion(model, placed, "label", use_rep="X_curvi")


def test_reconstructions_are_decoded_with_their_own_levels(model, adata, recorder):
    reconstruction_confusion(model, adata, "label", classifier=recorder, n_samples=5)
    test = adata[adata.obs["split"] == "test"].copy()
    z = model.get_latent_representation(test)
    np.testing.assert_allclose(Recorder.asked[1], model.decode(z, {"ink": test.obs["ink"].to_numpy()}), atol=1e-5)


def test_samples_depend_on_the_seed_alone(model, adata, recorder):
    for seed in (0, 0, 1):
        reconstruction_confusion(model, adata, "label", classifier=recorder, n_samples=20, seed=seed)
    first, again, other = Recorder.asked[2::3]
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.05
    # More samples than held-out sevens: each is drawn from more than once, every time anew.
    assert len(np.unique(first, axis=0)) == 60


def test_decoded_counts_have_the_totals_of_their_cells(recorder):
    cells = curvi.datasets.synthetic(n_obs=400, n_vars=30, levels={"patient": 2})
    cells.obs["split"] = np.where(np.arange(400) % 4, "train", "test")
    train = cells[cells.obs["split"] == "train"].copy()
    curvi.CurviVAE.setup_anndata(train, batch_key="patient")
    model = curvi.CurviVAE(train, latent="vmf", n_latent=2, n_hidden=8)
    model.train(max_epochs=1, **QUIET)
    reconstruction_confusion(model, cells, "cell_type", classifier=recorder, n_samples=20)
    originals, reconstructions, samples = Recorder.asked
    np.testing.assert_allclose(reconstructions.sum(axis=1), originals.sum(axis=1), rtol=1e-4)
    assert set(samples.sum(axis=1).round()) <= set(originals.sum(axis=1).round())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"label_key": "kind"}, "`label_key` is 'kind'"),
        ({"split_key": "side"}, "`split_key` is 'side'"),
        ({"test": "val"}, "`test` has 'val', which no row of 'split' has; it has 'test', 'train'"),
        ({"test": "train"}, "'train' is in both `train` and `test`"),
        ({"group_key": "ink"}, "2 groups of 'ink' (`group_key`) are on both sides"),
        ({"balance": "smote"}, "`balance` is 'smote'; expected one of 'weights', 'duplicates', None"),
        ({"n_samples": 0}, "`n_samples` is 0"),
        ({"use_rep": "X_pca"}, "`use_rep` is 'X_pca'"),
        ({"classifier": KNeighborsClassifier()}, "KNeighborsClassifier takes no weights; use balance='duplicates'"),
    ],
)
def test_errors_say_what_to_do(model, adata, change, sentence):
    arguments = {"label_key": "label", "classifier": LogisticRegression()} | change
    with pytest.raises(ValueError, match=re.escape(sentence)):
        reconstruction_confusion(model, adata, **arguments)


def test_a_class_that_one_side_lacks_is_named(model, adata):
    few = adata[~((adata.obs["label"] == "7") & (adata.obs["split"] == "test"))].copy()
    with pytest.raises(ValueError, match="no row of `test` has the class '7'"):
        reconstruction_confusion(model, few, "label")
