"""How far above the ELBO is the likelihood of held-out cells, for every latent space, and how many draws does it take?

Lupus blood cells, the levels donor and condition, a fifth of the cells held out. The table has their ELBO and the
importance-weighted estimate of their log-likelihood with 1, 10, 100 and 1000 draws, in nats a cell.

Usage: ``CURVI_DATA_DIR=... python benchmarks/marginal_ll.py [--epochs 40] [--markdown]``
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import scvi
from _setting import QUIET, be_quiet, real
from _tables import Report, add_markdown_option

import curvi

LEVELS = ["donor", "condition"]
LEARNED = {"learn_curvature": True}
SPACES: dict[str, Any] = {
    "vmf 2": {"latent": "vmf", "n_latent": 2},
    "vmf 10": {"latent": "vmf", "n_latent": 10},
    "power_spherical 2": {"latent": "power_spherical", "n_latent": 2},
    "power_spherical 10": {"latent": "power_spherical", "n_latent": 10},
    "lorentz 2": {"latent": "lorentz", "n_latent": 2},
    "lorentz 10": {"latent": "lorentz", "n_latent": 10},
    "poincare 2": {"latent": "poincare", "n_latent": 2},
    "normal 2": {"latent": "normal", "n_latent": 2},
    "normal 10": {"latent": "normal", "n_latent": 10},
    "lorentz 2, curvature learned": {"latent": "lorentz", "n_latent": 2, "latent_kwargs": LEARNED},
    "vmf 2 x lorentz 2 x normal 4": {"latent": [("vmf", 2), ("lorentz", 2), ("normal", 4)]},
    "torus": {"latent": [("vmf", 1), ("vmf", 1)]},
}
DRAWS = (1, 10, 100, 1000)


def row(model: Any, epochs: int) -> list[str]:
    model.train(max_epochs=epochs, train_size=0.8, check_val_every_n_epoch=epochs, **QUIET)
    held_out = model.validation_indices
    found = [np.mean([float(model.get_elbo(indices=held_out)) for _ in range(20)])]
    for draws in DRAWS:
        each = [
            np.asarray(
                model.get_marginal_ll(
                    indices=held_out,
                    n_mc_samples=draws,
                    return_mean=False,
                    n_mc_samples_per_pass=min(draws, 10),
                )
            ).mean(dtype=np.float64)
            # Few draws are noisy, and soon repeated.
            for _ in range(max(1, 20 // draws))
        ]
        found.append(np.mean(each))
    return [f"{value:.2f}".replace("-", "−") for value in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=40)
    add_markdown_option(parser, "marginal_ll")
    options = parser.parse_args()
    be_quiet()
    adata = real("kang_muscat")
    rows = []
    for name, arguments in SPACES.items():
        curvi.CurviVAE.setup_anndata(adata, batch_key=LEVELS)
        scvi.settings.seed = 0
        rows.append([name, *row(curvi.CurviVAE(adata, n_layers=1, **arguments), options.epochs)])
        print(" | ".join(rows[-1]), flush=True)
    report = Report("Likelihood of held-out cells", "python benchmarks/marginal_ll.py --markdown")
    report.table(
        f"Lupus blood cells, {options.epochs} epochs, {round(0.2 * adata.n_obs)} cells held out, one seed",
        ["latent space", "ELBO", *(f"{draws} draw{'s' if draws > 1 else ''}" for draws in DRAWS)],
        rows,
    )
    report.write(options.markdown)


if __name__ == "__main__":
    main()
