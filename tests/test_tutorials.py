"""The tutorials: run from the first cell to the last, and kept with what they print and draw."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MACHINE_PATH = re.compile(r"""(?<![\w.:/])/(?:home|root|tmp|usr|opt|work|Users|var)/|site-packages""")


def code_cells(path: Path) -> list[dict]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def texts(cell: dict) -> list[str]:
    """What a cell printed, without its pictures."""
    printed = [output.get("text", []) for output in cell["outputs"]]
    shown = [output.get("data", {}).get(kind, []) for output in cell["outputs"] for kind in ("text/plain", "text/html")]
    return ["".join(part) for part in printed + shown]


def n_pictures(cells: list[dict]) -> int:
    return sum("image/png" in output.get("data", {}) for cell in cells for output in cell["outputs"])


def test_there_are_tutorials():
    assert [path.stem for path in NOTEBOOKS][:2] == ["01_first_sphere", "02_batch_levels"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_kept_outputs(path):
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), "not one run from the top"
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert not [text for cell in cells for text in texts(cell) if MACHINE_PATH.search(text)]
    assert n_pictures(cells) >= 4
    assert path.stat().st_size < 1.5 * 2**20


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_to_the_end(path, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="needs the packages of the documentation")
    nbformat = pytest.importorskip("nbformat", reason="needs the packages of the documentation")
    pytest.importorskip("ipykernel", reason="needs the packages of the documentation")
    for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    # A notebook draws into itself.
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()  # raises where a cell does

    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for now, kept in zip(ran, code_cells(path), strict=True):
        kinds = {output.output_type for output in now.outputs if output.get("name") != "stderr"}
        assert kinds == {output["output_type"] for output in kept["outputs"]}, now.source
    assert n_pictures(ran) == n_pictures(code_cells(path))
    assert not list(tmp_path.iterdir()), "a tutorial leaves files behind"
