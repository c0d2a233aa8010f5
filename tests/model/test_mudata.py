"""One modality of a MuData, with levels that are known of the modality or of the whole."""

from __future__ import annotations

import anndata
import mudata
import numpy as np
import pytest
import scvi

import curvi


@pytest.fixture
def several(make_cells):
    """Cells of which all have counts of genes and every second one of proteins; `site` is known of the whole only."""
    rna = make_cells()
    proteins = anndata.AnnData(np.ones((120, 3), np.float32), obs=rna.obs.iloc[::2][[]].copy())
    mdata = mudata.MuData({"protein": proteins, "rna": rna[::-1].copy()})
    mdata.obs["site"] = [f"s{int(name.removeprefix('cell')) % 3}" for name in mdata.obs_names]
    return mdata


def test_a_model_of_one_modality_is_that_of_its_anndata(several, make_cells, quiet, tmp_path):
    rna = curvi.CurviVAE.setup_mudata(several, "rna", batch_key=["patient", "site"], labels_key="cell_type")
    assert rna is several["rna"]
    alone = make_cells()[::-1].copy()
    alone.obs["site"] = [f"s{int(name.removeprefix('cell')) % 3}" for name in alone.obs_names]
    curvi.CurviVAE.setup_anndata(alone, batch_key=["patient", "site"], labels_key="cell_type")
    found = []
    for adata in (rna, alone):
        scvi.settings.seed = 0
        model = curvi.CurviVAE(adata, n_hidden=16)
        model.train(max_epochs=2, **quiet)
        found.append(model.get_latent_representation())
    np.testing.assert_array_equal(*found)
    assert model._levels.n_per_level == [2, 3]
    model.save(str(tmp_path / "model"))
    again = curvi.CurviVAE.load(str(tmp_path / "model"), several["rna"])
    np.testing.assert_array_equal(again.get_latent_representation(), found[0])


def test_a_column_of_the_modality_goes_before_that_of_the_whole(several):
    several["rna"].obs["site"] = "here"
    several["rna"].obs.loc[several["rna"].obs_names[:5], "site"] = "there"
    rna = curvi.CurviVAE.setup_mudata(several, "rna", batch_key="site")
    assert set(rna.obs["site"]) == {"here", "there"}


def test_what_is_missing_is_named(several):
    with pytest.raises(KeyError, match="`modality` is 'atac'; the modalities of `mdata` are 'protein', 'rna'"):
        curvi.CurviVAE.setup_mudata(several, "atac")
    with pytest.raises(KeyError, match="`batch_key` names 'plate'"):
        curvi.CurviVAE.setup_mudata(several, "rna", batch_key="plate")
