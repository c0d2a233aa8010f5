"""Is ``latent="normal"`` scVI? The validation ELBO of both, same architecture, likelihood and seeds, on two real sets.

Usage: ``CURVI_DATA_DIR=... python benchmarks/scvi_parity.py [--seeds 5] [--epochs 60]``
"""

from __future__ import annotations

import argparse

import numpy as np
import scvi
from _setting import QUIET, be_quiet, machine, real

import curvi

SETS = {"kang_muscat": "donor", "oligodendrocyte_marques_scx": "sex"}
ARCHITECTURE = {"n_latent": 10, "n_layers": 1, "n_hidden": 128, "dropout_rate": 0.1}


def validation_elbo(model, epochs: int) -> float:
    """The ELBO of the validation cells after training, in nats a cell, mean of ten draws."""
    model.train(
        max_epochs=epochs,
        train_size=0.9,
        batch_size=128,
        check_val_every_n_epoch=epochs,
        plan_kwargs={"n_epochs_kl_warmup": epochs // 4},
        **QUIET,
    )
    return float(np.mean([float(model.get_elbo(indices=model.validation_indices)) for _ in range(10)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--likelihoods", nargs="+", default=["nb"], choices=["nb", "zinb", "poisson"])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    options = parser.parse_args()
    be_quiet()
    print(f"validation ELBO (nats a cell), {options.seeds} seeds, {options.epochs} epochs, {machine()}")
    for name in options.sets:
        adata, batch = real(name), SETS[name]
        for likelihood in options.likelihoods:
            scores: dict[str, list[float]] = {"scVI": [], "curvi": []}
            for seed in range(options.seeds):
                scvi.settings.seed = seed
                scvi.model.SCVI.setup_anndata(adata, batch_key=batch)
                scores["scVI"].append(
                    validation_elbo(scvi.model.SCVI(adata, gene_likelihood=likelihood, **ARCHITECTURE), options.epochs)
                )
                scvi.settings.seed = seed
                curvi.CurviVAE.setup_anndata(adata, batch_key=batch)
                model = curvi.CurviVAE(adata, latent="normal", likelihood=likelihood, **ARCHITECTURE)
                scores["curvi"].append(validation_elbo(model, options.epochs))
            mean = {key: np.mean(values) for key, values in scores.items()}
            spread = {key: np.std(values, ddof=1) for key, values in scores.items()}
            print(
                f"{name:30s} {likelihood:5s} scVI {mean['scVI']:9.2f} +- {spread['scVI']:.2f}   "
                f"curvi {mean['curvi']:9.2f} +- {spread['curvi']:.2f}   "
                f"difference {mean['curvi'] - mean['scVI']:+.2f} = "
                f"{(mean['curvi'] - mean['scVI']) / max(spread.values()):+.2f} spreads"
            )


if __name__ == "__main__":
    main()
