"""Run the tests of the installed scvi-tools for its model SCVI with CurviVAE in the place of that.

The tests come with the source distribution on PyPI. What does not apply is left out, for the reason that is printed.

Usage: ``python tests/peer/run.py build/peer``
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import scvi

NOT_APPLICABLE = {
    "test_scvi[5-normal]": "size factors with a likelihood of real values are refused",
    "test_scvi_get_latent_rep_backwards_compat": "reads the attributes of a Gaussian posterior",
    "test_scvi_get_feature_corr_backwards_compat": "hands a mock in the place of the module",
    "test_scvi_n_obs_error": "minibatches have even sizes, so that none is too small",
    "test_scvi_dispersion[gene-label]": "there is no dispersion by cell type",
    "test_set_seed": "reads weights by the names of SCVI's layers",
    "test_scvi_online_update": "reads weights by the names of SCVI's layers",
    "test_scvi_no_anndata": "models are made with data or with a registry",
    "test_scvi_library_size_update": "there is no learned library size",
    "test_scvi_batch_embeddings": "levels have tables of shifts, not embeddings",
    "test_scvi_log_on_step": "figures are logged once an epoch",
    "test_scvi_mlflow": "needs a server",
}


def source(folder: Path) -> Path:
    """The unpacked source distribution of the installed version."""
    name = f"scvi_tools-{scvi.__version__}"
    if not (folder / name).is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        wanted = ["--no-deps", "--no-binary", ":all:", f"scvi-tools=={scvi.__version__}"]
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder, *wanted], check=True)
        with tarfile.open(folder / f"{name}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    return folder / name


def main() -> int:
    root = source(Path(sys.argv[1]).resolve())
    tests = root / "tests" / "model" / "test_scvi.py"
    text = tests.read_text()
    # scvi-tools 1.4.2 uses rich.pretty and forgets to import it.
    tests.write_text(text.replace("from scvi.model import SCVI\n", "import rich.pretty\nfrom adapter import SCVI\n"))
    for name, reason in NOT_APPLICABLE.items():
        print(f"not applicable: {name}: {reason}")
    left_out = [f"--deselect=tests/model/test_scvi.py::{name}" for name in NOT_APPLICABLE]
    path = os.pathsep.join([str(Path(__file__).resolve().parent), str(root)])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
        "tests/model/test_scvi.py",
    ]
    return subprocess.run([*command, *left_out], cwd=root, env={**os.environ, "PYTHONPATH": path}).returncode


if __name__ == "__main__":
    raise SystemExit(main())
