"""Variable genes are scanpy's, and sets that its regression cannot take are refused before it crashes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scanpy as sc

import curvi
from curvi.pipeline._genes import variable_genes


@pytest.fixture
def many_genes():
    return curvi.datasets.synthetic(n_obs=150, n_vars=200)


@pytest.mark.parametrize("batch_key", [None, "patient"])
@pytest.mark.parametrize("layer", [None, "counts"])
def test_the_choice_is_scanpys(many_genes, layer, batch_key):
    expected = sc.pp.highly_variable_genes(
        many_genes, flavor="seurat_v3", n_top_genes=30, batch_key=batch_key, inplace=False
    )
    if layer is not None:
        many_genes.layers[layer] = many_genes.X
        many_genes.X = None
    chosen = variable_genes(many_genes, 30, layer, batch_key)
    np.testing.assert_array_equal(chosen, expected["highly_variable"])
    assert chosen.sum() == 30


@pytest.mark.parametrize("dense", [False, True])
def test_a_category_with_one_cell(many_genes, dense):
    if dense:
        many_genes.X = many_genes.X.toarray()
    many_genes.obs["site"] = pd.Categorical(["far", *["near"] * 149])
    with pytest.raises(ValueError, match=r"category 'far' of batch level 'site' \(1 cells\), 0 genes vary"):
        variable_genes(many_genes, 30, None, "site")


def test_too_few_genes(many_genes):
    with pytest.raises(ValueError, match=r"in the data \(150 cells\), 19 genes vary"):
        variable_genes(many_genes[:, :19].copy(), 5, None, None)


def test_what_the_regression_says_is_passed_on_as_text(many_genes):
    # Genes that come twice put all points of the regression in pairs.
    many_genes.X = many_genes.X[:, np.repeat([0, 1], 100)]
    with pytest.raises(ValueError, match=r"could not choose 30 variable genes \([a-z A-Z]") as caught:
        variable_genes(many_genes, 30, None, None)
    assert "b'" not in str(caught.value)


def test_unknown_batch_key(many_genes):
    with pytest.raises(KeyError, match="`batch_key` names 'nowhere'"):
        variable_genes(many_genes, 30, None, "nowhere")
