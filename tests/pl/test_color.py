"""Colours of cells: scanpy's conventions, numbers, genes and missing values."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from matplotlib.colors import to_rgba
from scipy import sparse

from curvi.pl._color import MISSING, ColorSource


def colored(adata, color, **changes):
    arguments = dict.fromkeys(("layer", "use_raw", "palette", "cmap", "vmin", "vmax")) | {"sort_order": True}
    return ColorSource(**(arguments | changes)).colorings(adata, color)


def many_categories(n):
    names = [f"{i:03}" for i in range(n)]
    return sc.AnnData(obs=pd.DataFrame({"k": pd.Categorical(names)}, index=names))


# Scanpy 1.11 sets the colour of missing values in a way that matplotlib 3.11 will drop.
@pytest.mark.filterwarnings("ignore:The set_bad function:PendingDeprecationWarning")
@pytest.mark.parametrize("n", [3, 15, 25, 60, 110])
def test_default_colors_are_those_of_scanpy(n):
    ours, theirs = many_categories(n), many_categories(n)
    theirs.obsm["X_umap"] = np.zeros((n, 2))
    sc.pl.umap(theirs, color="k", show=False)
    colored(ours, "k")
    assert list(ours.uns["k_colors"]) == list(theirs.uns["k_colors"])


def test_colors_recorded_by_scanpy_are_used_and_left_alone(cells):
    cells.uns["cell_type_colors"] = np.array(["#ff0000", "lime", "#0000ff", "#123456"])
    before = cells.uns["cell_type_colors"].copy()
    (coloring,) = colored(cells, "cell_type")
    assert coloring.palette == ("#ff0000", "lime", "#0000ff")
    np.testing.assert_array_equal(coloring.rgba[[0, 40, 80]], [to_rgba(c) for c in before[:3]])
    np.testing.assert_array_equal(cells.uns["cell_type_colors"], before)


def test_too_few_recorded_colors_are_replaced(cells):
    cells.uns["cell_type_colors"] = ["#ff0000"]
    colored(cells, "cell_type")
    assert len(cells.uns["cell_type_colors"]) == 3


@pytest.mark.parametrize(
    "palette",
    [["red", "lime", "blue"], {"front": "red", "back": "lime", "rim": "blue"}, "brg_r"],
    ids=["list", "mapping", "map"],
)
def test_a_palette_is_a_list_a_mapping_or_the_name_of_a_map(cells, palette):
    (coloring,) = colored(cells, "cell_type", palette=palette)
    assert cells.uns["cell_type_colors"] == list(coloring.palette)
    if palette != "brg_r":
        np.testing.assert_array_equal(coloring.rgba[[0, 40, 80]], [to_rgba(c) for c in ("red", "lime", "blue")])


def test_a_view_is_not_written_to(cells):
    view = cells[:60]
    (coloring,) = colored(view, "cell_type")
    assert view.is_view
    assert "cell_type_colors" not in cells.uns
    assert coloring.categories == ("front", "back")


def test_unused_categories_keep_the_colors_of_the_others(cells):
    colored(cells, "cell_type")
    part = cells[cells.obs["cell_type"] != "front"].copy()
    part.obs["cell_type"] = part.obs["cell_type"].cat.set_categories(["front", "back", "rim"])
    part.uns["cell_type_colors"] = cells.uns["cell_type_colors"]
    (coloring,) = colored(part, "cell_type")
    assert coloring.categories == ("back", "rim")
    assert coloring.palette == tuple(cells.uns["cell_type_colors"][1:])
    assert set(coloring.codes) == {0, 1}


def test_cells_without_a_category_are_grey_and_drawn_first(cells):
    cells.obs.loc[cells.obs_names[:5], "cell_type"] = np.nan
    (coloring,) = colored(cells, "cell_type")
    np.testing.assert_array_equal(coloring.rgba[:5], [to_rgba(MISSING)] * 5)
    assert (coloring.codes[:5] == -1).all()
    assert coloring.rank[:5].max() < coloring.rank[5:].min()


def test_booleans_and_strings_are_categories_and_the_column_stays_as_it_was(cells):
    before = cells.obs.dtypes.to_dict()
    flag, name = colored(cells, ["flag", "name"])
    assert flag.categories == ("False", "True")
    assert name.categories == ("x", "y")
    assert cells.obs.dtypes.to_dict() == before


def test_numbers_run_over_the_color_map(cells):
    depth, count = colored(cells, ["depth", "n_genes"], cmap="magma")
    for coloring, column in ((depth, cells.obs["depth"]), (count, cells.obs["n_genes"])):
        norm = coloring.mappable.norm
        assert (norm.vmin, norm.vmax) == (column.min(), column.max())
        np.testing.assert_allclose(coloring.rgba, mpl.colormaps["magma"](norm(column.to_numpy(dtype=float))))
        assert (np.argsort(coloring.rank) == np.argsort(column.to_numpy())).all()
    (unsorted,) = colored(cells, "depth", sort_order=False)
    assert len(set(unsorted.rank)) == 1


def test_the_ends_of_the_scale_are_numbers_or_percentiles(cells):
    (coloring,) = colored(cells, "n_genes", vmin=10, vmax="p90")
    assert coloring.mappable.norm.vmin == 10
    assert coloring.mappable.norm.vmax == pytest.approx(np.percentile(np.arange(120), 90))


def test_missing_and_infinite_numbers_are_grey(cells):
    cells.obs["depth"] = cells.obs["depth"].where(np.arange(120) > 9, np.nan)
    cells.obs.loc[cells.obs_names[10], "depth"] = np.inf
    (coloring,) = colored(cells, "depth")
    np.testing.assert_array_equal(coloring.rgba[:11], [to_rgba(MISSING)] * 11)
    assert np.isfinite(coloring.mappable.norm.vmax)
    cells.obs["nothing"] = np.nan
    (coloring,) = colored(cells, "nothing")
    np.testing.assert_array_equal(coloring.rgba, [to_rgba(MISSING)] * 120)


def test_nullable_numbers_and_booleans(cells):
    cells.obs["count"] = pd.array([1, 2, None] * 40, dtype="Int64")
    cells.obs["maybe"] = pd.array([True, False, None] * 40, dtype="boolean")
    count, maybe = colored(cells, ["count", "maybe"])
    np.testing.assert_array_equal(count.rgba[2], to_rgba(MISSING))
    assert maybe.categories == ("False", "True")
    assert maybe.codes[:3].tolist() == [1, 0, -1]


@pytest.mark.parametrize("matrix", [np.asarray, sparse.csr_matrix, sparse.csc_matrix], ids=["dense", "csr", "csc"])
def test_genes_are_read_from_raw_the_matrix_or_a_layer(cells, matrix):
    cells.X = matrix(cells.X + 100)
    cells.layers["doubled"] = matrix(cells.layers["doubled"])
    values = np.asarray(cells.raw.to_adata().X)
    for expected, arguments in (
        (values[:, 0], {}),
        (values[:, 0], {"use_raw": True}),
        (values[:, 0] + 100, {"use_raw": False}),
        (2 * values[:, 0], {"layer": "doubled"}),
    ):
        (coloring,) = colored(cells, "A", **arguments)
        np.testing.assert_allclose(coloring.rank, expected)
    (coloring,) = colored(cells, "C")
    np.testing.assert_allclose(coloring.rank, values[:, 2])


def test_no_color_is_one_color(cells):
    (coloring,) = colored(cells, None)
    assert len(np.unique(coloring.rgba, axis=0)) == 1
    assert coloring.title == ""


@pytest.mark.parametrize(
    ("color", "changes", "sentence"),
    [
        ("cell_typ", {}, r"'cell_typ'.*neither a column.*nor a gene of `adata.raw`; did you mean 'cell_type'"),
        ("C", {"use_raw": False}, "'C'.*nor a gene of `adata`"),
        ([], {}, "empty list"),
        ("A", {"layer": "counts"}, "`layer` is 'counts', but `adata.layers` has 'doubled'"),
        ("A", {"layer": "doubled", "use_raw": True}, "both given"),
        ("depth", {"vmin": 2, "vmax": 1}, "from 2 to 1"),
        ("depth", {"vmax": "p101"}, "`vmax` is 'p101'"),
        ("depth", {"vmax": "most"}, "`vmax` is 'most'"),
        ("cell_type", {"palette": ["red"]}, "1 colours; 'cell_type' has 3 categories"),
        ("cell_type", {"palette": {"front": "red"}}, "no colour for 'back', 'rim'"),
        ("cell_type", {"palette": "no such map"}, "no colour map"),
        ("cell_type", {"palette": ["red", "lime", "bluish"]}, "'bluish', which is not a colour"),
        ("when", {}, "dtype datetime64"),
    ],
)
def test_unusable_colors_are_sentences(cells, color, changes, sentence):
    cells.obs["when"] = pd.Timestamp("2021-05-05")
    with pytest.raises(ValueError, match=sentence):
        colored(cells, color, **changes)


def test_unusable_records_are_sentences(cells):
    cells.uns["cell_type_colors"] = ["red", "lime", "bluish"]
    with pytest.raises(ValueError, match="cell_type_colors'.*'bluish'"):
        colored(cells, "cell_type")
    del cells.raw
    with pytest.raises(ValueError, match="`adata.raw` is not set"):
        colored(cells, "A", use_raw=True)
    cells.var_names = ["A", "A"]
    with pytest.raises(ValueError, match="2 genes called 'A'"):
        colored(cells, "A")


def test_no_figure_is_made(cells):
    colored(cells, ["cell_type", "depth"])
    assert plt.get_fignums() == []


def test_groups_keep_their_colors_and_names_in_the_columns_that_have_them(cells):
    cells.obs.loc[cells.obs_names[80:85], "cell_type"] = np.nan
    whole, numbers, letters = colored(cells, ["cell_type", "n_genes", "name"])
    only, same_numbers, same_letters = colored(cells, ["cell_type", "n_genes", "name"], groups=["rim", "front"])
    assert only.categories == ("front", "rim")
    assert only.palette == (whole.palette[0], whole.palette[2])
    np.testing.assert_array_equal(only.codes, np.repeat([0, -1, -1, 1], [40, 40, 5, 35]))
    kept = only.codes >= 0
    np.testing.assert_array_equal(only.rgba[kept], whole.rgba[kept])
    np.testing.assert_array_equal(only.rgba[~kept], np.tile(to_rgba(MISSING), (45, 1)))
    assert only.rank[~kept].max() < only.rank[kept].min()
    assert (whole.rest, only.rest) == ("NA", "other")
    np.testing.assert_array_equal(same_numbers.rgba, numbers.rgba)
    np.testing.assert_array_equal(same_letters.rgba, letters.rgba)
    assert len(cells.uns["cell_type_colors"]) == 3
    assert colored(cells, "cell_type", groups="back")[0].categories == ("back",)
