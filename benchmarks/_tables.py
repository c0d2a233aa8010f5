"""Tables of a benchmark: printed as they come, and written to a page of the documentation at the end."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

import numpy as np
import torch


class Report:
    """Tables under one title.

    Parameters
    ----------
    title
        Of the page.
    command
        How the page is made again.
    """

    def __init__(self, title: str, command: str) -> None:
        machine = f"torch {torch.__version__}, numpy {np.__version__}, {torch.get_num_threads()} thread(s)"
        processor = platform.processor() or platform.machine()
        self._page = [f"# {title}\n\nWritten by `{command}` ({machine}, {processor}); not by hand.\n"]
        print(machine)

    def table(self, title: str, head: list[str], rows: list[list[str]], note: str = "") -> None:
        """Add a table; the first column to the left and the others to the right."""
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        print(f"\n{title}")
        for row in [head, ["-" * width for width in widths], *rows]:
            cells = [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
            print("  ".join(cells), flush=True)
        if note:
            print(note)
        lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
        escaped = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
        self._page += [f"## {title}\n", *escaped, "", *([note, ""] if note else [])]

    def write(self, path: Path | None) -> None:
        """Write the page, where a path is given."""
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(self._page))
            print(f"\nwritten to {path}")


def add_markdown_option(parser: argparse.ArgumentParser, name: str) -> None:
    """The option ``--markdown``, with the page of the documentation as the path if none is given."""
    page = Path(__file__).parent.parent / "docs" / "benchmarks" / f"{name}.md"
    parser.add_argument("--markdown", nargs="?", type=Path, const=page, help=f"also write the tables to {page.name}")
