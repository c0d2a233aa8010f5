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
