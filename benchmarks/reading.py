"""How many cells a second come from disk in shuffled minibatches, and what does that need of memory?

Synthetic counts (2000 genes, 8 % of them above 0) are written as h5ad, as zarr, and as a collection of annbatch:
zarr in shards, of chunks of 64 cells. Every store is read once through, in shuffled minibatches of 128 cells as dense
float32 tensors, by `curvi`'s own reader (runs of 512 cells, buffers of 32,768) and by annbatch's `Loader` with the same
two numbers, each with the decompression of zarr and with that of zarrs, in turn, each time in a process of its own.
Nothing is trained. What was just written is in the cache of the operating system, as far as it fits.

annbatch needs Python 3.12 or newer; without it, or without zarrs, the rows that need them are left out.

Usage: ``python benchmarks/reading.py [--cells 200000] [--repeats 3] [--folder /tmp] [--json ...]``
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import torch
import zarr
from _scale import BATCH, DENSITY, N_GENES, cells, fresh, matrix_gb, peak_gb, print_table
from _setting import be_quiet, machine

from curvi.data._loader import CellDataset, CellStream
from curvi.data._shares import Share, even_sizes
from curvi.data._stream import MAX_BUFFER_ROWS, RUNS

STORES = {"h5ad": "cells.h5ad", "zarr": "cells.zarr", "collection": "collection.zarr"}
TITLES = {"h5ad": "h5ad", "zarr": "zarr", "collection": "zarr in shards, by annbatch"}


def kinds() -> list[tuple[str, str, str]]:
    """Reader, store and codec of each row of the table."""
    codecs = ["zarr", *(["zarrs"] if find_spec("zarrs") else [])]
    if not find_spec("annbatch"):
        return [("curvi", "h5ad", ""), *(("curvi", "zarr", codec) for codec in codecs)]
    stored = [(store, codec) for store in ("zarr", "collection") for codec in codecs]
    return [("curvi", "h5ad", ""), *((reader, *how) for how in stored for reader in ("curvi", "annbatch"))]


def write(n_cells: int, folder: Path) -> None:
    adata = cells(n_cells)
    adata.write_h5ad(folder / STORES["h5ad"])
    adata.write_zarr(folder / STORES["zarr"])
    if find_spec("annbatch"):
        from annbatch import DatasetCollection

        collection = DatasetCollection(folder / STORES["collection"])
        collection.add_adatas([folder / STORES["h5ad"]], shuffle=True, rng=np.random.default_rng(0))


def matrices(store: str, folder: Path) -> list[Any]:
    """The matrices of a store, on disk: one, or those of a collection's groups."""
    if store == "h5ad":
        return [anndata.read_h5ad(folder / STORES[store], backed="r").X]
    group = zarr.open_group(folder / STORES[store], mode="r")
    groups = [group] if store == "zarr" else [group[name] for name in sorted(group.group_keys())]
    return [anndata.io.sparse_dataset(each["X"]) for each in groups]


def by_curvi(stored: list[Any]) -> Iterator[torch.Tensor]:
    for matrix in stored:
        n = matrix.shape[0]
        dataset = CellDataset(matrix, {}, np.arange(n))
        for minibatch in CellStream(dataset, Share(0, even_sizes(n, BATCH)), shuffle=True):
            yield minibatch["X"]


def by_annbatch(stored: list[Any]) -> Iterator[torch.Tensor]:
    from annbatch import Loader

    loader = Loader(
        chunk_size=MAX_BUFFER_ROWS // RUNS,
        preload_nchunks=RUNS,
        batch_size=BATCH,
        shuffle=True,
        preload_to_gpu=False,
        to="torch",
        rng=np.random.default_rng(0),
    )
    for minibatch in loader.add_datasets(stored):
        yield minibatch["X"].to_dense()


def measure(reader: str, store: str, codec: str, folder: Path) -> dict[str, float]:
    """Cells a second, by the wall clock and of the processor, and peak memory beyond what the process had before."""
    if codec == "zarrs":
        zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    minibatches = {"curvi": by_curvi, "annbatch": by_annbatch}[reader]
    stored = matrices(store, folder)
    next(minibatches(stored))  # what is compiled, imported or opened once
    before = peak_gb()
    wall, cpu = time.perf_counter(), time.process_time()
    n, total = 0, 0.0
    for x in minibatches(stored):
        n += len(x)
        total += float(x[:, :100].sum())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"n": n, "total": total, "wall_s": wall, "cpu_s": cpu, "before_gb": before, "peak_gb": peak_gb()}


def table(runs: dict[tuple[str, str, str], list[dict[str, float]]], n_cells: int) -> list[dict[str, Any]]:
    figures, rows = [], []
    for (reader, store, codec), values in runs.items():
        if {run["n"] for run in values} != {n_cells} or len({run["total"] for run in values}) > 1:
            raise SystemExit(f"{reader} did not read each cell of {store} once: {values}")
        row: dict[str, Any] = {"reader": reader, "store": store, "codec": codec, "runs": len(values)}
        row |= {key: statistics.median(run[key] for run in values) for key in values[0]}
        # Runs of the same turn, beside each other in time.
        beside = runs.get(("curvi", store, codec), values)
        for key in ("wall_s", "cpu_s"):
            row[f"times_curvi_{key}"] = statistics.median(a[key] / b[key] for a, b in zip(values, beside, strict=True))
        figures.append(row)
        rows.append(
            {
                "store": TITLES[store],
                "decompressed by": codec or "h5py",
                "reader": reader,
                "processor s": f"{row['cpu_s']:.2f}",
                "cells a processor second": f"{n_cells / row['cpu_s']:,.0f}",
                "processor time, of curvi's": f"{row['times_curvi_cpu_s']:.2f}",
                "wall s": f"{row['wall_s']:.2f}",
                "cells a second": f"{n_cells / row['wall_s']:,.0f}",
                "wall time, of curvi's": f"{row['times_curvi_wall_s']:.2f}",
                "peak memory, GB": f"{row['peak_gb']:.2f}",
            }
        )
    print_table(rows)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write, by default the system's temporary folder")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    be_quiet()
    if options.one:
        *kind, folder = options.one
        print(json.dumps(measure(*kind, Path(folder))))
        return
    print(f"{options.cells:,} cells, {N_GENES} genes, {DENSITY:.0%} above 0, minibatch {BATCH}, {machine()}\n")
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        write(options.cells, folder)
        runs: dict[tuple[str, str, str], list[dict[str, float]]] = {kind: [] for kind in kinds()}
        for _ in range(options.repeats):
            for kind in runs:
                runs[kind].append(fresh(__file__, "--one", *kind, folder))
        figures = table(runs, options.cells)
    finally:
        shutil.rmtree(folder)
    print(f"\nthe matrix itself: {matrix_gb(options.cells):.2f} GB")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=2))


if __name__ == "__main__":
    main()
