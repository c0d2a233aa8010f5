"""What would 10 million, 100 million, a billion cells cost? Worked out from what was measured, and checked against it.

The model is that a step costs the same whatever the size of the set, and memory is a constant plus so many bytes a
cell. Both are fitted on sets of up to 80,000 cells (`training_scale.py`), and what they say of the larger sets is
compared with what was measured there. Then come the sizes that nobody measured here, with what reading from disk costs
a cell (`streaming.py`) and what embedding costs (`embedding_throughput.py`).

Two figures are assumptions, not measurements, and are named as such in the table: by how much an accelerator is faster
than one core, and how fast it can be fed. Both can be given.

Usage: ``python benchmarks/cost_model.py [--folder benchmarks/results] [--accelerator 50] [--read-gb-s 1.0] [--json]``,
the folder with the JSON files of these three
"""

from __future__ import annotations

import argparse
import json
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from _scale import BATCH, DENSITY, N_GENES, matrix_gb, print_table
from _setting import RESULTS, add_json_option, write_results

FITTED_UP_TO = 80_000
TARGETS = [10**7, 10**8, 10**9]
# Of the default training of 20,000 cells.
STEPS = 400 * ceil(20_000 / BATCH)


def figures(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / f"{name}.json"
    if not path.exists():
        raise SystemExit(f"{path.name} is missing; write it with `python benchmarks/{name}.py --json {path}`")
    return json.loads(path.read_text())["figures"]


def fitted(rows: list[dict[str, Any]], key: str) -> tuple[float, float]:
    """A constant and a slope by the cell, from the sets of up to 80,000 cells; times have no constant."""
    small = [row for row in rows if row["n_cells"] <= FITTED_UP_TO]
    n, y = np.array([row["n_cells"] for row in small], float), np.array([row[key] for row in small])
    if key.endswith("_s"):
        return 0.0, float(np.median(y / n))
    slope, constant = np.polyfit(n, y, 1)
    return float(constant), float(slope)


def check(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the small sets say of the large ones, printed and returned."""
    found, lines = [], []
    for row in rows:
        if row["n_cells"] <= FITTED_UP_TO:
            continue
        for key, unit in {"cpu_s": "processor s an epoch", "wall_s": "s an epoch", "peak_gb": "peak, GB"}.items():
            constant, slope = fitted(rows, key)
            said = constant + slope * row["n_cells"]
            if key == "peak_gb":
                # Memory of a few small sets says little of a slope; the size of the matrix is known.
                said = fitted_base(rows) + matrix_gb(row["n_cells"])
            found.append({"n_cells": row["n_cells"], "figure": unit, "predicted": said, "measured": row[key]})
            lines.append(
                {
                    "cells": f"{row['n_cells']:,}",
                    "": unit,
                    "predicted": f"{said:.2f}",
                    "measured": f"{row[key]:.2f}",
                    "error": f"{said / row[key] - 1:+.0%}",
                }
            )
    if lines:
        print(f"Predicted from the sets of up to {FITTED_UP_TO:,} cells\n")
        print_table(lines)
    return found


def fitted_base(rows: list[dict[str, Any]]) -> float:
    """What a process needs beside the matrix, in GB: the largest of the small sets."""
    return max(row["peak_gb"] - row["matrix_gb"] for row in rows if row["n_cells"] <= FITTED_UP_TO)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=RESULTS, help="with the figures of the other benchmarks")
    parser.add_argument("--accelerator", type=float, default=50.0, help="ASSUMED: how many cores an accelerator is")
    add_json_option(parser, __file__)
    parser.add_argument("--read-gb-s", type=float, default=1.0, help="ASSUMED: GB/s that a node reads from its disks")
    options = parser.parse_args()
    rows = [row for row in figures(options.folder, "training_scale") if row["model"] == "scphere"]
    checked = check(rows)
    _, per_cell = fitted(rows, "cpu_s")
    streams = [row for row in figures(options.folder, "streaming") if row["kind"] == "zarr"]
    slower, stream_gb = streams[-1]["times_memory_cpu"], max(row["peak_gb"] for row in streams)
    embeds = figures(options.folder, "embedding_throughput")
    largest = max(row["n_cells"] for row in embeds)
    embedding = max(
        row["cpu_s"] / row["n_cells"]
        for row in embeds
        if row["n_cells"] == largest and row["batch_size"] == "default" and row["model"] != "scVI"
    )
    base = fitted_base(rows)
    worked_out = [
        {
            "n_cells": n,
            "steps": ceil(n / BATCH),
            "matrix_gb": matrix_gb(n),
            "memory_gb": base + matrix_gb(n),
            "streamed_gb": stream_gb,
            "core_hours": n * per_cell / 3600,
            "core_hours_streamed": n * per_cell * slower / 3600,
            "core_hours_embedding": n * embedding / 3600,
            "accelerator_hours": n * per_cell / 3600 / options.accelerator,
            "read_hours": matrix_gb(n) / options.read_gb_s / 3600,
        }
        for n in TARGETS
    ]
    lines = [
        {
            "cells": f"{row['n_cells']:,}",
            "steps an epoch": f"{row['steps']:,}",
            "matrix, GB": f"{row['matrix_gb']:,.0f}",
            "in memory, GB": f"{row['memory_gb']:,.0f}",
            "streamed, GB": f"{row['streamed_gb']:.1f} + columns",
            "epoch in memory, core hours": f"{row['core_hours']:,.1f}",
            "epoch streamed, core hours": f"{row['core_hours_streamed']:,.1f}",
            "embedding, core hours": f"{row['core_hours_embedding']:,.2f}",
            "accelerator hours an epoch (assumed)": f"{row['accelerator_hours']:,.2f}",
            "hours of reading an epoch (assumed)": f"{row['read_hours']:,.2f}",
        }
        for row in worked_out
    ]
    print(
        f"{N_GENES} genes, {DENSITY:.0%} above 0, minibatch {BATCH}: {per_cell * 1e6:.0f} processor us a cell in "
        f"memory, {per_cell * slower * 1e6:.0f} streamed from zarr, {embedding * 1e6:.1f} to embed. Assumed, not "
        f"measured: an accelerator is {options.accelerator:g} cores, a node reads {options.read_gb_s:g} GB/s.\n"
    )
    print_table(lines)
    print(f"The default training of 20,000 cells is {STEPS:,} steps: {STEPS * BATCH / 1e6:.0f} million cells read.")
    written = {
        "fitted_up_to": FITTED_UP_TO,
        "cell_us": per_cell * 1e6,
        "cell_streamed_us": per_cell * slower * 1e6,
        "cell_embedding_us": embedding * 1e6,
        "assumed_cores_of_an_accelerator": options.accelerator,
        "assumed_read_gb_s": options.read_gb_s,
        "checked": checked,
        "worked_out": worked_out,
    }
    write_results(options.json, written)


if __name__ == "__main__":
    main()
