"""Cut-out pictures of cells, split by the picture that they were cut from."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from anndata import AnnData

from curvi.data import from_images


def packed(name: str) -> dict[str, np.ndarray]:
    """The arrays of ``name`` in the folder that ``CURVI_DATA_DIR`` names."""
    folder = os.environ.get("CURVI_DATA_DIR")
    if not folder:
        raise SystemExit(f"set CURVI_DATA_DIR to the folder that holds {name}.npz to run this benchmark")
    with np.load(Path(folder) / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def living_and_dead(test_share: float = 0.25) -> AnnData:
    """The living and dead cells, grey; all cells of one picture are in ``"train"`` or all in ``"test"``."""
    arrays = packed("ldc_livedead28")
    _, first = np.unique(arrays["images"].reshape(len(arrays["images"]), -1), axis=0, return_index=True)
    rows = np.sort(first)
    pictures, number = np.unique(arrays["source_image"][rows], return_inverse=True)
    order = np.random.default_rng(0).permutation(len(pictures))
    held = np.isin(number, order[: round(test_share * len(pictures))])
    obs = {
        "group": arrays["group"][rows],
        "source_image": arrays["source_image"][rows],
        "split": np.where(held, "test", "train"),
    }
    return from_images(arrays["images"][rows], arrays["labels"][rows], obs=obs)


def dequantised(adata: AnnData, seed: int) -> AnnData:
    """A copy with (byte + u) / 256 for u uniform in [0, 1): values with a density in place of 256 steps."""
    drawn = adata.copy()
    noise = np.random.default_rng(seed).random(adata.shape)
    drawn.X = ((np.round(255 * np.asarray(adata.X, dtype=np.float64)) + noise) / 256).astype(np.float32)
    return drawn
