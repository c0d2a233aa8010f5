"""Pictures: the sphere, the plane and the course of training, with matplotlib."""

from curvi.pl._history import history
from curvi.pl._map import map
from curvi.pl._plane import plane
from curvi.pl._sphere import sphere

__all__ = ["history", "map", "plane", "sphere"]
