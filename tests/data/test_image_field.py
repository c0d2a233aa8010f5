"""The shape of images in the host library's registry."""

from __future__ import annotations

import anndata
import numpy as np
import pytest

from curvi import CurviVAE
from curvi.data import from_images, registered_shape


def registry_of(adata):
    CurviVAE.setup_anndata(adata)
    return CurviVAE._get_most_recent_anndata_manager(adata).registry


def test_the_registry_holds_the_shape_in_plain_integers():
    adata = from_images(np.random.default_rng(0).random((4, 6, 5, 3)))
    registry = registry_of(adata)
    assert registered_shape(registry) == (6, 5, 3)
    assert all(type(value) is int for value in registered_shape(registry))
    assert registered_shape(registry_of(from_images(np.zeros((4, 6, 5))))) == (6, 5, 1)


def test_the_shape_survives_a_file(tmp_path):
    from_images(np.zeros((4, 6, 5, 3))).write_h5ad(tmp_path / "images.h5ad")
    registry = registry_of(anndata.read_h5ad(tmp_path / "images.h5ad"))
    assert registered_shape(registry) == (6, 5, 3)
    assert all(type(value) is int for value in registered_shape(registry))


def test_other_data_have_no_shape():
    registry = registry_of(anndata.AnnData(np.ones((4, 6), np.float32)))
    assert registered_shape(registry) is None
    # Models that were saved before there were images have no such field at all.
    del registry["field_registries"]["images"]
    assert registered_shape(registry) is None


def test_images_of_another_shape_are_refused():
    adata, other = from_images(np.zeros((4, 6, 2))), from_images(np.zeros((4, 4, 3)))
    other.var_names = adata.var_names
    CurviVAE.setup_anndata(adata)
    model = CurviVAE(adata, likelihood="normal", n_hidden=4)
    model.train(max_epochs=1, enable_progress_bar=False, enable_model_summary=False, logger=None)
    with pytest.raises(
        ValueError, match="has images of height 4, width 3, channels 1; those of the model have height 6, width 2"
    ):
        model.get_latent_representation(other)
    # Joining data sets drops such records; the names of the pixels still are those of the model.
    del other.uns["curvi_images"]
    assert model.get_latent_representation(other).shape == (4, 3)
