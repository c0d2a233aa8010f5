"""Pictures: the sphere and its map, the disk, the plane, images and the course of training, with matplotlib."""

from curvi.pl._disk import disk
from curvi.pl._history import history
from curvi.pl._images import images
from curvi.pl._map import map
from curvi.pl._plane import plane
from curvi.pl._sphere import sphere

__all__ = ["disk", "history", "images", "map", "plane", "sphere"]
