from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist

from curvi.datasets import synthetic
from curvi.datasets._shapes import SHAPES


@pytest.fixture(params=list(SHAPES))
def shape(request):
    return request.param


def test_counts_of_the_asked_shape(shape):
    adata = synthetic(90, 40, shape=shape)
    assert adata.shape == (90, 40)
    assert sparse.isspmatrix_csr(adata.X)
    assert adata.X.dtype == np.float32
    np.testing.assert_array_equal(adata.X.data, np.rint(adata.X.data))
    assert adata.X.data.min() >= 1


def test_a_seed_decides_everything(shape):
    one, same, other = (synthetic(50, 20, shape=shape, seed=seed) for seed in (4, 4, 5))
    assert (one.X != same.X).nnz == 0
    np.testing.assert_array_equal(one.obsm["latent"], same.obsm["latent"])
    assert one.obs.equals(same.obs)
    assert (one.X != other.X).nnz > 0


def test_batch_strength_leaves_the_geometry_alone(shape):
    weak, strong = (synthetic(50, 20, shape=shape, batch_strength=strength) for strength in (0.0, 2.0))
    np.testing.assert_array_equal(weak.obsm["latent"], strong.obsm["latent"])
    assert weak.obs.equals(strong.obs)
    assert (weak.varm["shift_patient"] == 0).all()
    assert (weak.X != strong.X).nnz > 0


def test_sphere():
    adata = synthetic(4000, 5, shape="sphere", n_types=8)
    points, obs = adata.obsm["latent"], adata.obs
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)
    again = np.stack(
        [
            np.cos(obs["latitude"]) * np.cos(obs["longitude"]),
            np.cos(obs["latitude"]) * np.sin(obs["longitude"]),
            np.sin(obs["latitude"]),
        ],
        axis=1,
    )
    np.testing.assert_allclose(again, points, atol=1e-12)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=4 / math.sqrt(3 * 4000))
    np.testing.assert_allclose(np.cov(points.T), np.eye(3) / 3, atol=0.03)
    share = obs["cell_type"].value_counts(normalize=True)
    assert len(share) == 8
    np.testing.assert_allclose(share, 1 / 8, rtol=0.3)


def test_circle():
    adata = synthetic(600, 5, shape="circle", n_types=4)
    angle = adata.obs["angle"].to_numpy()
    np.testing.assert_allclose(adata.obsm["latent"], np.stack([np.cos(angle), np.sin(angle)], axis=1))
    assert angle.min() >= 0
    assert angle.max() < 2 * np.pi
    np.testing.assert_array_equal(adata.obs["cell_type"].cat.codes, np.floor(angle / (np.pi / 2)))


def test_tree_distances_are_path_lengths():
    adata = synthetic(200, 5, shape="tree", n_types=7)
    branch, depth = adata.obs["branch"].to_numpy(), adata.obs["depth"].to_numpy()

    def ancestry(b):
        return [b] if b == 0 else [*ancestry((b - 1) // 2), b]

    def path(i, j):
        shared = [b for b in ancestry(branch[i]) if b in ancestry(branch[j])]
        if branch[i] in ancestry(branch[j]) or branch[j] in ancestry(branch[i]):
            return abs(depth[i] - depth[j])
        return depth[i] + depth[j] - 2 * len(shared)

    expected = np.array([[path(i, j) for j in range(40)] for i in range(40)])
    np.testing.assert_allclose(cdist(adata.obsm["latent"][:40], adata.obsm["latent"][:40], "cityblock"), expected)
    np.testing.assert_array_equal(adata.obs["cell_type"].cat.codes, branch)


def test_neighbours_in_the_latent_space_have_similar_means(shape):
    """The map is smooth: without batches the nearest of a cell resembles it more than a cell at random."""
    adata = synthetic(400, 100, shape=shape, levels={}, mean_library=1e5, inverse_dispersion=math.inf, n_types=3)
    log_mean = np.log1p(adata.X.toarray())
    log_mean -= log_mean.mean(axis=1, keepdims=True)
    distance = cdist(adata.obsm["latent"], adata.obsm["latent"])
    np.fill_diagonal(distance, np.inf)
    near = ((log_mean - log_mean[distance.argmin(axis=1)]) ** 2).mean()
    far = ((log_mean - np.roll(log_mean, 1, axis=0)) ** 2).mean()
    assert near < 0.2 * far


def test_levels_are_additive_shifts_of_the_log_mean():
    adata = synthetic(
        4000,
        10,
        levels={"donor": 2, "site": 3},
        signal_strength=0.0,
        batch_strength=0.7,
        mean_library=1e5,
        inverse_dispersion=math.inf,
    )
    assert adata.varm["shift_site"].shape == (10, 3)
    # Within the cells of a batch all means are alike; log ratios between batches are the differences of the shifts.
    share = adata.X.toarray() / adata.X.sum(axis=1).A1[:, None]
    means = {
        (i, j): np.log(
            share[(adata.obs["donor"] == f"donor{i + 1}") & (adata.obs["site"] == f"site{j + 1}")].mean(axis=0)
        )
        for i in range(2)
        for j in range(3)
    }
    for i, j in means:
        expected = (
            adata.varm["shift_donor"][:, i]
            - adata.varm["shift_donor"][:, 0]
            + adata.varm["shift_site"][:, j]
            - adata.varm["shift_site"][:, 0]
        )
        observed = means[i, j] - means[0, 0]
        np.testing.assert_allclose(observed - observed.mean(), expected - expected.mean(), atol=0.01)


def test_levels_are_balanced_and_unrelated():
    obs = synthetic(600, 5, levels={"donor": 3, "site": 2}).obs
    assert set(obs["donor"].value_counts()) == {200}
    assert set(obs["site"].value_counts()) == {300}
    table = obs.groupby(["donor", "site"], observed=False).size().to_numpy()
    np.testing.assert_allclose(table, 100, atol=30)
    assert list(synthetic(20, 5, levels={"donor": 12}).obs["donor"].cat.categories[-2:]) == ["donor11", "donor12"]
    assert list(synthetic(20, 5, levels={}).obs.columns) == ["cell_type", "library", "longitude", "latitude"]


@pytest.mark.parametrize(("inverse_dispersion", "overdispersed"), [(math.inf, False), (2.0, True)])
def test_variance(inverse_dispersion, overdispersed):
    adata = synthetic(
        4000, 20, signal_strength=0, levels={}, mean_library=1000, inverse_dispersion=inverse_dispersion, seed=3
    )
    counts = adata.X.toarray()
    library = adata.obs["library"].to_numpy()[:, None]
    rate = counts.sum(axis=0) / library.sum()
    mean = rate * library
    statistic = ((counts - mean) ** 2).sum() / (mean + mean**2 / inverse_dispersion).sum()
    assert statistic == pytest.approx(1, rel=0.06)
    assert (((counts - mean) ** 2).sum() / mean.sum() > 1.5) == overdispersed


def test_library():
    adata = synthetic(3000, 50, mean_library=700)
    assert adata.obs["library"].mean() == pytest.approx(700, rel=0.03)
    assert np.corrcoef(adata.X.sum(axis=1).A1, adata.obs["library"])[0, 1] > 0.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": "torus"}, "unknown shape 'torus'; the known shapes are 'sphere', 'circle', 'tree'"),
        ({"n_obs": 0}, "`n_obs` must be at least 1, got 0"),
        ({"n_types": 0}, "`n_types` must be at least 1"),
        ({"batch_strength": -0.1}, "`batch_strength` must be finite and at least 0"),
        ({"signal_strength": math.nan}, "`signal_strength` must be finite"),
        ({"mean_library": 0}, "`mean_library` must be finite and above 0"),
        ({"inverse_dispersion": 0}, "`inverse_dispersion` must be above 0"),
        ({"levels": {"cell_type": 2}}, "names 'cell_type', a column that is there already"),
        ({"levels": {"donor": 0}}, "level 'donor' has 0 categories"),
        ({"levels": {"donor": 11}, "n_obs": 10}, "level 'donor' has 11 categories; it takes 1 to n_obs = 10"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        synthetic(**{"n_obs": 20, "n_vars": 5, **arguments})
