"""Draws the picture of the page "Batch levels".

What donor and condition, or patient, treatment and location, explain of two real sets, before the correction and after
it. Usage: ``CURVI_DATA_DIR=... python docs/_figures/levels.py [--to docs/_static]``
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

import anndata
import matplotlib as mpl
import matplotlib.pyplot as plt
import torch
from PIL import Image

import curvi
from curvi.model import set_seed

DOTS_PER_INCH = 130
LEVELS = {"kang_muscat": ["donor", "condition"], "glioblastoma_lemur": ["patient_id", "treatment", "location"]}
TITLES = {"kang_muscat": "blood cells, within cell types", "glioblastoma_lemur": "glioblastoma"}
QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": None}


def effects(name: str, epochs: int) -> object:
    """The table of one set."""
    adata = anndata.read_h5ad(Path(os.environ["CURVI_DATA_DIR"]) / f"{name}.h5ad")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "confounded batch levels")
        curvi.CurviVAE.setup_anndata(adata, batch_key=LEVELS[name])
    set_seed(0)
    model = curvi.CurviVAE(adata, latent="vmf", n_latent=5, encode_covariates=True)
    model.train(max_epochs=epochs, train_size=1.0, check_val_every_n_epoch=None, **QUIET)
    return model.get_level_effects(within="cell_type" if "cell_type" in adata.obs else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent.parent / "_static")
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    mpl.use("Agg")
    torch.set_num_threads(1)
    figure, axes = plt.subplots(1, 2, figsize=(9.8, 2.7))
    for ax, name in zip(axes, LEVELS, strict=True):
        curvi.pl.level_effects(effects(name, options.epochs), title=TITLES[name], ax=ax, show=False)
        ax.get_legend().remove()
    handles, names = ax.get_legend_handles_labels()
    figure.legend(handles, names, loc="center right", frameon=False, fontsize=8.5, handlelength=1.2)
    figure.tight_layout(w_pad=1.5, rect=(0, 0, 0.79, 1))
    path = options.to / "level_effects.png"
    figure.savefig(path, dpi=DOTS_PER_INCH)
    # A table of colours makes the file a third as large.
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
