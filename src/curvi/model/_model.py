"""CurviVAE: the model that users meet, constructed from names and plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curvi.data import BatchLevels, from_data_module, lacks_values, registered_shape
from curvi.model._abundance import AbundanceMixin
from curvi.model._build import (
    build_corruption,
    build_latent,
    build_likelihood,
    build_networks,
    build_shrinkage,
    build_vae,
)
from curvi.model._card import CardMixin
from curvi.model._decoding import DecodingMixin
from curvi.model._differential import DifferentialMixin
from curvi.model._evidence import EvidenceMixin
from curvi.model._levels import LevelsMixin
from curvi.model._minified import MinifiedMixin
from curvi.model._mudata import MuDataMixin
from curvi.model._processes import ProcessesMixin
from curvi.model._query import QueryMixin
from curvi.model._saving import VERSION, SavingMixin
from curvi.model._training import TrainingMixin
from curvi.nn import Layers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

    from curvi.module import VAE


class CurviVAE(
    AbundanceMixin,
    MinifiedMixin,
    MuDataMixin,
    DecodingMixin,
    DifferentialMixin,
    EvidenceMixin,
    LevelsMixin,
    QueryMixin,
    CardMixin,
    ProcessesMixin,
    SavingMixin,
    TrainingMixin,
):
    r"""Variational autoencoder of single-cell data with a curved latent space and a multi-level batch vector.

    Parameters
    ----------
    adata
        Data registered with :meth:`setup_anndata`.
    registry
        What describes the data in the place of ``adata``, for custom data modules: what
        :func:`curvi.data.make_registry` returns, or the ``registry`` of one of the host's data modules.
    latent
        The latent space by name: ``"vmf"`` or ``"power_spherical"`` (unit sphere), ``"lorentz"`` or ``"poincare"``
        (hyperbolic space, wrapped normal), ``"normal"`` (Euclidean, Gaussian) or ``"delta"`` (Euclidean, no noise: a
        plain autoencoder). Or a product, as a list of names, dimensions and, where needed, options:
        ``[("vmf", 1), ("lorentz", 2, {"learn_curvature": True})]``.
    n_latent
        Intrinsic dimension of the latent space, at least 1 and by default 2: with ``"vmf"`` that is the globe in three
        coordinates. The parts of a product have their own.
    likelihood
        The observation model by name: ``"nb"``, ``"zinb"`` or ``"poisson"`` for counts, ``"normal"`` or ``"student_t"``
        for continuous data.
    network
        The kind of encoder and decoder by name: ``"mlp"`` (fully connected), or ``"conv"`` (convolutional) for data
        from :func:`curvi.data.from_images`.
    n_hidden
        Width of the hidden layers, or the widths of the encoder's, from input to latent; by default 128. Of ``"conv"``
        the channels of the stages, each of which halves the image; by default 16, 32, 64, 128, 128, ...
    n_layers
        The number of hidden layers where ``n_hidden`` is one width or None; by default 2, and 0 makes encoder and
        decoder linear. Of ``"conv"`` the number of stages; by default until no side is longer than 8 pixels.
    n_hidden_decoder
        The widths of the decoder's hidden layers, from latent to output; by default the encoder's in reverse.
    dropout_rate
        Probability in [0, 1) of zeroing a hidden unit of the encoder in training.
    dispersion
        Of a negative binomial: ``"gene"``, ``"gene-batch"`` (one for each category of a level) or ``"gene-cell"``.
    dispersion_level
        The level that ``"gene-batch"`` refers to; the first by default.
    encode_covariates
        Whether the encoder sees the batch levels. If not, unseen categories can be embedded without training.
    deeply_inject_covariates
        Whether every hidden layer sees the batch levels, or only the first.
    activation
        Of hidden layers: ``"relu"``, ``"elu"``, ``"leaky_relu"``, ``"gelu"``, ``"silu"`` or ``"tanh"``.
    normalization
        Of hidden layers: ``"batch"``, ``"layer"`` or ``"none"``.
    norm_first
        Whether normalisation stands before the activation.
    unit_norm_input
        Whether the encoder's input is scaled to length 1.
    thinning_rate, thinning_weight
        The expected fraction of counts removed from a cell's copy, and the weight of the squared distance between where
        cell and copy lie. With weight 0 there is no copy.
    level_shrinkage
        How strongly the categories of a batch level are drawn together: the precision (one over the variance) of a
        Gaussian prior on what a category adds to each unit of a layer, about the mean of all categories of the level,
        for all levels or as ``{level: precision}``. A category of few cells, whose own data say little, then stays near
        the others, new categories of :meth:`load_query_data` included. By default none.
    corruption
        Noise on the encoder's input in training, so that the model learns to remove it: ``"thinning"`` or ``"dropout"``
        of counts, ``"dropout"``, ``"gaussian"`` or ``"salt_and_pepper"`` of real values. What is to be reconstructed,
        and the size factor, are those of the clean data; embeddings are of the data as they are.
    latent_kwargs, likelihood_kwargs, network_kwargs, corruption_kwargs
        Further arguments of the latent space (such as ``learn_curvature``), of the likelihood and of the network: for
        ``"conv"`` the residual blocks of a stage, ``n_blocks``, and the width of the dense layer, ``n_dense``. Of the
        noise its ``rate`` or ``scale``.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=200, n_vars=50, levels={"patient": 2})
    >>> curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
    >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2)
    >>> model.train(max_epochs=2, enable_progress_bar=False, logger=None)
    >>> model.get_latent_representation().shape
    (200, 3)
    """

    def __init__(
        self,
        adata: AnnData | None = None,
        registry: dict[str, Any] | None = None,
        *,
        latent: str | Sequence[Sequence[Any]] = "vmf",
        n_latent: int | None = None,
        likelihood: str = "nb",
        network: str = "mlp",
        n_hidden: int | Sequence[int] | None = None,
        n_layers: int | None = None,
        n_hidden_decoder: Sequence[int] | None = None,
        dropout_rate: float = 0.1,
        dispersion: str | None = None,
        dispersion_level: str | None = None,
        encode_covariates: bool = False,
        deeply_inject_covariates: bool = True,
        activation: str = "relu",
        normalization: str = "batch",
        norm_first: bool = True,
        unit_norm_input: bool = False,
        thinning_rate: float = 0.2,
        thinning_weight: float = 0.0,
        level_shrinkage: float | Mapping[str, float] | None = None,
        corruption: str | None = None,
        latent_kwargs: Mapping[str, Any] | None = None,
        likelihood_kwargs: Mapping[str, Any] | None = None,
        network_kwargs: Mapping[str, Any] | None = None,
        corruption_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if adata is None and registry is None:
            raise ValueError(
                "neither `adata` nor `registry` was given; pass data registered with `CurviVAE.setup_anndata`, or the "
                "registry of a custom data module."
            )
        if registry is not None and registry.get("setup_method_name") == "setup_datamodule":
            registry = {**from_data_module(registry), "model_name": type(self).__name__}
        super().__init__(adata, registry)
        self.encode_covariates = encode_covariates
        self._levels = BatchLevels.from_registry(self.registry)
        n_features = self.summary_stats["n_vars"]
        options = dict(likelihood_kwargs or {})
        if dispersion is not None:
            options["dispersion"] = dispersion
        has_size_factor = self.registry["setup_args"]["size_factor_key"] is not None
        observed = build_likelihood(
            likelihood,
            n_features,
            self._levels,
            options,
            dispersion_level,
            has_size_factor=has_size_factor,
        )
        self.module: VAE = build_vae(
            latent=build_latent(latent, n_latent, latent_kwargs or {}),
            likelihood=observed,
            networks=build_networks(network, n_features, registered_shape(self.registry), network_kwargs or {}),
            levels=self._levels,
            n_hidden=n_hidden,
            n_layers=n_layers,
            n_hidden_decoder=n_hidden_decoder,
            encode_covariates=encode_covariates,
            layers=Layers(
                self._levels.n_per_level,
                self.summary_stats.get("n_extra_continuous_covs", 0),
                deeply_inject_covariates,
                activation,
                normalization,
                norm_first,
            ),
            dropout_rate=dropout_rate,
            corruption=build_corruption(corruption, corruption_kwargs or {}, observed),
            module={
                "has_size_factor": has_size_factor,
                "unit_norm_input": unit_norm_input,
                "thinning_rate": thinning_rate,
                "thinning_weight": thinning_weight,
                "level_shrinkage": build_shrinkage(level_shrinkage, self._levels),
            },
        )
        if adata is not None:
            if adata.n_obs < 2:
                raise ValueError(f"`adata` has {adata.n_obs} cells; at least 2 are needed to train.")
            if not lacks_values(adata):
                self._check_values(adata)
        self._model_summary_string = (
            f"CurviVAE with latent: {latent!r}, n_latent: {self.manifold.dim}, likelihood: {likelihood!r}, "
            f"network: {network!r}, batch levels: {', '.join(self._levels.names) or 'none'}."
        )
        # The host saves what ends in an underscore.
        self.curvi_version_ = VERSION
        self.init_params_ = self._get_init_params(locals())
