"""The page on speed and scale: made from the figures that are kept, and from nothing else."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|usr|opt|work|Users|var)/")


def script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def maker():
    return script(ROOT / "docs" / "_figures" / "speed_page.py")


def test_the_kept_page_is_that_of_the_kept_figures(maker):
    assert maker.PAGE.read_text() == maker.page(), "run `python docs/_figures/speed_page.py`"


def test_other_figures_make_another_page(maker, tmp_path):
    shutil.copytree(RESULTS, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "image_epoch.json"
    kept = json.loads(path.read_text())
    kept["figures"][0]["wall_s"] = 1234.5
    path.write_text(json.dumps(kept))
    assert "| 1234.50 |" in maker.page(tmp_path)
    assert "| 1234.50 |" not in maker.page()


def test_each_section_has_a_file_and_its_script(maker):
    assert {path.stem for path in RESULTS.glob("*.json")} >= set(maker.SECTIONS)
    assert {Path(name).stem for name in script(ROOT / "benchmarks" / "_record.py").RUNS} == set(maker.SECTIONS)
    for name in maker.SECTIONS:
        kept = json.loads((RESULTS / f"{name}.json").read_text())
        assert kept["script"] == f"{name}.py"
        assert kept["command"].startswith(f"python benchmarks/{name}.py")
        assert (ROOT / "benchmarks" / kept["script"]).exists()


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_no_path_of_a_machine_is_kept(path):
    assert not MACHINE_PATH.search(path.read_text())


def test_its_pictures_are_kept(maker):
    pictures = re.findall(r"\]\(\.\./_static/(\w+\.png)\)", maker.page())
    assert len(pictures) == len(set(pictures)) >= 4
    for name in pictures:
        assert (ROOT / "docs" / "_static" / name).stat().st_size > 5000
