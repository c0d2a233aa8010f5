"""A fitted latent space in numbers: prototypes, traversals, lines, grids, loops, and how well points decode."""

from curvi.explore._activations import activations
from curvi.explore._drift import drift
from curvi.explore._grid import Grid, grid
from curvi.explore._line import line
from curvi.explore._loop import loop
from curvi.explore._path import Path
from curvi.explore._pca import Components, pca
from curvi.explore._points import points
from curvi.explore._prototypes import Prototypes, prototypes
from curvi.explore._traversal import Traversal, traversal

__all__ = [
    "Components",
    "Grid",
    "Path",
    "Prototypes",
    "Traversal",
    "activations",
    "drift",
    "grid",
    "line",
    "loop",
    "pca",
    "points",
    "prototypes",
    "traversal",
]
