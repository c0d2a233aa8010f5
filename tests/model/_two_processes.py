"""What test_distributed.py looks at: trainings in two processes, one for each name, whose findings go into a folder.

A script of its own: its processes are forked, which a test runner with threads should not be.
"""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path

import anndata
import numpy as np
import scvi
import torch
import torch.multiprocessing
from lightning.pytorch import LightningDataModule
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from scipy import sparse
from torch import distributed
from torch.utils.data import DataLoader, IterableDataset

import curvi

TWO = {"accelerator": "cpu", "devices": 2, "strategy": "ddp_fork", "enable_progress_bar": False, "log_every_n_steps": 1}
ONE = {"accelerator": "cpu", "enable_progress_bar": False, "log_every_n_steps": 1}
LATENTS = {
    "vmf": "vmf",
    "lorentz": "lorentz",
    "normal": "normal",
    "product": [("vmf", 2), ("lorentz", 2, {"learn_curvature": True}), ("normal", 2)],
}
# A model without noise, whose gradient of a minibatch is the mean of those of its halves.
PLAIN = {"latent": "delta", "normalization": "layer", "dropout_rate": 0.0}
FOLDER = Path(sys.argv[1]) if __name__ == "__main__" else Path()


def cells(n=301):
    adata = curvi.datasets.synthetic(n_obs=n, n_vars=30, levels={"patient": 2})
    # A cell is known by the count of its first gene.
    counts = sparse.lil_matrix(adata.X)
    counts[:, 0] = np.arange(1, n + 1)[:, None]
    adata.X = sparse.csr_matrix(counts)
    return adata


def make(adata, **kwargs):
    curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
    scvi.settings.seed = 0
    return curvi.CurviVAE(adata, n_hidden=16, **kwargs)


def weights(model):
    return {name: value.numpy().copy() for name, value in model.module.state_dict().items()}


class Recorder(Callback):
    """Writes down what a process has seen: its minibatches, the seed of each epoch, its last running figures."""

    def __init__(self, name):
        self.name = name
        self.batches, self.seeds, self.first, self.last = [], [], {}, {}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if not self.batches:
            self.first = weights(pl_module)
        self.batches.append({name: value.clone() for name, value in batch.items()})

    def on_train_epoch_end(self, trainer, pl_module):
        self.seeds.append(torch.initial_seed())

    def on_fit_end(self, trainer, pl_module):
        self.last = weights(pl_module)
        found = {name: vars(self)[name] for name in ("batches", "seeds", "first", "last")}
        torch.save(found, FOLDER / f"{self.name}_{trainer.global_rank}.pt")


class Told(IterableDataset):
    """Minibatches in the order in which they are told, a number of them each epoch."""

    def __init__(self, batches, n_steps):
        self.batches = iter(batches)
        self.n_steps = n_steps

    def __len__(self):
        return self.n_steps

    def __iter__(self):
        for _ in range(self.n_steps):
            yield next(self.batches)


class Module(LightningDataModule):
    def __init__(self, batches, n_steps):
        super().__init__()
        self.data = Told(batches, n_steps)

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=None)


def latents():
    """Trainings with early stopping in four latent spaces."""
    found = {}
    for name, latent in LATENTS.items():
        model = make(cells(), latent=latent)
        model.train(3, early_stopping=True, kl_warmup=0.5, batch_size=32, callbacks=[Recorder(name)], **TWO)
        history = {key: frame.iloc[:, 0].astype(float).to_numpy() for key, frame in model.history.items()}
        z = model.get_latent_representation()
        split = [model.train_indices, model.validation_indices]
        found[name] = {"history": history, "on_manifold": model.manifold.contains(torch.tensor(z)), "split": split}
    return found


def equal():
    """Two processes against one process whose minibatches are those of both."""
    settings = {"lr_schedule": "cosine", "kl_warmup": 0.5, "plan_kwargs": {"lr": 1e-2}}
    adata = cells(192)
    model = make(adata, **PLAIN)
    model.train(4, train_size=1.0, batch_size=16, callbacks=[Recorder("equal")], **settings, **TWO)
    seen = [torch.load(FOLDER / f"equal_{rank}.pt", weights_only=False)["batches"] for rank in range(2)]
    batches = [{key: torch.cat([a[key], b[key]]) for key in a} for a, b in zip(*seen, strict=True)]
    other = make(adata, **PLAIN)
    other.train(4, datamodule=Module(batches, 6), **settings, **ONE)
    kl_weight = [one.history["kl_weight"].iloc[:, 0].astype(float).to_numpy() for one in (model, other)]
    elbo = [one.history["elbo_train"].iloc[:, 0].astype(float).to_numpy() for one in (model, other)]
    return {"weights": [weights(model), weights(other)], "kl_weight": kl_weight, "elbo": elbo}


def figures():
    """The figures of the validation cells, of which the processes have different numbers."""
    model = make(cells(), **PLAIN)
    model.train(2, batch_size=32, validation_size=0.09, check_val_every_n_epoch=1, **TWO)
    said = float(model.history["elbo_validation"].iloc[-1, 0])
    return {"said": said, "n": len(model.validation_indices), "is": -model.get_elbo(indices=model.validation_indices)}


def stopped():
    """Early stopping where nothing is good enough, and a second training."""
    model = make(cells())
    model.train(9, early_stopping=True, early_stopping_patience=2, early_stopping_min_delta=1e6, batch_size=64, **TWO)
    first = len(model.history["elbo_validation"])
    model.train(2, batch_size=64, **TWO)
    return {"first": first, "epochs": len(model.history["elbo_train"])}


def resumed():
    """A training that is interrupted after two epochs of four, and taken up."""

    def train(epochs, folder, **kwargs):
        model = make(cells())
        names = {"filename": "last", "enable_version_counter": False}
        kept = ModelCheckpoint(FOLDER / folder, save_on_train_epoch_end=True, **names)
        watch = Recorder(f"{folder}{epochs}")
        model.train(epochs, kl_warmup=0, batch_size=32, callbacks=[kept, watch], **kwargs, **TWO)
        return model

    whole = train(4, "whole")
    train(2, "part")
    taken_up = train(4, "part", ckpt_path=FOLDER / "part" / "last.ckpt")
    history = taken_up.history["elbo_train"]
    return {"weights": [weights(whole), weights(taken_up)], "epochs": len(history)}


def on_disk():
    """Cells that stay on disk."""
    cells(1490).write_h5ad(FOLDER / "cells.h5ad")
    model = make(anndata.read_h5ad(FOLDER / "cells.h5ad", backed="r"))
    model.train(2, train_size=1.0, batch_size=100, callbacks=[Recorder("disk")], **TWO)
    return {"epochs": len(model.history["elbo_train"])}


def held():
    """Cells that each process holds on its device, and cells that come from memory."""
    found = []
    for place in ("cpu", "model"):
        model = make(cells())
        model.train(3, batch_size=32, data_device=place, callbacks=[Recorder(f"held_{place}")], **TWO)
        found.append(weights(model))
    return found


def _embed(rank, model, adata):
    file = f"file://{FOLDER / 'meet'}"
    distributed.init_process_group("gloo", init_method=file, rank=rank, world_size=2)
    found = {}
    for name, kwargs in {"all": {}, "some": {"indices": np.arange(300)[::-2], "batch_size": 32}}.items():
        own = model.get_latent_representation(dataloader=model.process_loader(adata, **kwargs))
        found[name] = (len(own), curvi.model.gather_rows(own))
    loader = model.process_loader(adata)
    draws = model.get_latent_representation(dataloader=loader, give_mean=False, n_samples=3)
    found["draws"] = (draws.shape, curvi.model.gather_rows(draws, axis=1))
    expression = model.get_normalized_expression(dataloader=model.process_loader(adata), return_numpy=True)
    found["expression"] = (len(expression), curvi.model.gather_rows(expression))
    try:
        curvi.model.gather_rows(np.zeros((2, 2 + rank)))
    except ValueError as error:
        found["error"] = str(error)
    (FOLDER / f"embedded_{rank}").write_bytes(pickle.dumps(found))
    distributed.destroy_process_group()


def embedded():
    """Cells that two processes embed together."""
    model = make(cells(1100))
    model.train(2, **ONE)
    adata = model.adata
    args = {"nprocs": 2, "start_method": "fork"}
    torch.multiprocessing.start_processes(_embed, (model, adata), **args)
    alone = {
        "all": model.get_latent_representation(),
        "some": model.get_latent_representation(indices=np.arange(300)[::-2], batch_size=32),
    }
    return {"alone": alone, "together": [pickle.loads((FOLDER / f"embedded_{r}").read_bytes()) for r in range(2)]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.filterwarnings("error", category=UserWarning)
    warnings.filterwarnings("ignore", message="The number of training batches")
    warnings.filterwarnings("ignore", message="The .*dataloader.* does not have many workers")
    for part in (embedded, equal, figures, stopped, resumed, on_disk, held, latents):
        if len(sys.argv) > 2 and part.__name__ not in sys.argv[2:]:
            continue
        (FOLDER / part.__name__).write_bytes(pickle.dumps(part()))
