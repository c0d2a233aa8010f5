"""Geometry: the spaces in which latent points live, and how to measure and move in them."""

from curvi.manifolds._base import Manifold, from_config
from curvi.manifolds._euclidean import Euclidean
from curvi.manifolds._hyperbolic import Hyperbolic
from curvi.manifolds._lorentz import Lorentz
from curvi.manifolds._poincare import Poincare
from curvi.manifolds._product import Product
from curvi.manifolds._sphere import Sphere

__all__ = ["Euclidean", "Hyperbolic", "Lorentz", "Manifold", "Poincare", "Product", "Sphere", "from_config"]
