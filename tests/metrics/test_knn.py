from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from numpy.testing import assert_array_equal
from sklearn.model_selection import LeaveOneGroupOut, PredefinedSplit, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from curvi.datasets import pbmc68k, synthetic
from curvi.manifolds import Euclidean, Sphere
from curvi.metrics import knn_accuracy, knn_predict
from curvi.metrics._knn import _stratified_folds


@pytest.fixture(scope="module")
def cells():
    """Cells of six patches of the sphere, three patients; enough noise for errors."""
    adata = synthetic(400, 5, shape="sphere", seed=2)
    rng = np.random.default_rng(0)
    noisy = adata.obsm["latent"] + 0.3 * rng.standard_normal((400, 3))
    adata.obsm["X_plane"] = noisy
    adata.obsm["X_sphere"] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    adata.uns["curvi"] = {"X_sphere": {"manifold": Sphere(2).config()}}
    return adata


def scikit_learn(cells, rep, k, folds, **arguments):
    classifier = KNeighborsClassifier(k, **arguments)
    return cross_val_predict(classifier, cells.obsm[rep], cells.obs["cell_type"].astype(str), cv=folds)


@pytest.mark.parametrize("k", [1, 5, 15, 65])
@pytest.mark.parametrize(("rep", "sklearn_metric"), [("X_plane", "euclidean"), ("X_sphere", "cosine")])
def test_predictions_are_scikit_learns(cells, rep, sklearn_metric, k):
    ours = knn_predict(cells, rep, "cell_type", k, n_splits=4, seed=3)
    folds = PredefinedSplit(_stratified_folds(cells.obs["cell_type"].cat.codes.to_numpy(), 4, 3))
    theirs = scikit_learn(cells, rep, k, folds, metric=sklearn_metric)
    assert_array_equal(ours.predicted.astype(str), theirs)
    assert ours.accuracy == np.mean(theirs == cells.obs["cell_type"])
    assert 0.3 < ours.accuracy < 0.98


def test_nearness_is_the_manifolds_own(cells, taxicab):
    adata = cells.copy()
    adata.obsm["X_plane"] = adata.obsm["X_plane"][:, :2] * [1.0, 3.0]
    folds = PredefinedSplit(_stratified_folds(cells.obs["cell_type"].cat.codes.to_numpy(), 5, 0))
    ours, straight = (
        knn_predict(adata, "X_plane", "cell_type", 5, manifold=taxicab, metric=metric).predicted.astype(str)
        for metric in ("geodesic", "euclidean")
    )
    assert_array_equal(ours, scikit_learn(adata, "X_plane", 5, folds, metric="manhattan"))
    assert_array_equal(straight, scikit_learn(adata, "X_plane", 5, folds, metric="euclidean"))
    assert (ours != straight).any()


@pytest.mark.parametrize("holdout_key", ["patient", "location"])
def test_holdout_is_leave_one_group_out(cells, holdout_key):
    ours = knn_predict(cells, "X_sphere", "cell_type", 9, holdout_key=holdout_key)
    folds = list(LeaveOneGroupOut().split(cells.obsm["X_sphere"], groups=cells.obs[holdout_key]))
    assert_array_equal(ours.predicted.astype(str), scikit_learn(cells, "X_sphere", 9, folds))


def test_holdout_looks_at_other_categories_only():
    # Each cell's nearest is of its own patient; the label of the others' nearest is the other one.
    adata = AnnData(obsm={"X_rep": np.array([[0.0], [0.1], [1.0], [1.1]])})
    adata.obs["patient"] = ["p", "q", "p", "q"]
    adata.obs["label"] = pd.Categorical(["a", "b", "b", "a"])
    assert knn_accuracy(adata, "X_rep", "label", 1, holdout_key="patient") == 0
    adata.obs["label"] = pd.Categorical(["a", "a", "b", "b"])
    assert knn_accuracy(adata, "X_rep", "label", 1, holdout_key="patient") == 1


def test_a_label_of_the_left_out_patient_alone_counts_as_wrong():
    adata = AnnData(obsm={"X_rep": np.array([[0.0], [0.1], [5.0], [0.2]])})
    adata.obs["patient"] = ["p", "q", "q", "p"]
    adata.obs["label"] = ["a", "a", "b", "a"]
    prediction = knn_predict(adata, "X_rep", "label", 1, holdout_key="patient")
    assert prediction.accuracy == 0.75
    assert prediction.recall()["recall"].to_dict() == {"a": 1.0, "b": 0.0}


def test_recall_counts_every_label(cells):
    prediction = knn_predict(cells, "X_plane", "cell_type", 15)
    recall = prediction.recall()
    assert_array_equal(recall.index, cells.obs["cell_type"].cat.categories)
    assert recall["n_cells"].sum() == 400
    assert (recall["recall"] * recall["n_cells"]).sum() / 400 == pytest.approx(prediction.accuracy)
    table = pd.crosstab(prediction.truth, prediction.predicted)
    assert_array_equal(recall["recall"], np.diag(table) / table.sum(axis=1))
    assert_array_equal(prediction.truth.index, cells.obs_names)


def test_a_tie_goes_to_the_first_category():
    adata = AnnData(obsm={"X_rep": np.array([[0.0], [1.0], [-1.1]])})
    adata.obs["label"] = pd.Categorical(["a", "a", "b"], categories=["b", "a"])
    # With both others as neighbours, cell 0 sees one vote for each label.
    prediction = knn_predict(adata, "X_rep", "label", 2, n_splits=3)
    assert prediction.predicted.iloc[0] == "b"


def test_a_seed_decides_the_folds(cells):
    one, same, other = (knn_predict(cells, "X_plane", "cell_type", seed=seed).predicted for seed in (0, 0, 1))
    assert one.equals(same)
    assert not one.equals(other)


def test_folds_are_stratified():
    codes = np.repeat([0, 1, 2], [50, 23, 4])
    fold = _stratified_folds(codes, 5, 0)
    table = pd.crosstab(codes, fold)
    assert (table.max(axis=1) - table.min(axis=1) <= 1).all()
    assert np.ptp(table.sum()) <= 1


def test_the_recorded_manifold_is_used(cells):
    adata = cells.copy()
    assert knn_accuracy(adata, "X_sphere", "cell_type") == knn_accuracy(
        adata, "X_sphere", "cell_type", manifold=Sphere(2)
    )
    adata.obsm["X_sphere"] *= 2
    with pytest.raises(ValueError, match=r"`adata.obsm\['X_sphere'\]` does not lie on Sphere\(dim=2\)"):
        knn_accuracy(adata, "X_sphere", "cell_type")
    # An explicit choice comes before the record, and so do straight lines.
    by_hand = knn_accuracy(adata, "X_sphere", "cell_type", manifold=Euclidean(3))
    assert by_hand == knn_accuracy(adata, "X_sphere", "cell_type", metric="euclidean")


def test_the_record_survives_a_file(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    back = sc.read_h5ad(tmp_path / "cells.h5ad")
    assert knn_accuracy(back, "X_sphere", "cell_type") == knn_accuracy(cells, "X_sphere", "cell_type")
    backed = sc.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    assert knn_accuracy(backed, "X_sphere", "cell_type") == knn_accuracy(cells, "X_sphere", "cell_type")


def test_points_on_a_hyperboloid_need_their_manifold(cells):
    adata = cells.copy()
    tangent = adata.obsm["X_plane"][:, :2]
    height = np.sqrt(0.5 + (tangent**2).sum(axis=1, keepdims=True))
    adata.obsm["X_hyperboloid"] = np.hstack([height, tangent]).astype(np.float32)
    with pytest.raises(ValueError, match="satisfy the equation of a hyperboloid"):
        knn_accuracy(adata, "X_hyperboloid", "cell_type")
    assert knn_accuracy(adata, "X_hyperboloid", "cell_type", metric="euclidean") > 0.3


@pytest.mark.parametrize("subset", ["view", "unused categories", "integers", "booleans"])
def test_kinds_of_labels(cells, subset):
    adata = cells.copy()
    if subset == "view":
        adata = adata[adata.obs["cell_type"] != "type1"]
        assert adata.is_view
    elif subset == "unused categories":
        adata.obs["cell_type"] = adata.obs["cell_type"].cat.add_categories("nobody")
    elif subset == "integers":
        adata.obs["cell_type"] = adata.obs["cell_type"].cat.codes.astype(int)
    else:
        adata.obs["cell_type"] = adata.obs["cell_type"] == "type1"
    labels = adata.obs["cell_type"]
    prediction = knn_predict(adata, "X_plane", "cell_type")
    assert prediction.accuracy > 0.6
    assert set(prediction.recall().index) == set(labels.unique())


def test_the_packaged_cells_give_the_known_figures():
    adata = pbmc68k()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=50)
    accuracy = {
        k: np.mean([knn_accuracy(adata, "X_pca", "cell_type", k, seed=s) for s in range(3)]) for k in (5, 15, 65)
    }
    assert accuracy == pytest.approx({5: 0.797, 15: 0.800, 65: 0.744}, abs=0.015)
    sklearn = cross_val_score(KNeighborsClassifier(15), adata.obsm["X_pca"], adata.obs["cell_type"], cv=5)
    assert accuracy[15] == pytest.approx(sklearn.mean(), abs=0.02)
    recall = knn_predict(adata, "X_pca", "cell_type").recall()
    assert (recall.loc[recall["n_cells"] >= 40, "recall"] > 0.3).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"use_rep": "X_none"}, "`use_rep` is 'X_none', but `adata.obsm` has 'latent', 'X_plane', 'X_sphere'"),
        ({"label_key": "nothing"}, "`label_key` is 'nothing', but `adata.obs` has 'cell_type'"),
        ({"label_key": "holes"}, r"`adata.obs\['holes'\]` \(`label_key`\) has no value in 7 cells"),
        ({"label_key": "one"}, r"`adata.obs\['one'\]` \(`label_key`\) has 1 category, 'x'; at least two"),
        ({"label_key": "longitude"}, r"`adata.obs\['longitude'\]` \(`label_key`\) has another value in every cell"),
        ({"holdout_key": "nothing"}, "`holdout_key` is 'nothing'"),
        ({"holdout_key": "one"}, "`holdout_key`.*at least two"),
        ({"k": 0}, "`k` is 0; it must lie between 1 and 320"),
        ({"k": 321}, "`k` is 321; it must lie between 1 and 320"),
        ({"k": 201, "holdout_key": "location"}, "`k` is 201; it must lie between 1 and 200"),
        ({"n_splits": 1}, "`n_splits` is 1; it must lie between 2 and the number of cells, 400"),
        ({"n_splits": 401}, "`n_splits` is 401"),
        ({"metric": "cosine"}, "unknown metric 'cosine'; the known metrics are 'geodesic', 'euclidean'"),
        ({"manifold": Sphere(3)}, r"does not lie on Sphere\(dim=3\)"),
        ({"use_rep": "X_hole"}, r"`adata.obsm\['X_hole'\]` is NaN or infinite in 2 cells"),
    ],
)
def test_bad_input(cells, arguments, message):
    adata = cells.copy()
    adata.obs["holes"] = adata.obs["cell_type"].where(np.arange(400) >= 7)
    adata.obs["one"] = pd.Categorical(["x"] * 400, categories=["x", "y"])
    if arguments.get("use_rep") == "X_hole":
        adata.obsm["X_hole"] = adata.obsm["X_plane"].copy()
        adata.obsm["X_hole"][:2, 1] = np.nan
    with pytest.raises(ValueError, match=message):
        knn_accuracy(**{"adata": adata, "use_rep": "X_plane", "label_key": "cell_type", **arguments})
