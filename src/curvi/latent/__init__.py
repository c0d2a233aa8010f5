"""Latent spaces: what a raw code of the encoder means as a distribution on a manifold, and the prior over it."""

from curvi.latent._base import LatentSpace
from curvi.latent._delta import DeltaLatent
from curvi.latent._normal import NormalLatent
from curvi.latent._von_mises_fisher import VonMisesFisherLatent

__all__ = ["DeltaLatent", "LatentSpace", "NormalLatent", "VonMisesFisherLatent"]
