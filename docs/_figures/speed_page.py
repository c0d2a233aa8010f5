"""Writes the page "Speed and scale" from the figures that the benchmarks keep in ``benchmarks/results``.

Its text is ``speed_page.txt``, in which the names between ``<<`` and ``>>`` stand for figures and tables.

Usage: ``python docs/_figures/speed_page.py``; ``docs/_figures/speed.py`` draws its pictures
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parents[1] / "benchmarks" / "results"
TEXT = HERE / "speed_page.txt"
PAGE = HERE.parent / "benchmarks" / "speed.md"
BASE = 20_000
MODELS = {
    "scphere": "`curvi`, scPhere's architecture, vMF $S^2$",
    "scvi_like": "`curvi`, scVI's architecture, Gaussian",
    "scvi": "scVI, its defaults",
}
SETS = {
    "synthetic": "synthetic cells, 2000 genes",
    "onek1k_scdesignpop": "blood cells {cite:p}`Yazar2022`, 1000 genes",
}
KINDS = {"memory": "in memory", "h5ad": "backed h5ad", "zarr": "zarr"}
TASKS = {"train": "training", "embed": "embedding"}
# Quoted: seconds an epoch and times the own floor, from one run of the three.
PEERS = {
    "scVI, its own architecture": (0.64, 8.9),
    "scPhere, the original in TensorFlow, with thinning": (0.49, 5.8),
    "scPhere, its authors' later version in PyTorch, without": (0.42, 9.8),
}

Row = dict[str, Any]
Parts = dict[str, str]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Rows in Markdown, the first column to the left."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def first_named(rows: list[list[str]]) -> list[list[str]]:
    """The same without the names that stand in the row above."""
    above = ["", *(row[0] for row in rows)]
    return [["" if row[0] == last else row[0], *row[1:]] for last, row in zip(above, rows, strict=False)]


def maths(name: str) -> str:
    """Names of manifolds as formulas, and the name of the package as code."""
    spaces = {"S": "S", "H": "H", "R": r"\mathbb{R}"}
    name = re.sub(r"\b([SHR])\^(\d+)", lambda found: f"${spaces[found[1]]}^{{{found[2]}}}$", name)
    return re.sub(r"\bcurvi\b", "`curvi`", name).replace("$ x $", r" \times ")


def made_by(result: Row) -> str:
    """Which command made a table, when, how long it took, and what else ran."""
    load = result["machine"]["load"]
    beside = "" if load is None else f", load average {load:.1f} when it began"
    return f"`{result['command']}`; {result['date']}, {result['seconds'] / 60:.1f} minutes{beside}."


def by(key: str, rows: list[Row]) -> dict[Any, list[Row]]:
    """Rows by the value of one of their figures, in the order in which values first appear."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(row)
    return found


def steps(rows: list[Row]) -> Parts:
    """A table for each set and number of threads."""
    columns = {
        "s_per_epoch": ("s an epoch", 3),
        "times_own_floor": ("times its floor", 1),
        "scvi_over_this": ("scVI over this", 2),
        "times_own_floor_cpu": ("times its floor, processor", 1),
        "scvi_over_this_cpu": ("scVI over this, processor", 2),
    }
    tables = []
    for name, of_set in by("set", rows).items():
        for n_threads, of_threads in by("threads", of_set).items():
            first = of_threads[0]
            cells = "the demonstration set of scPhere" if name == "demo" else "synthetic"
            size = f"{first['n_cells']:,} cells and {first['n_genes']:,} genes"
            threads = f"{n_threads} thread{'s' * (n_threads > 1)}"
            tables.append(f"{size}, {cells}, {first['density']:.1%} of the counts above 0, {threads}:")
            lines = [
                [maths(row["model"]), *(f"{row[key]:.{digits}f}" for key, (_, digits) in columns.items())]
                for row in of_threads
            ]
            tables.append(table(["model", *(title for title, _ in columns.values())], lines))
    return {"tables": "\n\n".join(tables)}


def spaces(rows: list[Row]) -> Parts:
    """A row for each latent space, with columns for each number of threads."""
    by_threads = by("threads", rows)
    head = ["latent space"]
    for n_threads in by_threads:
        threads = f"{n_threads} thread{'s' * (n_threads > 1)}"
        head += [f"s an epoch, {threads}", f"times the Gaussian, {threads}", "processor"]
    lines = []
    for name, of_space in by("latent", rows).items():
        line = [maths(name)]
        for row in of_space:
            line += [f"{row['wall_s']:.3f}", f"{row['times_gaussian']:.2f}", f"{row['times_gaussian_cpu']:.2f}"]
        lines.append(line)
    return {"table": table(head, lines), "n": f"{rows[0]['n_cells']:,}", "genes": f"{rows[0]['n_genes']:,}"}


def scale(rows: list[Row]) -> Parts:
    """Epochs against the number of cells."""
    lines, sentences = [], []
    models = by("model", rows)
    for name, of_model in models.items():
        base = next(row for row in of_model if row["n_cells"] == BASE)
        for row in of_model:
            lines.append(
                [
                    MODELS[name],
                    f"{row['n_cells']:,}",
                    f"{row['wall_s']:.2f}",
                    f"{row['cpu_s']:.2f}",
                    f"{row['cpu_s'] / row['n_cells'] / (base['cpu_s'] / BASE):.2f}",
                    f"{row['matrix_gb']:.2f}",
                    f"{row['peak_gb']:.2f}",
                ]
            )
        last = max(of_model, key=lambda row: row["n_cells"])
        cpu, wall, n = (last[key] / base[key] for key in ("cpu_s", "wall_s", "n_cells"))
        sentences.append(
            f"- {MODELS[name]}: an epoch over {last['n_cells']:,} cells takes {cpu:.1f} times the processor time of "
            f"one over {BASE:,}, and {wall:.1f} times the wall time, where {n:g} would be proportional."
        )
    common = max(set.intersection(*(set(by("n_cells", of_model)) for of_model in models.values())))
    at = {row["model"]: row["cpu_s"] for row in rows if row["n_cells"] == common}
    others = [f"{at['scvi'] / at[name]:.1f} times that of {MODELS[name]}" for name in at if name != "scvi"]
    sentences.append(f"- At {common:,} cells the processor time of scVI is {' and '.join(others)}.")
    head = ["model", "cells", "s an epoch", "processor s", f"a cell, against {BASE:,}", "matrix, GB", "peak memory, GB"]
    return {"table": table(head, first_named(lines)), "sentences": "\n".join(sentences)}


def memory(rows: list[Row]) -> Parts:
    figures = ["matrix_gb", "made_gb", "peak_gb", "bound_gb"]
    lines = [
        [f"{TASKS[row['task']]}, {KINDS[row['kind']]}", f"{row['n_cells']:,}", *(f"{row[key]:.2f}" for key in figures)]
        for row in rows
    ]
    head = ["task", "cells", "matrix, GB", "before the model, GB", "peak, GB", "bound, GB"]
    return {"table": table(head, lines)}


def streaming(rows: list[Row]) -> Parts:
    digits = {"wall_s": 1, "cpu_s": 1, "times_memory": 2, "times_memory_cpu": 2, "matrix_gb": 2, "peak_gb": 2}
    lines = [
        [KINDS[row["kind"]], f"{row['n_cells']:,}", f"{row['steps']:,}"]
        + [f"{row[key]:.{places}f}" for key, places in digits.items()]
        for row in rows
    ]
    head = ["the cells are", "cells", "minibatches", "s", "processor s", "s, against in memory", "processor s, against"]
    largest = max((row for row in rows if row["kind"] == "memory"), key=lambda row: row["n_cells"])
    seen = min(128 * largest["steps"], largest["n_cells"])
    rate = 1000 * largest["matrix_gb"] * seen / largest["n_cells"] / largest["cpu_s"]
    return {"table": table([*head, "matrix, GB", "peak, GB"], lines), "rate": f"{rate:.0f}"}


def embedding(rows: list[Row]) -> Parts:
    """A table for the largest synthetic set, and one for the real set."""
    largest = {name: max(row["n_cells"] for row in of_set) for name, of_set in by("set", rows).items()}
    tables = []
    for name, n in largest.items():
        of_set = [row for row in rows if row["set"] == name and row["n_cells"] == n]
        lines = []
        for model, of_model in by("model", of_set).items():
            default, small = (next(row for row in of_model if row["batch_size"] == size) for size in ("default", "128"))
            ratios = [f"{row[key]:.1f}" for row in (default, small) for key in ("times_scvi", "times_scvi_cpu")]
            lines.append([maths(model), f"{default['wall_s']:.2f}", f"{default['cells_per_s']:,.0f}", *ratios])
        head = ["model", "s", "cells a second", "times scVI", "processor", "times scVI, minibatch 128", "processor"]
        tables.append(f"{n:,} {SETS[name]}:\n\n{table(head, lines)}")
    return {"tables": "\n\n".join(tables)}


def neighbours(figures: Row) -> Parts:
    searches = figures["searches"]
    sizes = list(by("n", searches))
    lines = []
    for case, rows in by("case", searches).items():
        seconds = [f"{row[key]:.1f}" for key in ("exact_seconds", "approximate_seconds") for row in rows]
        recall = [f"{rows[-1][key]:.3f}" for key in ("recall", "recall_said")]
        lines.append([maths(case), *seconds, *recall])
    head = ["points", *(f"{kind}, {n:,}" for kind in ("all pairs", "approximate") for n in sizes), "recall", "said"]
    said = ""
    if "scanpy" in figures:
        steps = {key: figures["scanpy"][f"{key}_seconds"] for key in ("neighbours", "leiden", "umap")}
        said = (
            f"{figures['scanpy']['n']:,} points of twenty groups on a globe through scanpy: {steps['neighbours']:.1f} "
            f"processor seconds for `sc.pp.neighbors`, {steps['leiden']:.1f} for `sc.tl.leiden`, which finds "
            f"{figures['scanpy']['n_clusters']} clusters, {steps['umap']:.1f} for ten rounds of `sc.tl.umap`."
        )
    numbers = {"k": str(figures["k"]), "n": f"{sizes[-1]:,}", "whole": f"{figures['whole']:,}"}
    return {"table": table(head, lines), "scanpy": said} | numbers


def processes(rows: list[Row]) -> Parts:
    lines = [
        [
            row["model"],
            f"{row['cells_per_s_one']:,.0f}",
            f"{row['cells_per_s_two']:,.0f}",
            f"{row['times_one']:.2f}",
            f"{row['elbo_one']:.1f} ± {row['elbo_one_spread']:.1f}",
            f"{row['elbo_change']:+.1f} ± {row['elbo_change_error']:.1f}",
        ]
        for row in rows
    ]
    head = ["model", "cells a second, one process", "two", "ratio", "ELBO, one process", "two - one"]
    return {"table": table(head, lines), "epochs": str(rows[0]["epochs"]), "seeds": str(rows[0]["n_seeds"])}


def images(rows: list[Row]) -> Parts:
    figures = ["wall_s", "cpu_s", "times_ours", "times_ours_cpu"]
    lines = [[str(row["threads"]), maths(row["loop"]), *(f"{row[key]:.2f}" for key in figures)] for row in rows]
    head = ["threads", "loop", "s an epoch", "processor s", "times `curvi`", "times `curvi`, processor"]
    return {"table": table(head, first_named(lines)), "n": f"{rows[0]['n_images']:,}"}


def worked_out(found: Row) -> Parts:
    """What was measured, what the fit says of it, and what follows for larger sets."""
    check = [
        [
            f"{row['n_cells']:,}",
            row["figure"],
            f"{row['predicted']:.2f}",
            f"{row['measured']:.2f}",
            f"{row['predicted'] / row['measured'] - 1:+.0%}",
        ]
        for row in found["checked"]
    ]
    columns = {
        "n_cells": ("cells", 0),
        "steps": ("steps an epoch", 0),
        "matrix_gb": ("matrix, GB", 0),
        "memory_gb": ("in memory, GB", 0),
        "streamed_gb": ("streamed, GB, beside columns", 1),
        "core_hours": ("epoch in memory, core hours", 1),
        "core_hours_streamed": ("epoch streamed, core hours", 1),
        "core_hours_embedding": ("embedding, core hours", 2),
        "accelerator_hours": ("accelerator hours an epoch (assumed)", 2),
        "read_hours": ("hours of reading an epoch (assumed)", 2),
    }
    lines = [[f"{row[key]:,.{digits}f}" for key, (_, digits) in columns.items()] for row in found["worked_out"]]
    takes = 1e6 / found["cell_us"] * found["assumed_cores_of_an_accelerator"]
    first = found["worked_out"][0]
    return {
        "check": table(["cells", "figure", "predicted", "measured", "error"], check),
        "table": table([title for title, _ in columns.values()], lines),
        "up_to": f"{found['fitted_up_to']:,}",
        "cell": f"{found['cell_us']:.0f}",
        "streamed": f"{found['cell_streamed_us']:.0f}",
        "embedding": f"{found['cell_embedding_us']:.1f}",
        "accelerator": f"{found['assumed_cores_of_an_accelerator']:g}",
        "read": f"{found['assumed_read_gb_s']:g}",
        "takes": f"{takes:,.0f}",
        "takes_gb": f"{takes * first['matrix_gb'] / first['n_cells']:.2f}",
    }


# By the name of the file of figures.
SECTIONS: dict[str, Callable[[Any], Parts]] = {
    "training_step": steps,
    "latent_epoch": spaces,
    "training_scale": scale,
    "memory": memory,
    "streaming": streaming,
    "embedding_throughput": embedding,
    "geodesic_knn": neighbours,
    "ddp": processes,
    "image_epoch": images,
    "cost_model": worked_out,
}


def peers() -> str:
    """What is quoted, not measured by a script here."""
    reference = PEERS["scVI, its own architecture"][0]
    lines = [[name, f"{reference / seconds:.2f}", f"{floor:.1f}"] for name, (seconds, floor) in PEERS.items()]
    return table(["model", "scVI's time over this", "times its own floor"], lines)


def machines(results: dict[str, Row]) -> str:
    """The machine of each file, once where all are of the same."""
    said = {
        f"{m['processor']}, {m['cores']} cores; Python {m['python']}, PyTorch {m['torch']}, NumPy {m['numpy']}, "
        f"scvi-tools {m['scvi-tools']}"
        for m in (result["machine"] for result in results.values())
    }
    return "; ".join(sorted(said))


def page(folder: Path = RESULTS) -> str:
    """The whole page, from the JSON files of a folder."""
    results = {name: json.loads((folder / f"{name}.json").read_text()) for name in SECTIONS}
    parts = {"machines": machines(results), "peers": peers()}
    for name, section in SECTIONS.items():
        found = section(results[name]["figures"]) | {"made": made_by(results[name])}
        parts |= {f"{name}.{key}": value for key, value in found.items()}
    return re.sub(r"<<([\w.]+)>>", lambda found: parts[found[1]], TEXT.read_text())


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"written to {PAGE.relative_to(HERE.parents[1])}")
