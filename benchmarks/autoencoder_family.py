"""The autoencoder family by latent dimension: from principal components to spheres, hyperbolic spaces and products.

Two sets: grey digits of MNIST with Gaussian read noise of standard deviation 0.1 in every pixel, described by a normal
likelihood; and the counts of oligodendrocytes, described by a negative binomial one. Every member has the same network
(two hidden layers of 128 and 64; none for the linear one), the same number of epochs and the same optimiser, with steps
ten times as large for the linear one on digits, which is slow otherwise. Measured on held-out data: the error of the
reconstruction, the importance-weighted log-likelihood, and the label accuracy of the nearest neighbours along the
manifold. Mean and, where there are several, standard deviation over seeds.

Usage: ``CURVI_DATA_DIR=... python benchmarks/autoencoder_family.py [--seeds 3] [--keep runs.csv] [--markdown]``
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _members import MEMBERS, Data, Linear, counts, dense, digits, knn, single_threaded, trained
from _setting import be_quiet
from _tables import Report, add_markdown_option

import curvi

MEASURES = ("error", "log-likelihood", "accuracy")
NONE = "–"
DIGITS, CELLS = "digits", "cells"
# Factor analysis has the likelihood of the digits, with a linear decoder.
LINEAR = {DIGITS: ("PCA", "factor analysis"), CELLS: ("PCA",)}


def accuracy(model: curvi.CurviVAE | Linear, codes: tuple[np.ndarray, np.ndarray], data: Data, name: str) -> float:
    """Digits by 5 of 1000 labelled neighbours, cells by 15 of all training cells."""
    n, k = (1000, 5) if name == DIGITS else (data.train.n_obs, 15)
    labels, truth = (part.obs[data.label_key].astype(str).to_numpy() for part in (data.train, data.test))
    return knn(model.manifold, codes[0][:n], labels[:n], codes[1], truth, k)


def linear_row(kind: str, dim: int, data: Data, name: str) -> dict[str, float]:
    """Counts are taken as log1p; densities of these are no probabilities of counts, and are left out."""
    train, test = (dense(part.X) for part in (data.train, data.test))
    clean = data.clean
    if name == CELLS:
        train, test, clean = np.log1p(train), np.log1p(test), np.log1p(clean)
    model = Linear(kind, dim, train)
    codes = model.encode(train), model.encode(test)
    return {
        "error": float(np.square(model.decode(codes[1]) - clean).mean()),
        "log-likelihood": float(model.log_likelihood(test).mean()) if name == DIGITS else np.nan,
        "accuracy": accuracy(model, codes, data, name),
    }


def member_row(member: str, dim: int, data: Data, name: str, seed: int, samples: int) -> dict[str, float]:
    arguments = data.arguments(member, dim)
    # Least squares without hidden layers are slow to converge.
    rate = 1e-2 if arguments.get("n_layers") == 0 and name == DIGITS else 1e-3
    model = trained(data.train, data.epochs, seed, rate, **arguments)
    codes = model.get_latent_representation(data.train), model.get_latent_representation(data.test)
    if name == DIGITS:
        error = np.square(model.decode(codes[1]) - data.clean).mean()
    else:
        expected = model.decode(codes[1], library_size=data.clean.sum(1))
        error = np.square(np.log1p(expected) - np.log1p(data.clean)).mean()
    evidence = np.nan
    if model.module.latent.has_prior:
        torch.manual_seed(seed)
        evidence = model.get_marginal_ll(data.test, n_mc_samples=samples, n_mc_samples_per_pass=10)
    return {"error": float(error), "log-likelihood": evidence, "accuracy": accuracy(model, codes, data, name)}


def runs(data: dict[str, Data], options: argparse.Namespace) -> pd.DataFrame:
    """Every run once; those that are kept in the file are not repeated."""
    keep: Path | None = options.keep
    done: list[dict[str, Any]] = pd.read_csv(keep).to_dict("records") if keep and keep.exists() else []
    known = {(run["data"], run["member"], run["d"], run["seed"]) for run in done}
    for seed in range(options.seeds):
        for name, given in data.items():
            for dim in options.dims:
                for member in (*LINEAR[name], *MEMBERS):
                    # Neither principal components nor factors depend on a seed.
                    if (name, member, dim, seed) in known or (member in LINEAR[name] and seed):
                        continue
                    if member in LINEAR[name]:
                        found = linear_row(member, dim, given, name)
                    else:
                        found = member_row(member, dim, given, name, seed, options.samples)
                    done.append({"data": name, "member": member, "d": dim, "seed": seed} | found)
                    print(done[-1], flush=True)
                    if keep:
                        pd.DataFrame(done).to_csv(keep, index=False)
    table = pd.DataFrame(done)
    return table[table["seed"] < options.seeds]


def cell(values: pd.Series, form: str) -> str:
    """Mean and standard deviation, the latter where there are several runs."""
    values = values.dropna()
    if values.empty:
        return NONE
    shown = format(values.mean(), form).replace("-", "−")
    return f"{shown} ± {format(values.std(ddof=1), form)}" if len(values) > 1 else shown


def tabulated(report: Report, table: pd.DataFrame, name: str, title: str) -> None:
    words = {
        DIGITS: ("mean squared error per pixel, against pixels without noise", ".4f"),
        CELLS: ("mean squared error of log1p counts", ".4f"),
    }
    heads = {
        "error": words[name],
        "log-likelihood": ("log-likelihood, nats per " + ("picture" if name == DIGITS else "cell"), ".1f"),
        "accuracy": ("label accuracy of the nearest neighbours", ".3f"),
    }
    dims = sorted(table.loc[table["data"] == name, "d"].unique())
    for measure in MEASURES:
        head, form = heads[measure]
        rows = []
        for member in (*LINEAR[name], *MEMBERS):
            own = table[(table["data"] == name) & (table["member"] == member)]
            rows.append([member, *(cell(own.loc[own["d"] == dim, measure], form) for dim in dims)])
        report.table(f"{title}: {head}", ["", *(f"d = {dim}" for dim in dims)], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=[DIGITS, CELLS], choices=(DIGITS, CELLS))
    parser.add_argument("--dims", nargs="+", type=int, default=[2, 5, 10], choices=(2, 5, 10))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", type=int, default=10_000, help="digits to train on")
    parser.add_argument("--test", type=int, default=2_000, help="digits to test on")
    parser.add_argument("--samples", type=int, default=50, help="draws for each log-likelihood")
    parser.add_argument("--keep", type=Path, help="a CSV file of the runs, which are not repeated")
    add_markdown_option(parser, "autoencoder_family")
    options = parser.parse_args()
    be_quiet()
    single_threaded()
    command = f"python benchmarks/autoencoder_family.py --seeds {options.seeds}"
    report = Report("The autoencoder family by latent dimension", command)
    data = {}
    titles = {}
    if DIGITS in options.data:
        data[DIGITS] = digits(options.train, options.test)
        titles[DIGITS] = f"{options.train} digits, {options.test} held out"
    if CELLS in options.data:
        data[CELLS] = counts()
        titles[CELLS] = f"{data[CELLS].train.n_obs} cells, {data[CELLS].test.n_obs} held out"
    table = runs(data, options)
    for name, title in titles.items():
        tabulated(report, table, name, title)
    report.write(options.markdown)


if __name__ == "__main__":
    main()
