"""What the benchmarks of scale share: synthetic counts of any size, fresh processes, clocks, peak memory."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback
from scipy.sparse import csr_matrix

Row = dict[str, Any]

N_GENES, DENSITY, BATCH = 2000, 0.08, 128
CHUNK = 20_000


def counts(n_cells: int, n_genes: int = N_GENES, density: float = DENSITY, seed: int = 0) -> csr_matrix:
    """Counts with entries at random places, 1 + Poisson(0.6) each, float32; made in chunks, held once.

    Cost is the question here, not structure: nothing is to be learned from these cells.
    """
    rng = np.random.default_rng(seed)
    capacity = int(n_cells * n_genes * density * 1.01) + 10_000
    data, columns = np.empty(capacity, np.float32), np.empty(capacity, np.int32)
    starts = np.zeros(n_cells + 1, np.int64)
    filled = 0
    for first in range(0, n_cells, CHUNK):
        n = min(CHUNK, n_cells - first)
        # The gaps between entries of independent places are geometric.
        gaps = rng.geometric(density, int(n * n_genes * density * 1.05) + 1000)
        places = np.cumsum(gaps) - 1
        places = places[: np.searchsorted(places, n * n_genes)]
        end = filled + len(places)
        columns[filled:end] = places % n_genes
        data[filled:end] = 1 + rng.poisson(0.6, len(places))
        starts[first + 1 : first + n + 1] = filled + np.searchsorted(places, np.arange(1, n + 1) * n_genes)
        filled = end
    if filled < 2**31:
        starts = starts.astype(np.int32)
    return csr_matrix((data[:filled], columns[:filled], starts), shape=(n_cells, n_genes), copy=False)


def cells(n_cells: int, seed: int = 0) -> anndata.AnnData:
    """Synthetic cells, without names that would cost more than they say."""
    index = pd.Index(np.arange(n_cells).astype(str))
    genes = pd.DataFrame(index=[f"gene{i}" for i in range(N_GENES)])
    return anndata.AnnData(counts(n_cells, seed=seed), obs=pd.DataFrame(index=index), var=genes)


def matrix_gb(n_cells: int) -> float:
    """The size of the matrix of :func:`counts` in GB: a value and a column of four bytes each."""
    return 8 * n_cells * N_GENES * DENSITY / 1e9


def peak_gb() -> float:
    """The largest resident memory of this process so far, in GB (10^9 bytes).

    Of the process itself: what ``getrusage`` says begins at the memory of the process that started it.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e9
    raise SystemExit("this benchmark reads peak memory from /proc/self/status, which is not here")


class EpochClock(Callback):
    """Wall and processor time of each training epoch, in seconds."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        self._start = time.perf_counter(), time.process_time()

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.wall.append(time.perf_counter() - self._start[0])
        self.cpu.append(time.process_time() - self._start[1])


def fresh(script: str, *arguments: object) -> Any:
    """What a new Python process that runs a script of this folder prints in its last line, as JSON."""
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def add_thread_options(parser: argparse.ArgumentParser) -> None:
    """The option ``--threads``, and the one by which :func:`by_threads` asks a script for its rows."""
    parser.add_argument("--threads", nargs="+", type=int, help="by default as many as torch takes")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)


def by_threads(
    script: str, threads: list[int] | None, table: Callable[[list[Row]], None], *arguments: object
) -> list[Row]:
    """The rows of a script, in a process of its own for each number of threads; each has its table printed."""
    found = []
    for n_threads in threads or [torch.get_num_threads()]:
        rows = fresh(script, "--one", "--threads", n_threads, *arguments)
        table(rows)
        found += rows
    return found


def print_table(rows: list[dict[str, str]]) -> None:
    """Rows under the names of their columns, in Markdown."""
    print(f"| {' | '.join(rows[0])} |\n|---{'|--:' * (len(rows[0]) - 1)}|")
    for row in rows:
        print(f"| {' | '.join(row.values())} |")
    print(flush=True)
