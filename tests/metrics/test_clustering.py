from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from curvi.datasets import pbmc68k
from curvi.manifolds import Sphere
from curvi.metrics import clustering


@pytest.fixture(scope="module")
def cells():
    adata = pbmc68k()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=50)
    return adata


def test_it_is_what_scanpy_gives_by_hand(cells):
    table = clustering(cells, "X_pca", "cell_type", [0.3, 1.0], seed=5)
    by_hand = cells.copy()
    sc.pp.neighbors(by_hand, use_rep="X_pca")
    for resolution in (0.3, 1.0):
        sc.tl.leiden(by_hand, resolution, flavor="igraph", n_iterations=2, directed=False, random_state=5)
        found = by_hand.obs["leiden"]
        row = table.loc[resolution]
        assert row["n_clusters"] == found.nunique()
        assert row["ari"] == pytest.approx(adjusted_rand_score(by_hand.obs["cell_type"], found))
        assert row["nmi"] == pytest.approx(normalized_mutual_info_score(by_hand.obs["cell_type"], found))


def test_the_packaged_cells_give_the_known_figure(cells):
    assert clustering(cells, "X_pca", "cell_type").loc[1.0, "ari"] == pytest.approx(0.51, abs=0.03)


def test_separate_groups_are_found_on_the_sphere():
    rng = np.random.default_rng(0)
    points = np.repeat(np.eye(4), 50, axis=0) + 0.05 * rng.standard_normal((200, 4))
    adata = AnnData(obsm={"X_rep": points / np.linalg.norm(points, axis=1, keepdims=True)})
    adata.obs["group"] = np.repeat(list("abcd"), 50)
    adata.obs["shuffled"] = rng.permutation(adata.obs["group"])
    table = clustering(adata, "X_rep", "group", [0.1], manifold=Sphere(3))
    assert table.loc[0.1].to_dict() == {"n_clusters": 4, "ari": 1.0, "nmi": pytest.approx(1.0)}
    assert abs(clustering(adata, "X_rep", "shuffled", [0.1], manifold=Sphere(3)).loc[0.1, "ari"]) < 0.03


def test_the_cells_are_left_as_they_were(cells):
    before = cells.copy()
    clustering(cells, "X_pca", "cell_type", [1.0])
    assert cells.obs.equals(before.obs)
    assert cells.uns.keys() == before.uns.keys()
    assert list(cells.obsp) == []
    np.testing.assert_array_equal(cells.obsm["X_pca"], before.obsm["X_pca"])


def test_repeatable(cells):
    assert clustering(cells, "X_pca", "cell_type").equals(clustering(cells, "X_pca", "cell_type"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"use_rep": "X_none"}, "`use_rep` is 'X_none'"),
        ({"label_key": "nothing"}, "`label_key` is 'nothing'"),
        ({"resolutions": []}, r"`resolutions` is \[\]"),
        ({"resolutions": [1.0, 0.0]}, r"`resolutions` is \[1.0, 0.0\]; expected one number above 0"),
        ({"n_neighbors": 1}, "`n_neighbors` is 1; it must lie between 2 and 699 with 700 cells"),
        ({"n_neighbors": 700}, "`n_neighbors` is 700"),
        ({"metric": "cosine"}, "unknown metric 'cosine'"),
        ({"manifold": Sphere(49)}, "does not lie on Sphere"),
    ],
)
def test_bad_input(cells, arguments, message):
    with pytest.raises(ValueError, match=message):
        clustering(**{"adata": cells, "use_rep": "X_pca", "label_key": "cell_type", **arguments})
