"""Makes the film of the page "Films and sliders", on MNIST: a closed way through the eights on the globe.

Trains a von Mises-Fisher model on 5,000 digits, about a minute on one core.

Usage: ``python docs/_figures/film.py [--to docs/_static/exploring]``
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import curvi
from curvi import explore, pl


def fitted() -> curvi.CurviVAE:
    """A model of the digits, with their embedding."""
    curvi.model.set_seed(0)
    digits = curvi.datasets.mnist(n_train=5_000, n_test=500)
    curvi.CurviVAE.setup_anndata(digits)
    model = curvi.CurviVAE(digits, latent="vmf", n_latent=2, likelihood="bernoulli", n_hidden=256)
    model.train(max_epochs=30, enable_progress_bar=False, enable_model_summary=False, logger=None)
    model.embed()
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent.parent / "_static" / "exploring")
    folder = parser.parse_args().to
    model = fitted()
    way = explore.loop(model.adata, "label", "8", n_stops=5, n_frames=36)
    drift = explore.drift(model, way.points)
    typical = float(np.median(explore.drift(model, model.adata.obsm["X_curvi"])))
    folder.mkdir(parents=True, exist_ok=True)
    made = pl.film(model, way, folder / "film.gif", fps=9, scale=4, scores=drift, typical=typical)
    print(f"{made.file}: {made.file.stat().st_size / 1000:.0f} kB")
    print(f"drift on the way: {drift.min():.3f} to {drift.max():.3f}; median of the digits: {typical:.3f}")


if __name__ == "__main__":
    main()
