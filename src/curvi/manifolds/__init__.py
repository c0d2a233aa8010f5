"""Geometry: the spaces in which latent points live, and how to measure and move in them."""

from curvi.manifolds._base import Manifold, from_config
from curvi.manifolds._euclidean import Euclidean
from curvi.manifolds._sphere import Sphere

__all__ = ["Euclidean", "Manifold", "Sphere", "from_config"]
