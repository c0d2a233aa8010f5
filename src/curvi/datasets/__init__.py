"""Data to try things on: real cells that need no download, and counts whose geometry is known."""

from curvi.datasets._counts import recover_counts
from curvi.datasets._pbmc68k import pbmc68k
from curvi.datasets._synthetic import synthetic

__all__ = ["pbmc68k", "recover_counts", "synthetic"]
