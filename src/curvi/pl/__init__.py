"""Pictures: the sphere and its map, the disk, the plane, images, what a model decodes, and the course of training."""

from curvi.pl._confusion import confusion
from curvi.pl._disk import disk
from curvi.pl._film import Film, film
from curvi.pl._history import history
from curvi.pl._images import images
from curvi.pl._latent import latent
from curvi.pl._level_effects import level_effects
from curvi.pl._line import line
from curvi.pl._manifold_grid import manifold_grid
from curvi.pl._map import map
from curvi.pl._pairs import pairs
from curvi.pl._pca_loadings import pca_loadings
from curvi.pl._plane import plane
from curvi.pl._points import points
from curvi.pl._prototypes import prototypes
from curvi.pl._prototypes_heatmap import prototypes_heatmap
from curvi.pl._reconstructions import reconstructions
from curvi.pl._samples import samples
from curvi.pl._sliders import Sliders, sliders
from curvi.pl._sphere import sphere
from curvi.pl._traversal import traversal

__all__ = [
    "Film",
    "Sliders",
    "confusion",
    "disk",
    "film",
    "history",
    "images",
    "latent",
    "level_effects",
    "line",
    "manifold_grid",
    "map",
    "pairs",
    "pca_loadings",
    "plane",
    "points",
    "prototypes",
    "prototypes_heatmap",
    "reconstructions",
    "samples",
    "sliders",
    "sphere",
    "traversal",
]
