"""Runs the benchmarks of speed and scale one after the other, keeps their figures, and makes their page anew.

Nothing else should run meanwhile. A benchmark that fails leaves its former figures, and the others go on.

Usage: ``CURVI_DATA_DIR=... python benchmarks/_record.py [--only memory.py streaming.py ...]``
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PAGES = [HERE.parent / "docs" / "_figures" / f"{name}.py" for name in ("speed", "speed_page")]
# In this order: the last one reads the figures of others.
RUNS = {
    "training_step.py": "--cells demo 20000 --threads 1 2 --repeats 5 --epochs 1",
    "latent_epoch.py": "--threads 1 2 --repeats 7",
    "training_scale.py": "--repeats 1",
    "memory.py": "--cells 20000 1000000 --steps 500",
    "streaming.py": "--cells 20000 80000 1000000 --steps 625",
    "embedding_throughput.py": "--cells 5000 20000 100000 --repeats 3",
    "geodesic_knn.py": "--n 5000 20000 100000 --whole 5000 --scanpy",
    "image_epoch.py": "--threads 1 2 --repeats 7",
    "ddp.py": "--latents vMF Gaussian --normalization layer --seeds 2 --epochs 10",
    "cost_model.py": "",
}
# Threads are what the benchmarks say; by default one, so that a process does not wait for its own threads.
THREADS = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def run(script: Path, arguments: list[str]) -> bool:
    """Whether a script ran to its end; how long it took is printed."""
    print(f"== {script.name} {' '.join(arguments)}", flush=True)
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, script, *arguments], env=os.environ | THREADS, check=False)
    print(f"== {script.name}: {time.perf_counter() - begun:.0f} s, exit {done.returncode}\n", flush=True)
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    options = parser.parse_args()
    done = [run(HERE / script, [*RUNS[script].split(), "--json"]) for script in options.only]
    done += [run(page, []) for page in PAGES]
    sys.exit(not all(done))


if __name__ == "__main__":
    main()
