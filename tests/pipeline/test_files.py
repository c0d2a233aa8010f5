"""Every form that scanpy reads, and the sentences for those it does not."""

from __future__ import annotations

import gzip
import logging

import h5py
import numpy as np
import pytest
from scipy import io, sparse

from curvi.pipeline import check_output, read, write

COUNTS = np.array([[0, 3, 1], [2, 0, 0], [0, 0, 4], [1, 1, 0]])
BARCODES = ["AAAC-1", "AAAG-1", "AAAT-1", "AACC-1"]
GENES = [("ENSG01", "CD3D"), ("ENSG02", "MS4A1"), ("ENSG03", "CD3D")]
UNIQUE = ["CD3D", "MS4A1", "CD3D-1"]


def write_10x_h5(path):
    """The layout of Cell Ranger 3: genes by cells in CSC, with an antibody that is no gene."""
    by_feature = sparse.csc_matrix(np.column_stack([COUNTS, [9, 9, 9, 9]]).T)
    features = [*GENES, ("AB1", "CD4_protein")]
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        matrix["barcodes"] = np.array(BARCODES, dtype="S")
        matrix["data"] = by_feature.data.astype(np.int32)
        matrix["indices"] = by_feature.indices.astype(np.int64)
        matrix["indptr"] = by_feature.indptr.astype(np.int64)
        matrix["shape"] = np.array(by_feature.shape, dtype=np.int32)
        group = matrix.create_group("features")
        group["id"] = np.array([identifier for identifier, _ in features], dtype="S")
        group["name"] = np.array([name for _, name in features], dtype="S")
        group["feature_type"] = np.array(["Gene Expression"] * 3 + ["Antibody Capture"], dtype="S")
        group["genome"] = np.array(["GRCh38"] * 4, dtype="S")
        group["_all_tag_keys"] = np.array(["genome"], dtype="S")


def write_10x_folder(folder):
    """The layout of Cell Ranger 3: three gzipped files."""
    folder.mkdir()
    with gzip.open(folder / "matrix.mtx.gz", "wb") as file:
        io.mmwrite(file, sparse.coo_matrix(COUNTS.T))
    with gzip.open(folder / "features.tsv.gz", "wt") as file:
        file.writelines(f"{identifier}\t{name}\tGene Expression\n" for identifier, name in GENES)
    with gzip.open(folder / "barcodes.tsv.gz", "wt") as file:
        file.writelines(f"{barcode}\n" for barcode in BARCODES)


def dense(adata):
    return adata.X.toarray() if sparse.issparse(adata.X) else adata.X


@pytest.mark.parametrize("form", ["10x.h5", "10x_folder"])
def test_10x(form, tmp_path, caplog):
    path = tmp_path / form
    (write_10x_h5 if form.endswith(".h5") else write_10x_folder)(path)
    with caplog.at_level(logging.INFO, logger="curvi"):
        adata = read(path)
    np.testing.assert_array_equal(dense(adata), COUNTS)
    assert adata.obs_names.tolist() == BARCODES
    assert adata.var_names.tolist() == UNIQUE
    assert adata.var["gene_ids"].tolist() == [identifier for identifier, _ in GENES]
    assert "1 genes have the name of another" in caplog.text
    assert "4 cells, 3 genes" in caplog.text


@pytest.mark.parametrize("ending", [".h5ad", ".zarr"])
def test_written_and_read_again(ending, cells, tmp_path):
    path = tmp_path / "new" / f"cells{ending}"
    for _ in range(2):  # the second one replaces the first
        write(cells, path)
    again = read(path)
    np.testing.assert_array_equal(dense(again), dense(cells))
    np.testing.assert_array_equal(again.obsm["latent"], cells.obsm["latent"])
    assert again.obs["patient"].tolist() == cells.obs["patient"].tolist()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_failed_write_leaves_nothing_and_spares_what_was_there(cells, tmp_path):
    path = tmp_path / "cells.h5ad"
    write(cells, path)
    before = path.read_bytes()
    cells.uns["unwritable"] = object()
    with pytest.raises(Exception, match="No method registered"):
        write(cells, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_other_endings_are_refused(tmp_path):
    assert check_output("a/b.zarr").name == "b.zarr"
    with pytest.raises(ValueError, match=r"ends in '\.loom'; expected \.h5ad or \.zarr"):
        check_output(tmp_path / "out.loom")


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder '.*absent.h5ad'"):
        read(tmp_path / "absent.h5ad")


def test_forms_that_are_not_read(cells, tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match="cannot read '.*table.csv'; expected an AnnData file"):
        read(tmp_path / "table.csv")
    with pytest.raises(ValueError, match="the folder '.*' has no matrix.mtx"):
        read(tmp_path)
    (tmp_path / "text.h5ad").write_text("no HDF5")
    with pytest.raises(ValueError, match="text.h5ad' is not an HDF5 file"):
        read(tmp_path / "text.h5ad")
    cells.write_h5ad(tmp_path / "cells.h5ad")
    (tmp_path / "cells.h5ad").rename(tmp_path / "cells.h5")
    with pytest.raises(ValueError, match="cells.h5' is an HDF5 file, but not a 10x file"):
        read(tmp_path / "cells.h5")
    write_10x_h5(tmp_path / "10x.h5ad")
    with pytest.raises(ValueError, match="10x.h5ad' is an HDF5 file, but not an AnnData file"):
        read(tmp_path / "10x.h5ad")
