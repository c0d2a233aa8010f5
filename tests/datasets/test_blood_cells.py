from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import numpy as np
import pytest

from curvi.data import image_shape, to_images
from curvi.datasets import _blood_cells as file
from curvi.datasets import blood_cells

SIZES = {"train": 8, "val": 3, "test": 5}


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return {split: rng.integers(256, size=(n, 28, 28, 3), dtype=np.uint8) for split, n in SIZES.items()}


def test_bloodmnist(site, images, monkeypatch):
    arrays = {f"{split}_images": block for split, block in images.items()}
    arrays |= {f"{split}_labels": np.arange(n, dtype=np.uint8)[:, None] for split, n in SIZES.items()}
    content = io.BytesIO()
    np.savez(content, **arrays)
    site.files["/bloodmnist.npz"] = content.getvalue()
    checksum = f"md5:{hashlib.md5(content.getvalue()).hexdigest()}"
    remote = replace(file._MEDMNIST, urls=(f"{site.url}/bloodmnist.npz",), checksum=checksum)
    monkeypatch.setattr(file, "_MEDMNIST", remote)
    adata = blood_cells()
    assert image_shape(adata) == (28, 28, 3)
    assert adata.obs["split"].value_counts().to_dict() == SIZES
    assert list(adata.obs["label"][:2]) == ["basophil", "eosinophil"]
    assert adata.obs["label"].iloc[-1] == "lymphocyte"
    pixels = np.rint(to_images(adata) * 255).astype(np.uint8)
    np.testing.assert_array_equal(pixels, np.concatenate(list(images.values())))


def test_a_packed_collection(images, tmp_path, monkeypatch):
    monkeypatch.setenv("CURVI_DATA_DIR", str(tmp_path))
    np.savez(
        tmp_path / "bccd_crops28.npz",
        images=images["train"],
        labels=np.array(["RBC", "WBC"] * 4),
        split=np.array(["test", "val"] * 4),
        source_image=np.array(["p1"] * 8),
        wbc_subtype=np.array(["", "NEUTROPHIL"] * 4),
    )
    adata = blood_cells("bccd")
    assert list(adata.obs.columns) == ["label", "split", "source_image", "wbc_subtype"]
    assert adata.obs["wbc_subtype"].isna().tolist() == [True, False] * 4
    np.testing.assert_array_equal(np.rint(to_images(adata) * 255), images["train"])


def test_what_is_not_at_hand(site):
    with pytest.raises(FileNotFoundError, match=r"bccd_crops28.npz .* set the environment variable CURVI_DATA_DIR"):
        blood_cells("bccd")
    with pytest.raises(
        ValueError, match="unknown collection 'blood'; the known collections are 'bloodmnist', 'bccd', "
    ):
        blood_cells("blood")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("collection", "counts"),
    [
        ("bccd", {"RBC": 4153, "WBC": 372, "Platelets": 361}),
        ("txl_pbc", {"RBC": 6000, "WBC": 1515, "Platelet": 851}),
    ],
)
def test_the_real_cells(real_data, collection, counts):
    if not (real_data / file._PACKED[collection][0]).is_file():
        pytest.skip(f"the folder of real data sets lacks {file._PACKED[collection][0]}")
    adata = blood_cells(collection)
    assert adata.obs["label"].value_counts().to_dict() == counts
    assert not adata.obs["split"].isna().any()
    # No picture lends cells to both training and test set.
    assert (adata.obs.groupby("source_image", observed=True)["split"].nunique() == 1).all()
    if collection == "txl_pbc":
        assert set(adata.obs["source"]) == {"BCCD", "BCD", "PBC", "Raabin"}


@pytest.mark.internet
def test_the_mirror(tmp_path, monkeypatch):
    monkeypatch.delenv("CURVI_DATA_DIR", raising=False)
    adata = blood_cells(cache_dir=tmp_path)
    assert adata.obs["split"].value_counts().to_dict() == {"train": 11959, "test": 3421, "val": 1712}
