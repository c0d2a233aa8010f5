"""Curved and mixed latent spaces in the whole model: training, saving, evidence, neighbours."""

from __future__ import annotations

import re

import anndata
import numpy as np
import pytest
import scanpy as sc
import torch

import curvi
from curvi.manifolds import from_config

LEARNED = {"learn_curvature": True}
CASES = {
    "hyperbolic": {"latent": "lorentz", "n_latent": 2, "latent_kwargs": LEARNED},
    "ball": {"latent": "poincare", "n_latent": 3, "latent_kwargs": {"curvature": 2.0}},
    # Batch normalisation would undo what the size of a single globe does.
    "globe of its own size": {"latent": "vmf", "n_latent": 2, "latent_kwargs": LEARNED, "normalization": "none"},
    "mixture": {"latent": [("vmf", 2, LEARNED), ("lorentz", 2, LEARNED), ("normal", 4)]},
    "torus": {"latent": [("vmf", 1), ("vmf", 1)]},
}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def model(request, cells, quiet) -> curvi.CurviVAE:
    curvi.CurviVAE.setup_anndata(cells, batch_key=["patient", "condition"])
    model = curvi.CurviVAE(cells, **request.param)
    model.train(max_epochs=2, plan_kwargs={"lr": 0.02}, **quiet)
    return model


def curvatures(model: curvi.CurviVAE) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.module.state_dict().items() if "curvature" in name}


def test_learned_curvatures_move_and_are_restored(model, tmp_path):
    learned = [p for name, p in model.module.named_parameters() if "curvature" in name]
    start = torch.tensor(np.log(np.expm1(1.0)), dtype=torch.float32)
    assert all(abs(parameter.item() - start) > 1e-3 for parameter in learned)
    model.save(str(tmp_path / "model"), save_anndata=True)
    loaded = curvi.CurviVAE.load(str(tmp_path / "model"))
    assert curvatures(loaded).keys() == curvatures(model).keys()
    assert all(torch.equal(value, curvatures(loaded)[name]) for name, value in curvatures(model).items())
    np.testing.assert_array_equal(loaded.get_latent_representation(), model.get_latent_representation())


def test_embedding_and_record_survive_a_file(model, tmp_path):
    adata = model.adata
    model.embed()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    back = anndata.read_h5ad(tmp_path / "cells.h5ad")
    manifold = from_config(back.uns["curvi"]["X_curvi"]["manifold"]).double()
    points = torch.from_numpy(back.obsm["X_curvi"]).double()
    inside, reason = manifold.contains(points, atol=1e-5)
    assert inside, reason
    expected = model.manifold.double().dist(points[0], points[1:])
    torch.testing.assert_close(manifold.dist(points[0], points[1:]), expected, rtol=1e-9, atol=0)


def test_neighbours_are_those_of_the_manifold(model):
    model.embed()
    sc.pp.neighbors(model.adata, use_rep="X_curvi", n_neighbors=5, transformer=model.knn_transformer(5))
    points = torch.from_numpy(model.adata.obsm["X_curvi"]).double()
    distance = model.manifold.double().dist(points[:1], points)
    nearest = np.argsort(distance.detach().numpy(), kind="stable")[1:5]
    assert set(model.adata.obsp["distances"][0].indices) >= set(nearest)


def test_evidence(model):
    elbo = model.get_elbo(return_mean=False)
    likelihood = model.get_marginal_ll(n_mc_samples=50, return_mean=False)
    assert elbo.shape == likelihood.shape == (model.adata.n_obs,)
    assert np.isfinite(elbo).all()
    # Fifty draws bound the likelihood more tightly than one.
    assert likelihood.mean() > elbo.mean()


def test_every_parameter_is_used(model):
    # Several processes that train together wait for the gradient of each of them.
    module = model.module.train()
    module.zero_grad()
    _, _, output = module(next(iter(model._make_data_loader(model.adata, batch_size=64))))
    output.loss.backward()
    assert [name for name, parameter in module.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latent": []}, "`parts` is empty; a product needs at least one latent space"),
        ({"latent": ["vmf", "normal"]}, "`latent` has the part 'vmf'; expected a name and a dimension"),
        ({"latent": [("vmf",)]}, "`latent` has the part ('vmf',); expected a name and a dimension"),
        ({"latent": [("vmf", 2), ("klein", 2)]}, "unknown latent 'klein'; the known names are 'delta'"),
        ({"latent": [("vmf", 0)]}, "`n_latent` is 0; the latent space 'vmf' needs a dimension of at least 1"),
        ({"latent": [("vmf", 2)], "n_latent": 2}, "`n_latent` was given, but `latent` is a list"),
        ({"latent": [("vmf", 2)], "latent_kwargs": LEARNED}, "`latent_kwargs` was given, but `latent` is a list"),
        ({"latent": "normal", "latent_kwargs": LEARNED}, "'normal' does not take 'learn_curvature'"),
        ({"latent": "lorentz", "latent_kwargs": {"curvature": -1.0}}, "`curvature` is -1.0; it must be a positive"),
    ],
)
def test_bad_latent_spaces(cells, arguments, message):
    curvi.CurviVAE.setup_anndata(cells)
    with pytest.raises(ValueError, match=re.escape(message)):
        curvi.CurviVAE(cells, **arguments)


@pytest.mark.parametrize("preset", ["scphere", "hyperbolic"])
def test_presets(cells, quiet, preset):
    curvi.CurviVAE.setup_anndata(cells, batch_key=["patient", "condition"])
    model = curvi.CurviVAE(cells, **getattr(curvi.presets, preset))
    model.train(max_epochs=1, **quiet)
    inside, reason = model.manifold.contains(torch.from_numpy(model.get_latent_representation()))
    assert inside, reason
