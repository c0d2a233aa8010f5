"""Networks: from an input and its batch levels to raw real numbers."""

from curvi.nn._base import Decoder, Encoder
from curvi.nn._conv import ConvDecoder, ConvEncoder
from curvi.nn._corruption import Corruption, CountThinning, FeatureDropout, GaussianNoise, SaltAndPepper
from curvi.nn._covariates import CovariateShift, row_spread
from curvi.nn._mlp import MLP, MLPDecoder, MLPEncoder
from curvi.nn._networks import ConvNetworks, Layers, MLPNetworks, Networks
from curvi.nn._rows import unit_rows

__all__ = [
    "MLP",
    "ConvDecoder",
    "ConvEncoder",
    "ConvNetworks",
    "Corruption",
    "CountThinning",
    "CovariateShift",
    "Decoder",
    "Encoder",
    "FeatureDropout",
    "GaussianNoise",
    "Layers",
    "MLPDecoder",
    "MLPEncoder",
    "MLPNetworks",
    "Networks",
    "SaltAndPepper",
    "row_spread",
    "unit_rows",
]
