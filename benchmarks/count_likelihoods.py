"""What does the likelihood of counts cost in a training step, by distribution, next to scvi-tools' own?

One step's worth: raw maps of a decoder for 128 cells of 2000 genes, one inverse dispersion a gene; from the maps to the
log-likelihood of the cells, softmax included, and back to the gradients. Three ways, in turn, so that all see the same
machine: in one pass over compressed rows, as in training; entry by entry, as on a GPU; by scvi-tools' distributions.
Times are those of the processor, on one thread, medians: what else runs on the machine counts less in them. With
``--first``, also those of the first call in a new process: where the pass is yet to be compiled, and where its machine
code is on disk.

Usage: ``python benchmarks/count_likelihoods.py [--densities 0.08 0.11] [--repeats 200] [--first] [--json]``
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
from _scale import BATCH, N_GENES, print_table
from _setting import add_json_option, machine, write_results
from scvi import distributions as host
from torch import Tensor

from curvi._compressed import compressed_counts
from curvi.likelihoods import Likelihood

NAMES = {"nb": "negative binomial", "zinb": "with extra zeros", "poisson": "Poisson"}
WAYS = {"pass": "one pass", "entries": "entry by entry", "host": "scvi-tools"}
WARM = 20


def minibatch(density: float) -> Tensor:
    """Counts, of which a share is not 0."""
    shape = (BATCH, N_GENES)
    return torch.where(torch.rand(shape) < density, 1.0 + torch.poisson(torch.full(shape, 0.6)), 0.0)


def by_host(name: str, likelihood: Likelihood, raw: Tensor, size: Tensor) -> Any:
    """The distribution of scvi-tools with the same parameters."""
    mean = torch.softmax(raw[:, 0], -1) * size
    if name == "poisson":
        return host.Poisson(mean, validate_args=False)
    (log_theta,) = likelihood.parameters()
    given: dict[str, Any] = {"mu": mean, "theta": log_theta.exp(), "validate_args": False}
    if name == "nb":
        return host.NegativeBinomial(**given)
    return host.ZeroInflatedNegativeBinomial(zi_logits=raw[:, 1], **given)


def tasks(name: str, x: Tensor) -> tuple[dict[str, Callable[[], Tensor]], Sequence[Tensor]]:
    """The log-likelihood of the cells in three ways, and what its gradients are taken in."""
    likelihood = Likelihood.named(name)(N_GENES)
    raw = torch.randn(len(x), likelihood.n_params, N_GENES, requires_grad=True)
    rows, size = compressed_counts(x), x.sum(-1, keepdim=True)
    ways = {
        "pass": lambda: likelihood.log_likelihood(likelihood(raw, size), rows),
        "entries": lambda: likelihood(raw, size).log_prob(x).sum(-1),
        "host": lambda: by_host(name, likelihood, raw, size).log_prob(x).sum(-1),
    }
    return ways, (raw, *likelihood.parameters())


def seconds(value: Callable[[], Tensor], leaves: Sequence[Tensor]) -> float:
    start = time.process_time()
    torch.autograd.grad(value().mean(), leaves)
    return time.process_time() - start


def measure(name: str, density: float, repeats: int) -> dict[str, Any]:
    ways, leaves = tasks(name, minibatch(density))
    times: dict[str, list[float]] = {way: [] for way in ways}
    for repeat in range(WARM + repeats):
        for way, value in ways.items():
            taken = seconds(value, leaves)
            if repeat >= WARM:
                times[way].append(1e3 * taken)
    medians = {f"{way}_ms": median(values) for way, values in times.items()}
    return {"likelihood": name, "density": density} | medians


def first_call(name: str) -> float:
    """The seconds that the pass takes in this process, where it was not run before."""
    ways, leaves = tasks(name, minibatch(0.1))
    torch.autograd.grad(ways["entries"]().mean(), leaves)
    start = time.process_time()
    torch.autograd.grad(ways["pass"]().mean(), leaves)
    return time.process_time() - start


def first_calls(name: str) -> dict[str, float]:
    """The same in two new processes, of which the second finds the machine code of the first."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--one", name]
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        runs = [subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment) for _ in "12"]
    compiled, kept = (json.loads(run.stdout.splitlines()[-1]) for run in runs)
    return {"first_compiled_s": compiled, "first_kept_s": kept}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--densities", nargs="+", type=float, default=[0.08, 0.11])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--first", action="store_true", help="also time the first call in a new process")
    add_json_option(parser, __file__)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if options.one:
        print(json.dumps(first_call(options.one)))
        return
    print(f"{BATCH} cells, {N_GENES} genes, {machine()}\n")
    figures = [measure(name, density, options.repeats) for density in options.densities for name in NAMES]
    print_table(
        [
            {"likelihood": NAMES[row["likelihood"]], "not 0": f"{row['density']:.0%}"}
            | {f"{words}, ms": f"{row[f'{way}_ms']:.2f}" for way, words in WAYS.items()}
            | {f"/ {WAYS[way]}": f"{row['pass_ms'] / row[f'{way}_ms']:.2f}" for way in ("entries", "host")}
            for row in figures
        ]
    )
    first = {name: first_calls(name) for name in NAMES} if options.first else {}
    for name, taken in first.items():
        compiled, kept = taken["first_compiled_s"], taken["first_kept_s"]
        print(f"{NAMES[name]}: first call {compiled:.1f} s, {kept:.2f} s where it was compiled before")
    write_results(options.json, {"steps": figures, "first": first})


if __name__ == "__main__":
    main()
