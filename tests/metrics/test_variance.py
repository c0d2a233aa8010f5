"""The share of the Frechet variance between categories, on every manifold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from curvi.manifolds import Euclidean, Lorentz, Poincare, Product, Sphere
from curvi.metrics import variance_explained

MANIFOLDS = [Euclidean(2), Sphere(1), Sphere(3), Lorentz(2), Poincare(2), Product([Sphere(1), Lorentz(1)])]


def cloud(manifold, n, seed=0, spread=0.4, shift=None):
    rng = np.random.default_rng(seed)
    v = torch.from_numpy(rng.normal(0, spread, (n, manifold.dim)))
    if shift is not None:
        v[:, 0] += torch.from_numpy(shift)
    return manifold.exp0(v).numpy()


@pytest.mark.parametrize("manifold", MANIFOLDS, ids=str)
def test_against_the_means_of_the_manifold(manifold):
    labels = np.random.default_rng(1).integers(3, size=150)
    x = cloud(manifold, 150, shift=0.4 * labels)
    rows = torch.from_numpy(x)

    def squares(part):
        return float(manifold.dist(part, manifold.mean(part)).square().sum())

    expected = 1 - sum(squares(rows[labels == k]) for k in range(3)) / squares(rows)
    assert variance_explained(x, labels, manifold, n_shuffles=0) == pytest.approx(expected, abs=1e-4)
    assert 0.1 < variance_explained(x, labels, manifold) < expected


@pytest.mark.parametrize("manifold", MANIFOLDS, ids=str)
def test_random_categories_have_none_however_many(manifold):
    x = cloud(manifold, 150, spread=0.8)
    for n_categories in (2, 15):
        found = [
            variance_explained(
                x, np.random.default_rng(i).integers(n_categories, size=150), manifold, n_shuffles=6, seed=i
            )
            for i in range(6)
        ]
        assert abs(np.mean(found)) < 4 * np.std(found, ddof=1) / np.sqrt(6) + 5e-3
        assert abs(np.mean(found)) < 0.04
    assert variance_explained(x, np.arange(150) % 15, manifold, n_shuffles=0) > 0.05


def test_in_flat_space_it_is_the_adjusted_r_squared():
    rng = np.random.default_rng(2)
    labels = rng.integers(5, size=200)
    x = rng.normal(size=(200, 3)) + 0.5 * labels[:, None]
    means = np.stack([x[labels == k].mean(0) for k in range(5)])
    plain = 1 - np.square(x - means[labels]).sum() / np.square(x - x.mean(0)).sum()
    assert variance_explained(x, labels, n_shuffles=0) == pytest.approx(plain)
    adjusted = 1 - (1 - plain) * 199 / 195
    assert variance_explained(x, labels, n_shuffles=200) == pytest.approx(adjusted, abs=5e-3)


def test_one_for_points_that_are_their_categories():
    x = Sphere(2).exp0(torch.eye(2).double()).numpy()[[0, 0, 1, 1]]
    assert variance_explained(x, ["a", "a", "b", "b"], Sphere(2)) == pytest.approx(1)


def test_composition_alone_counts_for_nothing_within_labels():
    rng = np.random.default_rng(3)
    kind = rng.integers(2, size=400)
    # The batches differ in how many cells of each type they have, and in nothing else.
    batch = (rng.random(400) < np.where(kind == 1, 0.85, 0.15)).astype(int)
    x = cloud(Sphere(2), 400, spread=0.2, shift=1.2 * kind)
    assert variance_explained(x, batch, Sphere(2)) > 0.3
    assert abs(variance_explained(x, batch, Sphere(2), within=kind)) < 0.02
    # A label of one category is left out.
    only = np.where(np.arange(400) < 10, 5, kind)
    found = variance_explained(x, np.where(only == 5, 0, batch), Sphere(2), within=only, n_shuffles=0)
    rest = only != 5
    assert found == pytest.approx(
        variance_explained(x[rest], batch[rest], Sphere(2), within=kind[rest], n_shuffles=0), abs=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["a"] * 6}, "`labels` has one category"),
        ({"labels": ["a", "b"]}, "`labels` has 2 values; expected one a point, 6"),
        ({"labels": [None, *"abcab"]}, "`labels` has 1 missing values"),
        ({"labels": list("ababab"), "within": list("xyxyxy")}, "no label of `within` has points of two categories"),
        ({"labels": list("abcdef")}, "there is no variance to explain"),
        ({"labels": list("ababab"), "n_shuffles": -1}, "`n_shuffles` is -1"),
        ({"labels": list("ababab"), "manifold": Sphere(1)}, "does not lie on"),
        ({"labels": list("ababab"), "X": np.ones(6)}, r"`X` has shape \(6,\)"),
        ({"labels": list("ababab"), "X": np.full((6, 2), np.nan)}, "NaN or infinite"),
        ({"labels": list("ababab"), "X": cloud(Lorentz(2), 6)}, "the equation of a hyperboloid; pass `manifold=`"),
    ],
)
def test_what_it_refuses(arguments, message):
    x = np.random.default_rng(0).normal(size=(6, 2))
    with pytest.raises(ValueError, match=message):
        variance_explained(**({"X": x} | arguments))
