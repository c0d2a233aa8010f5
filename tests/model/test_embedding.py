"""Embeddings: on the manifold, in the order asked for, the same however the data is stored, ready for scanpy."""

from __future__ import annotations

import anndata
import numpy as np
import pytest
import scanpy as sc
import scvi
import torch
from scipy import sparse

import curvi
from curvi.latent import LatentSpace


@pytest.mark.parametrize("latent", LatentSpace.names())
@pytest.mark.parametrize("n_latent", [1, 2, 5])
def test_every_latent_space_trains_and_embeds_on_its_manifold(cells, quiet, latent, n_latent):
    scvi.settings.seed = 0
    curvi.CurviVAE.setup_anndata(cells, batch_key=["patient", "condition"])
    model = curvi.CurviVAE(cells, latent=latent, n_latent=n_latent)
    model.train(max_epochs=3, **quiet)
    z = model.get_latent_representation()
    assert z.shape == (cells.n_obs, model.manifold.ambient_dim)
    on_it, reason = model.manifold.contains(torch.from_numpy(z))
    assert on_it, reason


def test_rows_come_in_the_order_asked_for(trained):
    whole = trained.get_latent_representation()
    rows = np.array([200, 3, 77, 3, 0])
    np.testing.assert_allclose(trained.get_latent_representation(indices=rows), whole[rows], atol=1e-6)
    mask = np.zeros(len(whole), dtype=bool)
    mask[[5, 9]] = True
    np.testing.assert_allclose(trained.get_latent_representation(indices=mask), whole[[5, 9]], atol=1e-6)


STORED = {
    "dense": lambda adata, path: with_x(adata, adata.X.toarray()),
    "integers": lambda adata, path: with_x(adata, adata.X.astype(np.int64)),
    "csc": lambda adata, path: with_x(adata, adata.X.tocsc()),
    "csr_array": lambda adata, path: with_x(adata, sparse.csr_array(adata.X)),
    "float64": lambda adata, path: with_x(adata, adata.X.astype(np.float64)),
    "view": lambda adata, path: anndata.concat([adata, adata])[: adata.n_obs],
    "backed": lambda adata, path: on_disk(adata, path),
    "backed_dense": lambda adata, path: on_disk(with_x(adata, adata.X.toarray()), path),
}


def with_x(adata: anndata.AnnData, x) -> anndata.AnnData:
    return anndata.AnnData(x, obs=adata.obs, var=adata.var)


def on_disk(adata: anndata.AnnData, path) -> anndata.AnnData:
    adata.write_h5ad(path / "cells.h5ad")
    return anndata.read_h5ad(path / "cells.h5ad", backed="r")


@pytest.mark.filterwarnings("ignore:Training will be faster when sparse matrix is formatted as CSR")
@pytest.mark.filterwarnings("ignore:Observation names are not unique")
@pytest.mark.parametrize("stored", STORED)
def test_embeddings_do_not_depend_on_how_the_data_is_stored(trained, tmp_path, stored, make_cells):
    rows = np.random.default_rng(0).permutation(240)
    expected = trained.get_latent_representation(make_cells(), indices=rows)
    adata = STORED[stored](make_cells(), tmp_path)
    np.testing.assert_array_equal(trained.get_latent_representation(adata, indices=rows), expected)


@pytest.mark.parametrize("stored", ["dense", "csr_array", "backed"])
def test_training_does_not_depend_on_how_the_data_is_stored(quiet, tmp_path, stored, make_cells):
    def embedding(adata: anndata.AnnData) -> np.ndarray:
        scvi.settings.seed = 1
        curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
        model = curvi.CurviVAE(adata)
        model.train(max_epochs=3, **quiet)
        return model.get_latent_representation()

    np.testing.assert_array_equal(embedding(STORED[stored](make_cells(), tmp_path)), embedding(make_cells()))


def test_a_layer_is_read_instead_of_x(cells, quiet, make_cells):
    def embedding(adata: anndata.AnnData, layer: str | None) -> np.ndarray:
        scvi.settings.seed = 1
        curvi.CurviVAE.setup_anndata(adata, layer=layer)
        model = curvi.CurviVAE(adata)
        model.train(max_epochs=3, **quiet)
        return model.get_latent_representation()

    expected = embedding(make_cells(), None)
    cells.layers["counts"] = cells.X.copy()
    cells.X = cells.X.multiply(0.5).tocsr()
    np.testing.assert_array_equal(embedding(cells, "counts"), expected)


def test_draws_and_parameters(trained):
    parameters = trained.get_latent_representation(return_dist=True)
    assert set(parameters) == {"loc", "concentration"}
    assert parameters["concentration"].shape == (240,)
    np.testing.assert_array_equal(parameters["loc"], trained.get_latent_representation())
    draws = trained.get_latent_representation(give_mean=False, n_samples=4000)
    assert draws.shape == (4000, 240, 3)
    # The mean of vMF draws on the globe is coth(k) - 1/k times the mean direction.
    kappa = parameters["concentration"].astype(float)
    length = (1 / np.tanh(kappa) - 1 / kappa)[:, None]
    np.testing.assert_allclose(draws.mean(0), length * parameters["loc"], atol=0.06)
    assert trained.get_latent_representation(give_mean=False).shape == (240, 3)


def test_embed_writes_points_manifold_and_concentration(trained, make_cells):
    adata = make_cells()
    trained.embed(adata, key_added="X_sphere", concentration_key="kappa")
    np.testing.assert_array_equal(adata.obsm["X_sphere"], trained.get_latent_representation())
    np.testing.assert_array_equal(
        adata.obs["kappa"], trained.get_latent_representation(return_dist=True)["concentration"]
    )
    rebuilt = curvi.manifolds.from_config(adata.uns["curvi"]["X_sphere"]["manifold"])
    assert rebuilt.config() == trained.manifold.config()


def test_the_record_of_the_manifold_survives_h5ad(trained, tmp_path, make_cells):
    adata = make_cells()
    trained.embed(adata)
    adata.write_h5ad(tmp_path / "embedded.h5ad")
    record = anndata.read_h5ad(tmp_path / "embedded.h5ad").uns["curvi"]["X_curvi"]["manifold"]
    assert curvi.manifolds.from_config(record).config() == trained.manifold.config()


def test_concentration_of_a_space_that_has_none_is_refused(cells, quiet):
    curvi.CurviVAE.setup_anndata(cells)
    model = curvi.CurviVAE(cells, latent="normal")
    model.train(max_epochs=1, **quiet)
    with pytest.raises(ValueError, match="`concentration_key` is 'kappa', but the posterior of 'normal' has"):
        model.embed(concentration_key="kappa")
    assert "X_curvi" not in cells.obsm


def test_scanpy_takes_geodesic_neighbours(trained, make_cells):
    adata = make_cells()
    trained.embed(adata)
    sc.pp.neighbors(adata, use_rep="X_curvi", transformer=trained.knn_transformer(10))
    sc.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False)
    i, j = adata.obsp["distances"].nonzero()
    x = torch.from_numpy(adata.obsm["X_curvi"])
    expected = trained.manifold.dist(x[i], x[j]).numpy()
    np.testing.assert_allclose(np.asarray(adata.obsp["distances"][i, j]).ravel(), expected, atol=1e-5)
    assert adata.obs["leiden"].nunique() > 1


def test_options_of_the_neighbours(trained):
    transformer = trained.knn_transformer(7, method="approximate", recall=0.9, random_state=2)
    given = transformer.get_params(deep=False)
    assert given == {
        "manifold": trained.manifold,
        "n_neighbors": 7,
        "method": "approximate",
        "recall": 0.9,
        "random_state": 2,
    }
    assert trained.knn_transformer().n_neighbors == 15


def test_an_untrained_model_says_so(cells):
    curvi.CurviVAE.setup_anndata(cells)
    with pytest.raises(RuntimeError, match="Trying to query inferred values from an untrained model"):
        curvi.CurviVAE(cells).get_latent_representation()


def test_a_dataloader_goes_in_the_place_of_data(trained):
    loader = trained._make_data_loader(trained.adata, batch_size=50)
    z = trained.get_latent_representation(dataloader=loader)
    np.testing.assert_allclose(z, trained.get_latent_representation(), atol=1e-6)
    with pytest.raises(ValueError, match="`dataloader` and indices were both given"):
        trained.get_latent_representation(dataloader=loader, indices=[0])


SEEN = {
    "unit length": {"unit_norm_input": True},
    "linear": {"n_layers": 0},
    "levels": {"encode_covariates": True},
    "real values": {"likelihood": "normal", "normalization": "layer"},
}


@pytest.mark.parametrize("arguments", SEEN.values(), ids=SEEN)
def test_cells_of_few_entries_are_embedded_from_those(quiet, arguments, monkeypatch):
    adata = curvi.datasets.synthetic(n_obs=90, n_vars=60, levels={"patient": 2}, mean_library=8)
    curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
    model = curvi.CurviVAE(adata, latent="vmf", n_latent=3, **arguments)
    model.train(max_epochs=2, **quiet)
    layouts = set()
    encode = model.module.encode

    def watched(x, *others):
        layouts.add(x.layout)
        return encode(x, *others)

    monkeypatch.setattr(model.module, "encode", watched)
    found = model.get_latent_representation()
    dense = adata.copy()
    dense.X = adata.X.toarray()
    np.testing.assert_allclose(model.get_latent_representation(dense), found, atol=2e-6)
    rows = np.array([80, 3, 3, 41])
    np.testing.assert_allclose(model.get_latent_representation(indices=rows, batch_size=3), found[rows], atol=2e-6)
    assert layouts == {torch.sparse_csr}
    monkeypatch.setattr(type(model.module), "takes_sparse", False)
    np.testing.assert_allclose(model.get_latent_representation(), found, atol=2e-6)
    assert layouts == {torch.sparse_csr, torch.strided}
