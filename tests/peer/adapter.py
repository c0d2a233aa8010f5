"""CurviVAE under the argument names of ``scvi.model.SCVI``, for the tests of scvi-tools."""

from __future__ import annotations

from typing import Any

import curvi


class SCVI(curvi.CurviVAE):
    """A flat latent space; what has no counterpart, such as how a size factor is treated, is dropped."""

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
            latent="normal",
            n_hidden=n_hidden,
            n_latent=n_latent,
            n_layers=n_layers,
            dropout_rate=dropout_rate,
            dispersion=None if gene_likelihood == "poisson" else dispersion,
            likelihood=gene_likelihood,
            **kwargs,
        )
