from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace

import numpy as np
import pytest

from curvi.data import image_shape, to_images
from curvi.datasets import _mnist as file
from curvi.datasets import fashion_mnist, mnist

SIZES = {"train": 20, "test": 10}


def _idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


@pytest.fixture
def served(site, monkeypatch):
    """Small sets of random images in the place of both sources."""
    rng = np.random.default_rng(0)
    truth, md5 = {}, {}
    for split, n in SIZES.items():
        arrays = rng.integers(256, size=(n, 28, 28), dtype=np.uint8), rng.integers(10, size=n, dtype=np.uint8)
        truth[split] = arrays
        packed = [_idx(array) for array in arrays]
        for name, content in zip(("images-idx3", "labels-idx1"), packed, strict=True):
            site.files["/" + file._FILES[split].format(name)] = content
        md5[split] = tuple(hashlib.md5(content).hexdigest() for content in packed)
    for source in ("_MNIST", "_FASHION"):
        monkeypatch.setattr(file, source, replace(getattr(file, source), mirrors=(f"{site.url}/",), md5=md5))
    return truth


def test_downloaded(served, site):
    adata = mnist(n_train=7, n_test=10)
    assert adata.shape == (17, 784)
    assert image_shape(adata) == (28, 28)
    assert adata.obs["split"].value_counts().to_dict() == {"test": 10, "train": 7}
    pixels = np.rint(to_images(adata) * 255).astype(np.uint8)
    np.testing.assert_array_equal(pixels, np.concatenate([served["train"][0][:7], served["test"][0]]))
    labels = np.concatenate([served["train"][1][:7], served["test"][1]])
    assert list(adata.obs["label"]) == list(labels.astype(str))
    assert list(adata.obs_names[[0, -1]]) == ["train0", "test9"]
    assert len(site.asked) == 4


def test_only_what_is_asked_for_is_downloaded(served, site):
    adata = mnist(n_train=0, n_test=3)
    assert set(adata.obs["split"]) == {"test"}
    assert all("t10k" in path for path in site.asked)


def test_the_sets_do_not_share_files(served, tmp_path):
    mnist(1, 1)
    labels = fashion_mnist(20, 1, cache_dir=tmp_path / "other").obs["label"]
    assert (tmp_path / "cache" / "mnist" / "t10k-labels-idx1-ubyte.gz").is_file()
    assert (tmp_path / "other" / "fashion_mnist" / "t10k-labels-idx1-ubyte.gz").is_file()
    assert labels.iloc[0] == file._FASHION.classes[served["train"][1][0]]


def test_the_packed_set_comes_first(served, site, tmp_path, monkeypatch):
    monkeypatch.setenv("CURVI_DATA_DIR", str(tmp_path))
    images, labels = (np.concatenate([served[split][i] for split in ("test", "train")]) for i in (0, 1))
    np.savez(tmp_path / "mnist.npz", images=images, labels=labels, is_test=np.arange(30) < 10)
    packed = mnist(7, 4)
    assert site.asked == []
    monkeypatch.delenv("CURVI_DATA_DIR")
    downloaded = mnist(7, 4)
    np.testing.assert_array_equal(packed.X, downloaded.X)
    assert packed.obs.equals(downloaded.obs)


@pytest.mark.parametrize(
    ("n_train", "n_test", "message"),
    [
        (21, 0, "`n_train` is 21; the train set of mnist has 20 images"),
        (0, 11, "`n_test` is 11; the test set of mnist has 10 images"),
        (0, 0, "`n_train` is 0 and `n_test` is 0; at least one image is needed"),
        (-1, 5, "`n_train` is -1 and"),
    ],
)
def test_how_many(served, n_train, n_test, message):
    with pytest.raises(ValueError, match=message):
        mnist(n_train, n_test)


def test_what_is_no_idx_file(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"text"))
    with pytest.raises(ValueError, match=r"a.gz is no IDX file of bytes; it begins with b'text'"):
        file.read_idx(tmp_path / "a.gz")


@pytest.mark.real_data
def test_the_real_digits(real_data, tmp_path):
    if not (real_data / "mnist.npz").is_file():
        pytest.skip("the folder of real data sets lacks mnist.npz")
    adata = mnist(n_train=60000, n_test=10000, cache_dir=tmp_path)
    assert adata.shape == (70000, 784)
    counts = adata.obs.groupby("split", observed=True)["label"].value_counts().unstack()
    assert counts.loc["train"].tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert counts.loc["test"].tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # The mean brightness that everyone normalises MNIST with.
    assert adata.X[:60000].mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)


@pytest.mark.internet
@pytest.mark.parametrize("load", [mnist, fashion_mnist])
def test_the_mirrors(load, tmp_path, monkeypatch):
    monkeypatch.delenv("CURVI_DATA_DIR", raising=False)
    assert load(10, 10, cache_dir=tmp_path).shape == (20, 784)
