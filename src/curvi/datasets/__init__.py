"""Data to try things on: real cells and images, and counts whose geometry is known."""

from curvi.datasets._blood_cells import blood_cells
from curvi.datasets._counts import recover_counts
from curvi.datasets._digits import digits
from curvi.datasets._mnist import fashion_mnist, mnist
from curvi.datasets._pbmc68k import pbmc68k
from curvi.datasets._synthetic import synthetic

__all__ = ["blood_cells", "digits", "fashion_mnist", "mnist", "pbmc68k", "recover_counts", "synthetic"]
