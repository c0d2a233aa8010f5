"""The 8 x 8 digits that scikit-learn ships."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

from curvi.data import from_images

if TYPE_CHECKING:
    from anndata import AnnData

_N_TRAIN = 1437


def digits() -> AnnData:
    """1,797 handwritten digits, 8 x 8 grey pixels of 17 levels; needs no network.

    Returns
    -------
    AnnData ``(1797, 64)`` from :func:`curvi.data.from_images`, with values from 0 to 1, and ``.obs["label"]``, ``"0"``
    to ``"9"``, and ``.obs["split"]``: the last fifth in the set's own order is ``"test"``, the rest ``"train"``.

    References
    ----------
    Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.digits()
    >>> adata.shape, curvi.data.image_shape(adata), int((adata.obs["split"] == "test").sum())
    ((1797, 64), (8, 8), 360)
    """
    bunch = load_digits()
    split = np.where(np.arange(len(bunch.target)) < _N_TRAIN, "train", "test")
    return from_images(
        bunch.images,
        labels=bunch.target.astype(str),
        obs={"split": pd.Categorical(split, categories=["train", "test"])},
        value_range=(0, 16),
    )
