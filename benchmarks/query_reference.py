"""Does a model that learns new batch categories still say the same of the cells it was trained on? And scvi-tools'?

Glioblastoma, three batch levels: patient, location, treatment. The query has a new patient and a new location. Each
model is trained on the reference, made ready for the query (`load_query_data`), then trained on the query. The table
has the largest change of what is said of the reference cells, the noise of draws held fixed: decoded means relative to
themselves, embedding relative to its spread, and the ELBO in nats.

Usage: ``CURVI_DATA_DIR=... python benchmarks/query_reference.py [--epochs 30]``
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import scvi
from _setting import QUIET, be_quiet, machine, real
from anndata import AnnData

import curvi

LEVELS = ["patient_id", "location", "treatment"]
LATENTS: dict[str, Any] = {
    "curvi, vMF": {"latent": "vmf", "n_latent": 5},
    "curvi, Lorentz": {"latent": "lorentz", "n_latent": 5},
    "curvi, Gaussian": {"latent": "normal", "n_latent": 10},
    "curvi, product": {"latent": [("vmf", 2), ("lorentz", 2), ("normal", 4)]},
    "curvi, encoder sees levels": {"latent": "vmf", "n_latent": 5, "encode_covariates": True},
}


def parts() -> tuple[AnnData, AnnData]:
    """The cells of the first patients and locations, and the others."""
    adata = real("glioblastoma_lemur")
    for level in LEVELS:
        adata.obs[level] = adata.obs[level].astype(str)
    new = [adata.obs[level] == sorted(adata.obs[level].unique())[-1] for level in ("patient_id", "location")]
    known = (~new[0] & ~new[1]).to_numpy()
    return adata[known].copy(), adata[~known].copy()


def said(model: Any, adata: AnnData) -> dict[str, np.ndarray]:
    """What a model says of cells, with the same draws every time."""
    model.is_trained_ = True  # scvi-tools refuses to embed between loading and training
    found = {}
    scvi.settings.seed = 0
    found["embedding"] = model.get_latent_representation(adata)
    scvi.settings.seed = 0
    found["means"] = model.get_normalized_expression(adata, library_size=1e4, return_numpy=True)
    scvi.settings.seed = 0
    found["elbo"] = np.asarray(model.get_elbo(adata, return_mean=False))
    return found


def changes(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> list[str]:
    means = np.abs(after["means"] / before["means"] - 1).max()
    moved = np.linalg.norm(after["embedding"] - before["embedding"], axis=1).max() / before["embedding"].std()
    return [f"{means:.2g}", f"{moved:.2g}", f"{np.abs(after['elbo'] - before['elbo']).max():.2g}"]


def run(model: Any, query: AnnData, reference: AnnData, epochs: int) -> list[str]:
    before = said(model, reference)
    mapped = type(model).load_query_data(query.copy(), model)
    loaded = changes(before, said(mapped, reference.copy()))
    mapped.is_trained_ = False
    start = float(mapped.get_elbo())
    mapped.train(max_epochs=epochs, **QUIET)
    gained = float(mapped.get_elbo()) - start
    return [*loaded, *changes(before, said(mapped, reference.copy())), f"{abs(gained):.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    be_quiet()
    reference, query = parts()
    print(f"{reference.n_obs} reference cells, {query.n_obs} of the query, {options.epochs} epochs each, {machine()}")
    print("| model | loaded: means | embedding | ELBO | trained: means | embedding | ELBO | ELBO gained on the query |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, arguments in LATENTS.items():
        data = reference.copy()
        curvi.CurviVAE.setup_anndata(data, batch_key=LEVELS)
        scvi.settings.seed = 0
        model = curvi.CurviVAE(data, **arguments)
        model.train(max_epochs=options.epochs, **QUIET)
        print(f"| {name} | {' | '.join(run(model, query, data, options.epochs))} |", flush=True)
    data = reference.copy()
    scvi.model.SCVI.setup_anndata(data, batch_key=LEVELS[0], categorical_covariate_keys=LEVELS[1:])
    scvi.settings.seed = 0
    peer = scvi.model.SCVI(data, gene_likelihood="nb")
    peer.train(max_epochs=options.epochs, **QUIET)
    print(f"| scvi-tools | {' | '.join(run(peer, query, data, options.epochs))} |", flush=True)


if __name__ == "__main__":
    main()
