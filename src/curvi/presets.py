"""Constructor arguments of :class:`curvi.CurviVAE` under the names of the models that they re-create."""

from __future__ import annotations

from typing import Any

scphere: dict[str, Any] = {
    "latent": "vmf",
    "n_latent": 2,
    "likelihood": "nb",
    "n_hidden": [128, 64, 32],
    "n_hidden_decoder": [32, 128],
    "dropout_rate": 0.0,
    "encode_covariates": True,
    "deeply_inject_covariates": False,
    "activation": "elu",
    "normalization": "batch",
    "norm_first": False,
    "unit_norm_input": True,
    "thinning_rate": 0.2,
    "thinning_weight": 1.0,
    "latent_kwargs": {"concentration_scale": "softplus"},
}
"""The architecture of scPhere :cite:p:`Ding2021`: encoder 128-64-32, decoder 32-128, ELU, batch normalisation after the
activation, log-transformed input of unit length, batch vectors given to encoder and decoder input, thinning penalty."""

hyperbolic: dict[str, Any] = scphere | {
    "latent": "lorentz",
    "unit_norm_input": False,
    "latent_kwargs": None,
}
"""The same in hyperbolic space, as scPhere has it for trajectories, with input of any length."""

images: dict[str, Any] = {
    "latent": "vmf",
    "n_latent": 10,
    "likelihood": "bernoulli",
    "network": "conv",
    "dropout_rate": 0.0,
}
"""Pictures with values in [0, 1]: convolutional networks and a latent sphere. For grey values rather than black and
white, ``{**curvi.presets.images, "likelihood": "continuous_bernoulli"}``."""

autoencoder: dict[str, Any] = {
    "latent": "delta",
    "likelihood": "normal",
    "dispersion": "fixed",
    "dropout_rate": 0.0,
}
"""A plain autoencoder: a latent point without noise, and least squares; for pictures add ``"network": "conv"``."""

denoising: dict[str, Any] = autoencoder | {"corruption": "gaussian"}
"""An autoencoder that sees its input through noise and is asked for the clean data."""

linear: dict[str, Any] = autoencoder | {"n_layers": 0}
"""A plain autoencoder without hidden layers, which learns the subspace of the principal components: that of the
truncated singular value decomposition of the centred data."""
