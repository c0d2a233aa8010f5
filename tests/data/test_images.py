"""Images as AnnData and back."""

from __future__ import annotations

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

import curvi
from curvi.data import CellDataset, from_images, image_shape, to_images, value_blocks
from curvi.data import _images as images_file

H, W = 5, 7


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def grey(rng):
    return rng.integers(256, size=(9, H, W), dtype=np.uint8)


@pytest.fixture
def colour(rng):
    return rng.integers(256, size=(9, H, W, 3), dtype=np.uint8)


def _unit(pixels):
    return pixels.astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("trailing", [(), (1,), (3,), (4,)])
def test_round_trip_of_bytes_is_exact(rng, trailing):
    pixels = rng.integers(256, size=(9, H, W, *trailing), dtype=np.uint8)
    adata = from_images(pixels)
    assert adata.X.dtype == np.float32
    back = to_images(adata)
    np.testing.assert_array_equal(back, _unit(pixels))
    np.testing.assert_array_equal(np.rint(back * 255).astype(np.uint8), pixels)
    assert image_shape(adata) == (H, W, *trailing)


def test_every_byte_comes_back():
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    np.testing.assert_array_equal(np.rint(to_images(from_images(every)) * 255).astype(np.uint8), every)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_fractions_are_kept(rng, dtype):
    pixels = rng.random((4, H, W)).astype(dtype)
    np.testing.assert_array_equal(to_images(from_images(pixels)), pixels.astype(np.float32))


def test_types_that_say_what_white_is(rng):
    wide = rng.integers(65536, size=(4, H, W), dtype=np.uint16)
    np.testing.assert_allclose(to_images(from_images(wide)), wide / 65535, rtol=1e-7)
    np.testing.assert_array_equal(to_images(from_images(wide > 9000)), wide > 9000)


def test_types_that_do_not(rng):
    pixels = rng.integers(256, size=(4, H, W))
    with pytest.raises(ValueError, match=r"pixels of type int64, which does not say what white is; pass `value_range`"):
        from_images(pixels)
    np.testing.assert_allclose(to_images(from_images(pixels, value_range=(0, 255))), pixels / 255, rtol=1e-6)
    with pytest.raises(ValueError, match=r"values from .* expected 0 to 100. Pass `value_range`"):
        from_images(pixels, value_range=(0, 100))


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan, np.inf])
def test_fractions_outside_the_unit_interval(bad):
    pixels = np.full((3, H, W), 0.5)
    pixels[1, 2, 3] = bad
    with pytest.raises(ValueError, match=r"`images` has values from .* expected 0 to 1"):
        from_images(pixels)


@pytest.mark.parametrize("value_range", [(1.0, 0.0), (0.0, np.inf), (np.nan, 1.0), (2, 2)])
def test_a_range_that_is_none(grey, value_range):
    with pytest.raises(ValueError, match=r"`value_range` is .*; expected two finite numbers, black below white"):
        from_images(grey, value_range=value_range)


def test_columns_have_the_names_of_pixels(colour):
    adata = from_images(colour)
    assert adata[:, "pixel_3_4_2"].X.ravel().tolist() == _unit(colour)[:, 3, 4, 2].tolist()
    assert from_images(colour[..., 0]).var_names[-1] == f"pixel_{H - 1}_{W - 1}"


def test_channels_first(colour):
    first = np.moveaxis(colour, -1, 1)
    np.testing.assert_array_equal(to_images(from_images(first, channels="first")), _unit(colour))
    np.testing.assert_array_equal(to_images(from_images(list(first), channels="first")), _unit(colour))
    np.testing.assert_array_equal(
        to_images(from_images(torch.from_numpy(first.copy()), channels="first")), _unit(colour)
    )
    with pytest.raises(ValueError, match=r"shape \(3, 5, 7\), which looks like channels first; pass channels='first'"):
        from_images(first)
    assert image_shape(from_images(first, channels="last")) == (3, H, W)
    with pytest.raises(ValueError, match="`channels` is 'middle'; expected 'first'"):
        from_images(colour, channels="middle")


def test_lists_of_arrays_and_of_pictures(colour, grey):
    np.testing.assert_array_equal(to_images(from_images(list(colour))), _unit(colour))
    pictures = [Image.fromarray(pixels) for pixels in colour]
    np.testing.assert_array_equal(to_images(from_images(pictures)), _unit(colour))
    converted = to_images(from_images([*pictures, Image.fromarray(grey[0])], mode="L"))
    assert converted.shape == (10, H, W)
    np.testing.assert_array_equal(converted[-1], _unit(grey[0]))


def test_sizes_and_channels_must_agree(rng, colour):
    mixed = [rng.random((4, 4)), rng.random((6, 3))]
    with pytest.raises(ValueError, match=r"image 1 has shape \(6, 3\), the first one \(4, 4\); pass `size="):
        from_images(mixed)
    assert image_shape(from_images(mixed, size=(8, 9))) == (8, 9)
    with pytest.raises(ValueError, match=r"image 1 has shape \(5, 7\), the first one \(5, 7, 3\); pass `mode`"):
        from_images([colour[0], colour[0, ..., 0]])


def test_resizing_averages(colour):
    flat = np.full((2, 8, 8, 3), 51, dtype=np.uint8)
    np.testing.assert_allclose(to_images(from_images(flat, size=(3, 5))), 0.2, rtol=1e-6)
    checks = np.indices((64, 64)).sum(0) % 2 * np.ones((1, 1, 1))
    small = to_images(from_images(checks, size=(8, 8)))
    assert abs(small - 0.5).max() < 0.06
    np.testing.assert_array_equal(to_images(from_images(colour, size=(H, W))), _unit(colour))
    with pytest.raises(ValueError, match="`size` is .* expected a height and a width"):
        from_images(colour, size=(0, 4))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 4)), r"`images` has shape \(4, 4\); expected \(n, h, w\)"),
        (np.zeros((0, 4, 4)), r"`images` has shape \(0, 4, 4\)"),
        ([], "`images` is empty"),
        ([np.zeros(4)], r"`images\[0\]` has shape \(4,\); a picture is"),
    ],
)
def test_what_are_no_images(images, message):
    with pytest.raises(ValueError, match=message):
        from_images(images)


@pytest.fixture
def folder(tmp_path, colour):
    """Nine pictures in two folders, as PNG and TIFF, and a text."""
    for i, pixels in enumerate(colour):
        place = tmp_path / "pictures" / ("sick" if i % 2 else "healthy")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{i}.{'tif' if i % 3 == 0 else 'png'}")
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    return tmp_path / "pictures"


def test_folder(folder, colour):
    adata = from_images(folder, labels="folder")
    assert list(adata.obs_names[:2]) == ["healthy/0.tif", "healthy/2.png"]
    assert list(adata.obs["label"]) == ["healthy"] * 5 + ["sick"] * 4
    np.testing.assert_array_equal(to_images(adata), _unit(colour[[0, 2, 4, 6, 8, 1, 3, 5, 7]]))


def test_list_of_files(folder, colour):
    paths = [folder / "sick" / "1.png", str(folder / "healthy" / "0.tif")]
    adata = from_images(paths, names=["a", "b"])
    np.testing.assert_array_equal(to_images(adata), _unit(colour[[1, 0]]))
    assert list(adata.obs_names) == ["a", "b"]
    with pytest.raises(ValueError, match="names were given, 1 of them different"):
        from_images([paths[0], paths[0]])


def test_table_follows_the_names_of_files(folder):
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.suffix != ".txt"]
    table = pd.DataFrame({"number": [int(name.split("/")[1].split(".")[0]) for name in names]}, index=names)
    adata = from_images(folder, obs=table.sample(frac=1, random_state=0))
    assert list(adata.obs["number"]) == [0, 2, 4, 6, 8, 1, 3, 5, 7]
    with pytest.raises(ValueError, match=r"the index of `obs` has no row for image 'healthy/0.tif'; .*reset_index"):
        from_images(folder, obs=table.rename(index=lambda name: name + "?"))
    assert list(from_images(folder, obs=table.reset_index(drop=True)).obs["number"]) == list(table["number"])


def test_jpeg_grey_and_palette(tmp_path):
    Image.new("L", (6, 4), 128).save(tmp_path / "a.jpg")
    np.testing.assert_allclose(to_images(from_images(tmp_path)), np.full((1, 4, 6), 128 / 255), rtol=1e-6)
    Image.new("P", (6, 4), 3).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"b.png has the mode 'P' of Pillow; pass `mode`"):
        from_images([tmp_path / "b.png"])
    assert image_shape(from_images([tmp_path / "b.png"], mode="RGB")) == (4, 6, 3)


def test_sixteen_bits_and_several_frames(tmp_path):
    pixels = np.arange(24, dtype=np.uint16).reshape(4, 6) * 2000
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    np.testing.assert_allclose(to_images(from_images(tmp_path))[0], pixels / 65535, rtol=1e-6)
    frame = Image.new("L", (6, 4))
    frame.save(tmp_path / "b.tif", save_all=True, append_images=[frame])
    with pytest.raises(ValueError, match=r"b.tif holds 2 pictures"):
        from_images([tmp_path / "b.tif"])


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="which is not a folder"):
        from_images(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"holds no file that ends in .png"):
        from_images(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"names .*a.png, which is not a file \(1 of 1\)"):
        from_images([tmp_path / "a.png"])


class _Drawn(Dataset):
    """What torchvision's datasets return: a picture of Pillow and a number."""

    def __init__(self, pixels):
        self.pixels = pixels

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, i):
        return Image.fromarray(self.pixels[i]), i % 3


def test_torch_datasets(colour):
    adata = from_images(_Drawn(colour))
    np.testing.assert_array_equal(to_images(adata), _unit(colour))
    assert list(adata.obs["label"]) == [0, 1, 2] * 3
    tensors = torch.from_numpy(np.moveaxis(_unit(colour), -1, 1).copy())
    labelled = from_images(TensorDataset(tensors, torch.arange(9) % 2), channels="first")
    np.testing.assert_array_equal(to_images(labelled), _unit(colour))
    assert labelled.obs["label"].cat.categories.tolist() == [0, 1]
    assert "label" not in from_images(TensorDataset(tensors), channels="first").obs


def test_labels_and_columns(grey):
    adata = from_images(grey, labels=[0.5] * 9, obs={"slide": ["s1", "s2", "s3"] * 3})
    assert adata.obs["label"].dtype == float
    assert list(adata.obs.columns) == ["label", "slide"]
    labels = pd.Series(pd.Categorical(["b", "a", "a"] * 3, categories=["b", "a"]), index=range(100, 109))
    found = from_images(grey, labels=labels).obs["label"]
    assert list(found) == list(labels)
    assert list(found.cat.categories) == ["b", "a"]
    assert list(from_images(grey, obs=pd.DataFrame({"x": range(9)}, index=list("abcdefghi"))).obs_names) == [
        *"abcdefghi"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["a"]}, "`labels` has 1 entries; expected one for each of 9 images"),
        ({"labels": "folder"}, "`labels` is 'folder'; expected one for each image, or 'folder' for images from files"),
        ({"obs": {"x": [1, 2]}}, "`obs` has 2 rows; expected one for each of 9 images"),
        ({"names": ["a"] * 9}, "9 names were given, 1 of them different"),
        ({"labels": [1] * 9, "obs": {"label": [1] * 9}}, "`obs` has a column 'label' and `labels` were given too"),
    ],
)
def test_what_does_not_fit_the_images(grey, arguments, message):
    with pytest.raises(ValueError, match=message):
        from_images(grey, **arguments)


def test_the_record_survives_h5ad(tmp_path, colour):
    from_images(colour, labels=["a", "b", "c"] * 3).write_h5ad(tmp_path / "images.h5ad")
    adata = anndata.read_h5ad(tmp_path / "images.h5ad")
    assert image_shape(adata) == (H, W, 3)
    np.testing.assert_array_equal(to_images(adata), _unit(colour))
    np.testing.assert_array_equal(to_images(adata[3:5]), _unit(colour[3:5]))


@pytest.mark.parametrize("n_numbers", [2**24, 2 * H * W * 3, 1])
def test_backed_by_a_file(tmp_path, folder, n_numbers, monkeypatch):
    monkeypatch.setattr(images_file, "_BLOCK", n_numbers)
    expected = from_images(folder, labels="folder", obs={"slide": ["x", "y", "z"] * 3})
    adata = from_images(folder, labels="folder", obs={"slide": ["x", "y", "z"] * 3}, filename=tmp_path / "a.h5ad")
    assert adata.isbacked
    np.testing.assert_array_equal(to_images(adata), to_images(expected))
    in_memory = adata.to_memory()
    adata.file.close()
    pd.testing.assert_frame_equal(in_memory.obs, expected.obs, check_categorical=False, check_dtype=False)
    assert in_memory.uns == expected.uns
    assert list(in_memory.var_names) == list(expected.var_names)
    assert list(tmp_path.glob("*.part")) == []


def test_a_failure_leaves_no_file(tmp_path, colour):
    with pytest.raises(ValueError, match="image 1 has shape"):
        from_images([colour[0], colour[1, :3]], filename=tmp_path / "a.h5ad")
    assert list(tmp_path.iterdir()) == []


def test_arrays_on_disk_are_read_in_blocks(tmp_path, colour, monkeypatch):
    monkeypatch.setattr(images_file, "_BLOCK", 2 * H * W * 3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        stored = file.create_dataset("images", data=colour)
        np.testing.assert_array_equal(to_images(from_images(stored)), _unit(colour))


def test_decoded_pixels(colour):
    adata = from_images(colour)
    draws = np.stack([adata.X, 1 - adata.X])
    drawn = to_images(draws, shape=image_shape(adata))
    assert drawn.shape == (2, 9, H, W, 3)
    np.testing.assert_array_equal(drawn[0], _unit(colour))
    adata.layers["inverse"] = 1 - adata.X
    np.testing.assert_array_equal(to_images(adata, "inverse"), 1 - _unit(colour))


def test_what_has_no_shape(grey):
    adata = from_images(grey)
    with pytest.raises(ValueError, match=r"no record of images in `.uns\['curvi_images'\]`"):
        image_shape(anndata.AnnData(adata.X))
    with pytest.raises(ValueError, match=r"`adata` has 3 columns; its images of shape \(5, 7\) have 35 values"):
        to_images(adata[:, :3])
    with pytest.raises(ValueError, match="`data` is an array; pass `shape="):
        to_images(adata.X)
    with pytest.raises(ValueError, match=r"`data` has shape \(9, 35\); images of shape \(5, 6\) need 30 columns"):
        to_images(adata.X, shape=(5, 6))
    with pytest.raises(ValueError, match="`shape` was given with an AnnData"):
        to_images(adata, shape=(5, 7))
    with pytest.raises(ValueError, match="`layer` is 'counts', which is not a layer of `data`; the layers are none"):
        to_images(adata, "counts")


@pytest.mark.parametrize("on_disk", [False, True])
def test_bytes_stay_bytes_and_are_read_like_numbers(tmp_path, on_disk):
    images = np.random.default_rng(0).integers(256, size=(30, 4, 5), dtype=np.uint8)
    filename = tmp_path / "bytes.h5ad" if on_disk else None
    kept, wide = from_images(images, dtype="uint8", filename=filename), from_images(images)
    assert kept.X.dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(kept.X[:]).reshape(images.shape), images)
    np.testing.assert_array_equal(to_images(kept), to_images(wide))
    rows = np.array([3, 0, 29])
    for adata in (kept, wide):
        curvi.CurviVAE.setup_anndata(adata)
    loaded = [
        CellDataset.from_manager(curvi.CurviVAE._get_most_recent_anndata_manager(adata), np.arange(30))[rows]["X"]
        for adata in (kept, wide)
    ]
    torch.testing.assert_close(loaded[0], loaded[1], rtol=0, atol=0)
    assert all(block.max() <= 1 for _, block in value_blocks(kept))


def test_a_model_of_bytes_is_that_of_numbers():
    images = np.random.default_rng(0).integers(256, size=(40, 4, 4), dtype=np.uint8)
    found = []
    for dtype in ("float32", "uint8"):
        adata = from_images(images, dtype=dtype)
        curvi.CurviVAE.setup_anndata(adata)
        curvi.model.set_seed(0)
        model = curvi.CurviVAE(adata, likelihood="continuous_bernoulli", n_hidden=8, n_layers=1)
        model.train(max_epochs=2, enable_progress_bar=False, enable_model_summary=False, logger=None)
        found.append(model.get_latent_representation())
        # New data that are not registered, too.
        found.append(model.get_latent_representation(from_images(images, dtype=dtype)))
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_counts_that_happen_to_be_bytes_are_counts():
    adata = AnnData(np.array([[0, 3], [255, 1]], dtype=np.uint8))
    ((_, block),) = value_blocks(adata)
    assert block.max() == 255


def test_pictures_kept_as_other_types_are_refused():
    with pytest.raises(ValueError, match="`dtype` is 'int32'; expected 'float32' or 'uint8'"):
        from_images(np.zeros((2, 3, 3)), dtype="int32")
