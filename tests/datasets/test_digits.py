from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from curvi.data import image_shape, to_images
from curvi.datasets import digits


def test_they_are_those_of_scikit_learn():
    adata = digits()
    bunch = load_digits()
    assert image_shape(adata) == (8, 8)
    np.testing.assert_array_equal(to_images(adata) * 16, bunch.images)
    assert list(adata.obs["label"]) == list(bunch.target.astype(str))


def test_split():
    split = digits().obs["split"]
    assert split.cat.categories.tolist() == ["train", "test"]
    assert (split == "test").sum() == 360
    assert (split.iloc[:1437] == "train").all()
