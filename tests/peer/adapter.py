"""CurviVAE under the argument names of ``scvi.model.SCVI``, for the tests of scvi-tools.

The environment variable ``CURVI_PEER_LATENT`` names the latent space; it is flat by default.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from torch import nn

import curvi

LATENT = os.environ.get("CURVI_PEER_LATENT", "normal")


def latent_arguments(n_latent: int) -> dict[str, Any]:
    """The latent space of intrinsic dimension ``n_latent``; a product is one of a sphere, hyperbolic and flat space."""
    if LATENT == "product":
        return {"latent": [("vmf", 2), ("lorentz", 2), ("normal", n_latent - 4)]}
    return {"latent": LATENT, "n_latent": n_latent}


def n_coordinates(n_latent: int) -> int:
    """The coordinates of a point: a sphere and a hyperboloid have one more than their dimension."""
    return n_latent + {"normal": 0, "product": 2}.get(LATENT, 1)


class SCVI(curvi.CurviVAE):
    """A model of the latent space; what has no counterpart, such as how a size factor is treated, is dropped."""

    def __init__(
        self,
        adata: Any = None,
        registry: Any = None,
        n_hidden: int | None = None,
        n_latent: int = 10,
        n_layers: int = 1,
        dropout_rate: float = 0.1,
        dispersion: str = "gene",
        gene_likelihood: str = "zinb",
        use_observed_lib_size: bool = True,
        latent_distribution: str = "normal",
        var_activation: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            adata,
            registry,
            n_hidden=n_hidden,
            n_layers=n_layers,
            dropout_rate=dropout_rate,
            dispersion=None if gene_likelihood == "poisson" else dispersion,
            likelihood=gene_likelihood,
            **latent_arguments(n_latent),
            **kwargs,
        )
        # A test that two models are equal looks at this layer by the path that it has in SCVI.
        first = next(part for part in self.module.encoder.modules() if isinstance(part, nn.Linear))
        object.__setattr__(self.module, "z_encoder", SimpleNamespace(encoder=SimpleNamespace(fc_layers=[[first]])))
        self.init_params_ = self._get_init_params(locals())
