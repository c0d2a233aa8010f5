"""Run the tests of the installed scvi-tools for its model SCVI with CurviVAE in the place of that.

The tests come with the source distribution on PyPI and are run once for each latent space. The shape of an embedding
that they expect is changed to count the coordinates of a point; what does not apply is skipped, for a reason.

Usage: ``python tests/peer/run.py build/peer [--latent normal vmf lorentz product] [--markdown]``
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import scvi

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "user_guide" / "scvi_tools.md"
LATENTS = {"normal": "normal", "vmf": "vmf", "lorentz": "lorentz", "product": "product"}
BEGIN, END = "<!-- tests: begin -->", "<!-- tests: end -->"


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


def adapted(text: str) -> str:
    """The tests with the model exchanged, and with shapes of embeddings that count coordinates."""
    # scvi-tools 1.4.2 uses rich.pretty and forgets to import it.
    text = text.replace(
        "from scvi.model import SCVI\n", "import rich.pretty\nfrom adapter import SCVI, n_coordinates\n"
    )
    text = re.sub(r"(assert (?:z|latent)\.shape == \(.*), (n_latent|5)\)", r"\1, n_coordinates(\2))", text)
    # Run without the options that scvi-tools asks for.
    return re.sub(r"@pytest\.mark\.(dataloader|optional)\n", "", text)


def run(root: Path, latent: str) -> tuple[int, Path]:
    """The exit code of pytest, and its report."""
    report = root.parent / f"{latent}.xml"
    options = ["-q", "-rs", "-W", "ignore", "-p", "no:cacheprovider", "-p", "plugin", f"--junitxml={report}"]
    path = os.pathsep.join([str(HERE), str(root), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "CURVI_PEER_LATENT": latent}
    print(f"== latent space {latent}", flush=True)
    command = [sys.executable, "-m", "pytest", *options, "tests/model/test_curvi.py"]
    return subprocess.run(command, cwd=root, env=environment).returncode, report


def outcomes(report: Path) -> dict[str, tuple[str, str]]:
    """For each test whether it passed, does not apply or failed, and the reason."""
    found = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        skipped = case.find("skipped")
        if skipped is not None:
            found[case.attrib["name"]] = ("not applicable", skipped.attrib["message"])
        else:
            bad = case.find("failure") is not None or case.find("error") is not None
            found[case.attrib["name"]] = ("failed" if bad else "passed", "")
    return found


def table(reports: dict[str, Path]) -> str:
    """A table of the tests, one row for those of a function that went alike."""
    by_latent = {latent: outcomes(report) for latent, report in reports.items()}
    rows: dict[tuple[str, ...], list[str]] = {}
    for name in next(iter(by_latent.values())):
        results = [found[name] for found in by_latent.values()]
        reasons = dict.fromkeys(reason for _, reason in results if reason)
        rows.setdefault((name.split("[")[0], *(kind for kind, _ in results), "; ".join(reasons)), []).append(name)
    lines = [["test", *(f"`{latent}`" for latent in by_latent), "why not"], ["---"] * (len(by_latent) + 2)]
    for (function, *cells), names in rows.items():
        alone = sum(key[0] == function for key in rows) == 1
        shown = (
            [f"`{function}`" + (f", {len(names)} settings" if len(names) > 1 else "")]
            if alone
            else [f"`{name}`" for name in names]
        )
        lines.append([", ".join(shown), *cells])
    counts = {
        latent: {kind: sum(k == kind for k, _ in found.values()) for kind in ("passed", "not applicable", "failed")}
        for latent, found in by_latent.items()
    }
    said = "\n".join(
        f"- `{latent}`: " + ", ".join(f"{n} {kind}" for kind, n in count.items()) for latent, count in counts.items()
    )
    return "\n".join([said, "", *("| " + " | ".join(line) + " |" for line in lines)])


def write(page: Path, text: str) -> None:
    """Put a text between the marks of a page."""
    before, rest = page.read_text().split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")
    print(f"written to {page}")


def main() -> int:
    """Run, and write the table where asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the source distribution is, or is to be unpacked")
    parser.add_argument("--latent", nargs="+", choices=LATENTS, default=list(LATENTS), help="the latent spaces")
    parser.add_argument("--markdown", nargs="?", type=Path, const=PAGE, help="also write the table to this page")
    arguments = parser.parse_args()
    root = source(arguments.folder.resolve())
    tests = root / "tests" / "model"
    (tests / "test_curvi.py").write_text(adapted((tests / "test_scvi.py").read_text()))
    done = {latent: run(root, latent) for latent in arguments.latent}
    if arguments.markdown is not None:
        write(arguments.markdown, table({latent: report for latent, (_, report) in done.items()}))
    return max(code for code, _ in done.values())


if __name__ == "__main__":
    raise SystemExit(main())
