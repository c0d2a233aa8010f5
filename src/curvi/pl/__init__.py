"""Pictures: the sphere and its map, the disk, the plane, images, what a model decodes, and the course of training."""

from curvi.pl._disk import disk
from curvi.pl._history import history
from curvi.pl._images import images
from curvi.pl._manifold_grid import manifold_grid
from curvi.pl._map import map
from curvi.pl._plane import plane
from curvi.pl._prototypes import prototypes
from curvi.pl._reconstructions import reconstructions
from curvi.pl._samples import samples
from curvi.pl._sphere import sphere
from curvi.pl._traversal import traversal

__all__ = [
    "disk",
    "history",
    "images",
    "manifold_grid",
    "map",
    "plane",
    "prototypes",
    "reconstructions",
    "samples",
    "sphere",
    "traversal",
]
