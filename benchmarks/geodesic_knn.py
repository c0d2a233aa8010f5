"""How long do the geodesic neighbours of many points take, exact and approximate, and how many of them are found?

For each manifold and each number of points, k = 15: the seconds of the exact search (of 2000 random queries, scaled up,
where there are more than ``--whole`` points), those of the approximate search, and its recall against the exact
neighbours of the 2000 queries, the point itself not counted. Seconds are those that the process had on the processor,
which other processes on the machine change less than those on the wall. ``--scanpy`` sends a globe of the largest
number of points through scanpy: neighbours, Leiden, UMAP.

Usage: ``python benchmarks/geodesic_knn.py [--n 5000 20000 100000] [--threads 1] [--scanpy] [--json]``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _scale import print_table
from _setting import add_json_option, machine, write_results

from curvi.manifolds import Euclidean, Lorentz, Manifold, Product, Sphere
from curvi.metrics import GeodesicNeighbors
from curvi.metrics._neighbors import nearest

K = 15
N_QUERIES = 2000
GROUPS = 20


def uniform(manifold: Manifold, n: int) -> torch.Tensor:
    return manifold.project(torch.randn(n, manifold.ambient_dim, dtype=torch.float64))


def normal(scale: float) -> Callable[[Manifold, int], torch.Tensor]:
    """Tangent coordinates at the origin are normal: the wrapped normal distribution."""
    return lambda manifold, n: manifold.exp0(scale * torch.randn(n, manifold.dim, dtype=torch.float64))


def groups(scale: float, within: float) -> Callable[[Manifold, int], torch.Tensor]:
    """Twenty groups of cells, by tangent coordinates at the origin; one cell in twenty is there twice."""

    def draw(manifold: Manifold, n: int) -> torch.Tensor:
        centre = scale * torch.randn(GROUPS, manifold.dim, dtype=torch.float64)
        v = centre[torch.randint(GROUPS, (n,))] + within * torch.randn(n, manifold.dim, dtype=torch.float64)
        v[: n // 20] = v[n - n // 20 :]
        return manifold.exp0(v)

    return draw


PRODUCT = Product([Sphere(2), Lorentz(2), Euclidean(3)])
CASES: dict[str, tuple[Manifold, Callable[[Manifold, int], torch.Tensor]]] = {
    "S^2, uniform": (Sphere(2), uniform),
    "S^10, uniform": (Sphere(10), uniform),
    "S^10, groups": (Sphere(10), groups(1.0, 0.15)),
    "H^2, normal of scale 2": (Lorentz(2), normal(2.0)),
    "H^2, groups": (Lorentz(2), groups(2.5, 0.4)),
    "H^10, normal of scale 1": (Lorentz(10), normal(1.0)),
    "H^10, groups": (Lorentz(10), groups(1.0, 0.2)),
    "S^2 x H^2 x R^3, normal": (PRODUCT, normal(1.0)),
    "S^2 x H^2 x R^3, groups": (PRODUCT, groups(1.0, 0.2)),
}


def timed(run: Callable[[], object]) -> tuple[float, float, object]:
    """Seconds on the processor, seconds on the wall, and the result."""
    wall, start = time.perf_counter(), time.process_time()
    result = run()
    return time.process_time() - start, time.perf_counter() - wall, result


def measure(name: str, n: int, whole: int) -> dict[str, Any]:
    torch.manual_seed(0)
    manifold, draw = CASES[name]
    points = draw(manifold.to(torch.float64), n).numpy()
    asked = np.random.default_rng(0).choice(n, min(n, N_QUERIES), replace=False)
    part, _, exact = timed(lambda: nearest(manifold, points[asked], points, K + 1, method="exact"))
    seconds = part * n / len(asked)
    if n <= whole:
        seconds = timed(lambda: nearest(manifold, points, points, K + 1, own_first=True, method="exact"))[0]
    cpu, wall, found = timed(lambda: nearest(manifold, points, points, K + 1, own_first=True, method="approximate"))
    hits = found.distance[asked, 1:] <= exact.distance[:, -1:] * (1 + 1e-9)
    return {
        "case": name,
        "n": n,
        "exact_seconds": seconds,
        "approximate_seconds": cpu,
        "approximate_wall_seconds": wall,
        "recall": float(hits.mean()),
        "recall_said": found.recall,
    }


def through_scanpy(n: int) -> dict[str, object]:
    """Seconds of scanpy's three steps on a globe, and how many clusters there are."""
    import scanpy as sc
    from anndata import AnnData

    torch.manual_seed(0)
    manifold = Sphere(2)
    adata = AnnData(obsm={"X": groups(1.0, 0.1)(manifold.to(torch.float64), n).numpy()})
    graph = GeodesicNeighbors(manifold, K)
    steps = {
        "neighbours": lambda: sc.pp.neighbors(adata, use_rep="X", transformer=graph),
        "leiden": lambda: sc.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False),
        "umap": lambda: sc.tl.umap(adata, maxiter=10),
    }
    seconds: dict[str, object] = {f"{step}_seconds": timed(run)[0] for step, run in steps.items()}
    finite = bool(np.isfinite(adata.obsm["X_umap"]).all())
    return {"n": n, **seconds, "n_clusters": int(adata.obs["leiden"].nunique()), "umap_is_finite": finite}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[5000, 20_000, 100_000], help="numbers of points")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES), metavar="CASE")
    parser.add_argument("--whole", type=int, default=20_000, help="most points that all are searched for exactly")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scanpy", action="store_true", help="also scanpy's steps on the largest globe")
    add_json_option(parser, __file__)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # The first search pays for what is loaded on first use.
    measure(next(iter(CASES)), 2000, 0)
    figures: dict[str, object] = {"k": K, "whole": options.whole}
    rows: list[dict[str, Any]] = []
    print(machine())
    for n in options.n:
        for name in options.cases:
            rows.append(measure(name, n, options.whole))
            write_results(options.json, {**figures, "searches": rows})
        shown = [
            {
                "points": row["case"],
                "exact, s": f"{row['exact_seconds']:.1f}",
                "approximate, s": f"{row['approximate_seconds']:.1f}",
                "ratio": f"{row['exact_seconds'] / row['approximate_seconds']:.1f}",
                "recall": f"{row['recall']:.3f}",
                "recall it says": f"{row['recall_said']:.3f}",
            }
            for row in rows
            if row["n"] == n
        ]
        print(f"\n{n} points, {K} neighbours\n")
        print_table(shown)
    figures["searches"] = rows
    if options.scanpy:
        figures["scanpy"] = through_scanpy(max(options.n))
        print(figures["scanpy"])
        write_results(options.json, figures)


if __name__ == "__main__":
    main()
