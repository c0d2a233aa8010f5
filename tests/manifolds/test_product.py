"""Products of manifolds."""

from __future__ import annotations

import anndata
import numpy as np
import pytest
import torch

from curvi.manifolds import Euclidean, Lorentz, Poincare, Product, Sphere, from_config


@pytest.fixture
def product() -> Product:
    return Product([Sphere(2, 0.5), Lorentz(3, learn_curvature=True), Euclidean(1)])


def test_points_lie_side_by_side(product):
    assert (product.dim, product.ambient_dim) == (6, 8)
    torch.manual_seed(0)
    v = torch.randn(4, 6, dtype=torch.float64)
    x = product.exp0(v)
    shares = product.split0(v)
    for part, points, share in zip(product.parts, product.split(x), shares, strict=True):
        assert torch.equal(points, part.exp0(share))
    assert torch.equal(product.origin, torch.tensor([1.0, 0, 0, 1, 0, 0, 0, 0]))


def test_squared_distances_and_volumes_add_up(product):
    torch.manual_seed(0)
    x, y = product.exp0(torch.randn(2, 5, 6, dtype=torch.float64))
    triples = list(zip(product.parts, product.split(x), product.split(y), strict=True))
    squares = sum(part.dist(a, b).square() for part, a, b in triples)
    torch.testing.assert_close(product.dist(x, y), squares.sqrt())
    volumes = sum(part.log_det_exp(a, part.log(a, b)) for part, a, b in triples)
    torch.testing.assert_close(product.log_det_exp(x, product.log(x, y)), volumes)


def test_the_mean_is_that_of_the_parts(product):
    torch.manual_seed(0)
    x, weights = product.exp0(torch.randn(30, 6, dtype=torch.float64)), torch.rand(30)
    means = [part.mean(points, weights) for part, points in zip(product.parts, product.split(x), strict=True)]
    assert torch.equal(product.mean(x, weights), torch.cat(means))


def test_learned_curvatures_of_parts_are_parameters_of_the_product(product):
    (raw,) = product.parameters()
    assert raw is product.parts[1]._curvature.raw
    x, y = product.exp0(torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0)))
    (gradient,) = torch.autograd.grad(product.dist(x, y).sum(), raw)
    assert float(gradient) != 0


def test_contains_says_which_part_fails(product):
    x = product.exp0(torch.randn(5, 6, generator=torch.Generator().manual_seed(0)))
    assert product.contains(x) == (True, "")
    x[3, 4] += 1
    inside, reason = product.contains(x)
    assert not inside
    assert reason.startswith("part 1, Lorentz(dim=3, learn_curvature=True): points must satisfy")


def test_a_product_is_made_of_manifolds():
    with pytest.raises(ValueError, match="`parts` is empty"):
        Product([])
    with pytest.raises(TypeError, match="'sphere'"):
        Product([Euclidean(1), "sphere"])


def test_its_configuration_survives_a_file_of_anndata(tmp_path):
    ten = [Product([Sphere(1), Poincare(2, 0.3)]), *(Euclidean(i) for i in range(1, 10)), Sphere(3), Lorentz(2, 1.7)]
    product = Product(ten).requires_grad_(False)
    adata = anndata.AnnData(np.zeros((2, 1), np.float32), uns={"curvi": {"X": {"manifold": product.config()}}})
    adata.write_h5ad(tmp_path / "x.h5ad")
    stored = anndata.read_h5ad(tmp_path / "x.h5ad").uns["curvi"]["X"]["manifold"]
    again = from_config(stored)
    assert again.config() == product.config()
    assert [part.dim for part in again.parts] == [3, *range(1, 10), 3, 2]
    x, y = product.exp0(torch.randn(2, 5, product.dim, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(again.dist(x, y), product.dist(x, y))
