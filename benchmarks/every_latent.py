"""Does every latent space train on real counts, stay on its manifold, and cost little? All families, 20 epochs.

Each space is trained on the OneK1K cells with the architecture of scPhere. The table shows the ELBO of the training
cells after the first and the last epoch, whether it is finite throughout, by how much the worst embedded cell misses
its manifold, the label accuracy (kNN, k = 15), what learned curvatures became, and whether a load of the saved model
restores them and the embedding. The other table is the share of the latent block (posterior, draw, divergence and
coordinates, forward and backward) in a training step of 128 cells and 2000 genes, that of scPhere with its thinning
penalty and that without its second pass through the encoder: medians of runs taken in turn.

Usage: ``CURVI_DATA_DIR=... python benchmarks/every_latent.py [--epochs 20] [--only-cost | --skip-cost]``
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scvi
import torch
from _setting import QUIET, be_quiet, machine, real
from anndata import AnnData
from torch.distributions import kl_divergence

import curvi
from curvi import presets
from curvi.model import set_seed

LEARNED = {"learn_curvature": True}
SPACES: dict[str, Any] = {
    "vmf 1": ("vmf", 1),
    "vmf 2": ("vmf", 2),
    "vmf 3": ("vmf", 3),
    "vmf 10": ("vmf", 10),
    "vmf 50": ("vmf", 50),
    "power_spherical 2": ("power_spherical", 2),
    "power_spherical 10": ("power_spherical", 10),
    "lorentz 2": ("lorentz", 2),
    "lorentz 10": ("lorentz", 10),
    "poincare 2": ("poincare", 2),
    "normal 10": ("normal", 10),
    "delta 10": ("delta", 10),
    "vmf 2 x lorentz 2 x normal 4": [("vmf", 2), ("lorentz", 2), ("normal", 4)],
    "torus": [("vmf", 1), ("vmf", 1)],
    "vmf 2, curvature learned": ("vmf", 2, LEARNED),
    "lorentz 2, curvature learned": ("lorentz", 2, LEARNED),
    "poincare 2, curvature learned": ("poincare", 2, LEARNED),
    "product, curvatures learned": [("vmf", 2, LEARNED), ("lorentz", 2, LEARNED), ("normal", 4)],
}


def arguments(space: Any, thinning_weight: float = 0.0) -> dict[str, Any]:
    """The architecture of scPhere around another latent space, by default without its second pass of the encoder."""
    chosen = presets.scphere | {"thinning_weight": thinning_weight, "latent_kwargs": None}
    if isinstance(space, list):
        return chosen | {"latent": space, "n_latent": None}
    name, dim, *options = space
    return chosen | {"latent": name, "n_latent": dim, "latent_kwargs": options[0] if options else None}


def curvatures(model: curvi.CurviVAE) -> list[float]:
    manifolds = getattr(model.manifold, "parts", [model.manifold])
    return [float(manifold.curvature.detach()) for manifold in manifolds if hasattr(manifold, "curvature")]


def judged(adata: AnnData, model: curvi.CurviVAE) -> dict[str, str]:
    """What became of a trained model, and of its copy on disk."""
    elbo = -model.history["elbo_train"].to_numpy().ravel().astype(float)
    model.embed(adata)
    points = torch.from_numpy(adata.obsm["X_curvi"])
    near = [bound for bound in (1e-7, 1e-6, 1e-5) if model.manifold.contains(points, atol=bound)[0]]
    learned = curvatures(model)
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model")
        loaded = curvi.CurviVAE.load(f"{folder}/model", adata)
    same = np.array_equal(loaded.get_latent_representation(), adata.obsm["X_curvi"]) and curvatures(loaded) == learned
    return {
        "ELBO, first epoch": f"{elbo[0]:.2f}",
        "ELBO, last epoch": f"{elbo[-1]:.2f}",
        "finite": str(bool(np.isfinite(elbo).all() and points.isfinite().all())),
        "off its manifold": f"<= {near[0]:.0e}" if near else "FAR",
        "accuracy": f"{curvi.metrics.knn_accuracy(adata, 'X_curvi', 'cell_type', k=15):.3f}",
        "curvature": ", ".join(f"{c:.3f}" for c in learned) or "-",
        "loaded": "identical" if same else "DIFFERS",
    }


def trainings(epochs: int, names: list[str]) -> None:
    adata = real("onek1k_scdesignpop")
    curvi.CurviVAE.setup_anndata(adata, batch_key=["donor", "sex"])
    print(f"\n{adata.n_obs} cells x {adata.n_vars} genes, {epochs} epochs, {machine()}")
    for i, name in enumerate(names):
        set_seed(0)
        model = curvi.CurviVAE(adata, **arguments(SPACES[name]))
        model.train(max_epochs=epochs, check_val_every_n_epoch=epochs, **QUIET)
        row = {"latent space": name} | judged(adata, model)
        if i == 0:
            print(f"| {' | '.join(row)} |\n{'|---' * len(row)}|")
        print(f"| {' | '.join(row.values())} |", flush=True)


def median_times(functions: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Medians in milliseconds, the functions taken in turn."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(repeats + 5):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if repeat >= 5:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: float(np.median(values)) for name, values in times.items()}


def latent_block(model: curvi.CurviVAE, n: int) -> Callable[[], None]:
    latent = model.module.latent
    raw = torch.randn(n, latent.n_params)

    def block() -> None:
        code = raw.detach().requires_grad_()
        q = latent(code)
        z = q.rsample()
        (latent.coordinates(z).sum() + kl_divergence(q, latent.prior()).sum()).backward()

    return block


def training_step(model: curvi.CurviVAE, tensors: dict[str, torch.Tensor]) -> Callable[[], None]:
    module = model.module.train()
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        _, _, output = module(tensors)
        output.loss.backward()
        optimiser.step()

    return step


def costs(repeats: int) -> None:
    """The latent block's share of a step at 2000 genes and 128 cells."""
    adata = curvi.datasets.synthetic(n_obs=128, n_vars=2000, levels={"patient": 3}, mean_library=2000.0)
    curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
    print(f"\nshare of the latent block in a step, 128 cells x 2000 genes, architecture of scPhere, {machine()}")
    print("| latent space | latent block | share of the step of scPhere | without its thinning penalty |")
    print("|---|---|---|---|")
    for name, space in SPACES.items():
        models = [curvi.CurviVAE(adata, **arguments(space, weight)) for weight in (1.0, 0.0)]
        tensors = next(iter(models[0]._make_data_loader(adata, batch_size=128)))
        steps = {f"step {i}": training_step(model, tensors) for i, model in enumerate(models)}
        times = median_times(steps | {"block": latent_block(models[0], 128)}, repeats)
        shares = " | ".join(f"{times['block'] / times[step]:.1%}" for step in steps)
        print(f"| {name} | {times['block']:.2f} ms | {shares} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument(
        "--spaces", nargs="+", default=list(SPACES), choices=SPACES, metavar="SPACE", help="rows to train"
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--only-cost", action="store_true")
    only.add_argument("--skip-cost", action="store_true")
    options = parser.parse_args()
    be_quiet()
    scvi.settings.seed = 0
    if not options.skip_cost:
        costs(options.repeats)
    if not options.only_cost:
        trainings(options.epochs, options.spaces)


if __name__ == "__main__":
    main()
