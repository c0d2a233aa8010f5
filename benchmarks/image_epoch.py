"""How long is an epoch over 60,000 handwritten digits, against a training loop written by hand?

The same variational autoencoder, 784-256-128-10 and back, ReLU, with a Gaussian latent space and a Bernoulli
likelihood, Adam, minibatches of 128: by `CurviVAE.train`, by a plain loop over a `DataLoader` of single images, as
tutorials write it, and by a loop over shuffled slices of one tensor. In turn; medians compare. Each number of threads
has a process of its own.

Usage: ``CURVI_DATA_DIR=... python benchmarks/image_epoch.py [--repeats 5] [--threads 1 2] [--json]``
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from _scale import BATCH, EpochClock, add_thread_options, by_threads, print_table
from _setting import QUIET, add_json_option, be_quiet, machine, write_results
from anndata import AnnData
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import curvi

WIDTHS, DIM = [256, 128], 10
OURS, LOOP, SLICES = "curvi", "loop over a DataLoader", "loop over slices of a tensor"


class Plain(nn.Module):
    """The variational autoencoder as one writes it down."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.encoder = self._network([n_in, *WIDTHS, 2 * DIM])
        self.decoder = self._network([DIM, *WIDTHS[::-1], n_in])

    @staticmethod
    def _network(widths: list[int]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """The mean negative ELBO of a minibatch."""
        mean, log_variance = self.encoder(x).chunk(2, dim=-1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        misfit = functional.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
        return (misfit + divergence) / len(x)


def slices(images: Tensor) -> Iterable[tuple[Tensor]]:
    """Minibatches without a loader."""
    for rows in torch.randperm(len(images)).split(BATCH):
        yield (images[rows],)


def loop_epoch(images: Tensor, minibatches: Callable[[], Iterable[tuple[Tensor]]]) -> Callable[[], tuple[float, float]]:
    model = Plain(images.shape[1])
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def epoch() -> tuple[float, float]:
        start = time.perf_counter(), time.process_time()
        for (x,) in minibatches():
            optimiser.zero_grad()
            loss = model(x)
            loss.backward()
            optimiser.step()
        return time.perf_counter() - start[0], time.process_time() - start[1]

    return epoch


def our_epoch(adata: AnnData) -> Callable[[], tuple[float, float]]:
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(
        adata,
        latent="normal",
        n_latent=DIM,
        likelihood="bernoulli",
        n_hidden=WIDTHS,
        normalization="none",
        dropout_rate=0.0,
    )

    def epoch() -> tuple[float, float]:
        clock = EpochClock()
        model.train(1, train_size=1.0, batch_size=BATCH, callbacks=[clock], **QUIET)
        return clock.wall[0], clock.cpu[0]

    return epoch


def measure(n_images: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each loop: seconds an epoch, and how many times ours that is."""
    torch.manual_seed(0)
    adata = curvi.datasets.mnist(n_train=n_images, n_test=0)
    # Black and white, so that the likelihood is one of all three.
    adata.X = (np.random.default_rng(0).random(adata.shape) < adata.X).astype(np.float32)
    images = torch.from_numpy(adata.X)
    loader = DataLoader(TensorDataset(images), batch_size=BATCH, shuffle=True)
    epochs = {
        OURS: our_epoch(adata),
        LOOP: loop_epoch(images, lambda: loader),
        SLICES: loop_epoch(images, lambda: slices(images)),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in epochs}
    for repeat in range(repeats + 1):
        for name, epoch in epochs.items():
            found = epoch()
            if repeat:
                seconds[name].append(found)
    ours = np.array(seconds[OURS])
    rows = []
    for name, values in seconds.items():
        wall, cpu = (np.array(part) for part in zip(*values, strict=True))
        row = {
            "loop": name,
            "n_images": len(images),
            "threads": torch.get_num_threads(),
            "wall_s": statistics.median(wall),
            "cpu_s": statistics.median(cpu),
            "times_ours": float(np.median(wall / ours[:, 0])),
            "times_ours_cpu": float(np.median(cpu / ours[:, 1])),
        }
        rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> None:
    print(f"{rows[0]['n_images']:,} images, minibatch {BATCH}, threads: {rows[0]['threads']}\n")
    print_table(
        [
            {
                "": row["loop"],
                "s an epoch": f"{row['wall_s']:.2f}",
                "processor s": f"{row['cpu_s']:.2f}",
                "times ours": f"{row['times_ours']:.2f}",
                "times ours, processor time": f"{row['times_ours_cpu']:.2f}",
            }
            for row in rows
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=60_000)
    add_thread_options(parser)
    add_json_option(parser, __file__)
    options = parser.parse_args()
    be_quiet()
    if options.one:
        torch.set_num_threads(*options.threads)
        print(json.dumps(measure(options.images, options.repeats)))
        return
    print(machine())
    same = ["--images", options.images, "--repeats", options.repeats]
    write_results(options.json, by_threads(__file__, options.threads, table, *same))


if __name__ == "__main__":
    main()
