"""Cells in two dimensions of any latent space."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.text import Annotation

import curvi
from curvi.manifolds import Euclidean, Lorentz, Poincare, Product, Sphere
from curvi.pl._dimensions import dimensions

CURVED = [Sphere(9), Sphere(2, 0.25), Lorentz(4), Poincare(3, 2.0), Product([Sphere(2), Lorentz(2), Euclidean(1)])]


def _drawn(ax):
    return np.asarray(ax.collections[0].get_offsets())


def _sorted(points):
    return points[np.lexsort(np.round(points, 6).T)]


def _on(cells, manifold, rng):
    tangent = 0.4 * rng.normal(size=(cells.n_obs, manifold.dim))
    cells.obsm["X_curvi"] = manifold.double().exp0(torch.from_numpy(tangent)).detach().numpy()
    cells.uns["curvi"] = {"X_curvi": {"manifold": manifold.config()}}
    return tangent


def test_flat_dimensions_are_the_coordinates(cells, rng):
    tangent = _on(cells, Euclidean(4), rng)
    ax = curvi.pl.latent(cells, dims=(3, 1), show=False)
    np.testing.assert_allclose(_sorted(_drawn(ax)), _sorted(tangent[:, [3, 1]]), atol=1e-6)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z3", "z1")
    ax.figure.draw_without_rendering()
    (x0, y0), (x1, y1) = ax.transData.transform([(0, 0), (1, 1)])
    assert x1 - x0 == pytest.approx(y1 - y0)


@pytest.mark.parametrize("manifold", CURVED, ids=str)
def test_curved_ones_are_what_explore_calls_activations(cells, rng, manifold):
    _on(cells, manifold, rng)
    ax = curvi.pl.latent(cells, dims=(2, 0) if manifold.dim > 2 else (1, 0), base=("cell_type", "rim"), show=False)
    table = curvi.explore.activations(cells, base=("cell_type", "rim"))
    columns = [ax.get_xlabel().split()[0], ax.get_ylabel().split()[0]]
    np.testing.assert_allclose(_sorted(_drawn(ax)), _sorted(table[columns].to_numpy()), atol=1e-6)
    assert ax.get_xlabel().endswith(" around rim")


@pytest.mark.parametrize("manifold", CURVED, ids=str)
def test_by_default_they_are_around_the_mean(cells, rng, manifold):
    _on(cells, manifold, rng)
    ax = curvi.pl.latent(cells, show=False)
    # The tangent vectors at a Frechet mean sum to 0.
    np.testing.assert_allclose(_drawn(ax).mean(axis=0), 0, atol=1e-4)
    assert ax.get_xlabel() == "z0 around the mean"


def test_the_distance_from_the_base_is_the_angle(cells):
    manifold = Sphere(2)
    ax = curvi.pl.latent(cells, base=[0.0, 0.0, 1.0], manifold=manifold, show=False)
    angles = np.arccos(cells.obsm["X_curvi"][:, 2].clip(-1, 1))
    np.testing.assert_allclose(np.sort(np.linalg.norm(_drawn(ax), axis=1)), np.sort(angles), atol=1e-3)


def test_columns_that_nothing_is_known_of_are_flat(cells, rng):
    cells.obsm["X_pca"] = rng.normal(size=(120, 3))
    ax = curvi.pl.latent(cells, "X_pca", dims=(1, 2), show=False)
    np.testing.assert_allclose(_sorted(_drawn(ax)), _sorted(cells.obsm["X_pca"][:, 1:]))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("pca 1", "pca 2")


def test_colours_labels_axes_and_files(cells, rng, tmp_path):
    _on(cells, Sphere(4), rng)
    ax = curvi.pl.latent(cells, color="cell_type", show=False)
    found = {artist.get_text(): artist.xy for artist in ax.texts if isinstance(artist, Annotation)}
    assert set(found) == {"front", "back", "rim"}
    centres = curvi.explore.prototypes(cells, "cell_type")
    expected = curvi.explore.points(cells, list(centres.points)).points
    seen = dimensions(cells, "X_curvi", None, None).of(expected)
    for name, xy in zip(centres.groups, seen[:, :2], strict=True):
        np.testing.assert_allclose(found[name], xy, atol=1e-6)
    _, axes = plt.subplots(1, 2)
    both = curvi.pl.latent(cells, color=["cell_type", "A"], ax=axes, title=["kinds", "gene"], show=False)
    assert [ax.get_title() for ax in both] == ["kinds", "gene"]
    curvi.pl.latent(cells, color="A", save=tmp_path / "latent.png")
    assert (tmp_path / "latent.png").stat().st_size > 5_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"basis": "X_umap"}, "`basis` is 'X_umap', but `adata.obsm` has"),
        ({"dims": (0, 2)}, r"`dims` is \(0, 2\); the dimensions of Sphere\(dim=2\) are numbered from 0 to 1"),
        ({"dims": (0,)}, "expected two dimensions"),
        ({"base": "nobody"}, "`base` is 'nobody', which is no cell"),
        ({"manifold": Lorentz(2)}, "does not lie on Lorentz"),
        ({"basis": "circle", "manifold": Sphere(1)}, "a line; two dimensions are needed"),
        ({"basis": "poles"}, "no Frechet mean to look from; pass `base=`"),
        ({"basis": "nan"}, "NaN or infinite in 1 cells"),
        ({"labels": "somewhere"}, "`labels` is 'somewhere'"),
    ],
)
def test_unusable_arguments_are_sentences(cells, arguments, sentence):
    cells.obsm["circle"] = np.tile([[1.0, 0.0]], (120, 1))
    cells.obsm["poles"] = np.array([[1.0, 0, 0], [-1, 0, 0]] * 60)
    cells.obsm["nan"] = np.where(np.arange(120)[:, None] == 3, np.nan, np.ones((120, 3)))
    with pytest.raises(ValueError, match=sentence):
        curvi.pl.latent(cells, **({"manifold": Sphere(2)} | arguments))
    assert plt.get_fignums() == []
