"""Latent spaces: what a raw code of the encoder means as a distribution on a manifold, and the prior over it."""

from curvi.latent._base import LatentSpace
from curvi.latent._delta import DeltaLatent
from curvi.latent._normal import NormalLatent
from curvi.latent._product import ProductLatent
from curvi.latent._spherical import PowerSphericalLatent, SphericalLatent, VonMisesFisherLatent
from curvi.latent._wrapped_normal import LorentzLatent, PoincareLatent, WrappedNormalLatent

__all__ = [
    "DeltaLatent",
    "LatentSpace",
    "LorentzLatent",
    "NormalLatent",
    "PoincareLatent",
    "PowerSphericalLatent",
    "ProductLatent",
    "SphericalLatent",
    "VonMisesFisherLatent",
    "WrappedNormalLatent",
]
