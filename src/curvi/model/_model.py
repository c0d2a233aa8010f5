"""CurviVAE: set up an AnnData, construct the model, keep new data consistent with it, load it back."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Self

from scvi.data import AnnDataManager
from scvi.model.base import BaseModelClass

from curvi.data import (
    BatchLevels,
    CellLoader,
    as_keys,
    check_columns,
    check_genes,
    host_fields,
    level_free_loader,
    row_blocks,
)
from curvi.model._build import build_latent, build_likelihood, build_vae, hidden_widths
from curvi.model._embedding import EmbeddingMixin
from curvi.model._evidence import EvidenceMixin
from curvi.model._training import TrainingMixin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from anndata import AnnData
    from torch.utils.data import DataLoader

    from curvi.manifolds import Manifold
    from curvi.module import VAE

logger = logging.getLogger(__name__)


class CurviVAE(EmbeddingMixin, EvidenceMixin, TrainingMixin, BaseModelClass):
    r"""Variational autoencoder of single-cell data with a curved latent space and a multi-level batch vector.

    Parameters
    ----------
    adata
        Data registered with :meth:`setup_anndata`.
    registry
        A registry of the host library in the place of ``adata``, for custom data modules.
    latent
        The latent space by name: ``"vmf"`` (unit sphere, von Mises-Fisher posterior), ``"normal"`` (Euclidean,
        Gaussian) or ``"delta"`` (Euclidean, no noise: a plain autoencoder).
    n_latent
        Intrinsic dimension of the latent space, at least 1: ``2`` with ``"vmf"`` is the globe in three coordinates.
    likelihood
        The observation model by name: ``"nb"``, ``"zinb"`` or ``"poisson"`` for counts, ``"normal"`` or ``"student_t"``
        for continuous data.
    n_hidden
        Width of the hidden layers, or the widths of the encoder's, from input to latent.
    n_layers
        The number of hidden layers where ``n_hidden`` is one width; 0 makes encoder and decoder linear.
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
    latent_kwargs, likelihood_kwargs
        Further arguments of the latent space and of the likelihood.

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

    _data_loader_cls = CellLoader

    def __init__(
        self,
        adata: AnnData | None = None,
        registry: dict[str, Any] | None = None,
        *,
        latent: str = "vmf",
        n_latent: int = 2,
        likelihood: str = "nb",
        n_hidden: int | Sequence[int] = 128,
        n_layers: int = 1,
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
        latent_kwargs: Mapping[str, Any] | None = None,
        likelihood_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(adata, registry)
        self.encode_covariates = encode_covariates
        self._levels = BatchLevels.from_registry(self.registry)
        n_features = self.summary_stats["n_vars"]
        options = dict(likelihood_kwargs or {})
        if dispersion is not None:
            options["dispersion"] = dispersion
        widths = hidden_widths("n_hidden", n_hidden, n_layers)
        self.module: VAE = build_vae(
            latent=build_latent(latent, n_latent, latent_kwargs or {}),
            likelihood=build_likelihood(
                likelihood,
                n_features,
                self._levels,
                options,
                dispersion_level,
                has_size_factor=self.registry["setup_args"]["size_factor_key"] is not None,
            ),
            n_features=n_features,
            levels=self._levels,
            n_continuous=self.summary_stats.get("n_extra_continuous_covs", 0),
            encoder_hidden=widths,
            decoder_hidden=widths[::-1]
            if n_hidden_decoder is None
            else hidden_widths("n_hidden_decoder", n_hidden_decoder, 0),
            encode_covariates=encode_covariates,
            network={
                "deeply_inject_covariates": deeply_inject_covariates,
                "activation": activation,
                "normalization": normalization,
                "norm_first": norm_first,
            },
            dropout_rate=dropout_rate,
            module={
                "unit_norm_input": unit_norm_input,
                "thinning_rate": thinning_rate,
                "thinning_weight": thinning_weight,
            },
        )
        if adata is not None:
            self._check_matrix(self.adata_manager)
        self._model_summary_string = (
            f"CurviVAE with latent: {latent!r}, n_latent: {n_latent}, likelihood: {likelihood!r}, "
            f"n_hidden: {n_hidden}, n_layers: {n_layers}, batch levels: {', '.join(self._levels.names) or 'none'}."
        )
        self.init_params_ = self._get_init_params(locals())

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        layer: str | None = None,
        batch_key: str | Sequence[str] | None = None,
        labels_key: str | None = None,
        size_factor_key: str | None = None,
        categorical_covariate_keys: Sequence[str] | None = None,
        continuous_covariate_keys: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Register what the model reads of an AnnData.

        Parameters
        ----------
        adata
            Cells by features; a view is made actual, a backed object is read as it is needed.
        layer
            The layer that holds the data; ``.X`` by default.
        batch_key
            A column of ``.obs``, or a list of columns: the levels of the batch vector.
        labels_key
            A column of cell types; kept for evaluation, the model does not read it.
        size_factor_key
            A column of positive size factors; by default a cell's size is its total count.
        categorical_covariate_keys
            Further columns that are levels of the batch vector.
        continuous_covariate_keys
            Columns of numbers that shift the layers linearly.
        **kwargs
            ``source_registry`` of the host library's registration, when a model is loaded with new data.

        Raises
        ------
        KeyError
            If a key or the layer does not exist.
        ValueError
            If a column has missing values, a key is named twice, or genes or categories are not those of the model
            that is loaded.
        """
        setup_method_args = cls._get_setup_method_args(**locals())
        fields = host_fields(
            adata,
            layer=layer,
            batch_key=batch_key,
            labels_key=labels_key,
            size_factor_key=size_factor_key,
            categorical_covariate_keys=categorical_covariate_keys,
            continuous_covariate_keys=continuous_covariate_keys,
            new_data=(source := kwargs.get("source_registry")) is not None,
        )
        if source is not None:
            check_genes(adata, source)
            cls._refuse_unseen(BatchLevels.from_registry(source).unseen(adata))
        manager = AnnDataManager(fields=fields, setup_method_args=setup_method_args)
        manager.register_fields(adata, **kwargs)
        cls.register_manager(manager)

    @property
    def manifold(self) -> Manifold:
        """The manifold of the latent space."""
        return self.module.latent.manifold

    @classmethod
    def load(cls, dir_path: str, adata: AnnData | None = None, **kwargs: Any) -> Self:
        """Load a model that :meth:`save` wrote.

        Parameters
        ----------
        dir_path
            The folder.
        adata
            Data with the model's genes in the model's order; None takes the data saved with the model, False none.
        **kwargs
            ``accelerator``, ``device``, ``prefix``, ``backup_url`` and ``datamodule`` of
            :meth:`scvi.model.base.BaseModelClass.load`.

        Raises
        ------
        ValueError
            If the genes of ``adata`` are not those of the model, or a batch level has categories that it does not know.
        """
        with warnings.catch_warnings():
            # The host only warns about other genes; `_validate_anndata` raises.
            warnings.filterwarnings("ignore", message=".*var_names.* does not match")
            return super().load(dir_path, adata, **kwargs)

    def _validate_anndata(self, adata: AnnData | None = None, copy_if_view: bool = True) -> AnnData:
        """The data to work on, registered with this model after checking genes, categories and, once, its values."""
        adata = self._own_unless_given(adata)
        check_genes(adata, self.registry)
        self._refuse_unseen(self._levels.unseen(adata))
        is_new = self.adata_manager is None or self.get_anndata_manager(adata) is None
        adata = super()._validate_anndata(adata, copy_if_view=copy_if_view)
        if is_new:
            self._check_matrix(self.get_anndata_manager(adata, required=True))
        return adata

    def _cells_for_encoder(
        self, adata: AnnData | None, indices: Sequence[int] | np.ndarray | None, batch_size: int
    ) -> DataLoader:
        """Minibatches for the encoder alone, which may hold unseen categories where it reads no batch levels."""
        adata = self._own_unless_given(adata)
        check_genes(adata, self.registry)
        unseen = {} if self.encode_covariates else self._levels.unseen(adata)
        if not unseen:
            return self._make_data_loader(self._validate_anndata(adata), indices=indices, batch_size=batch_size)
        warnings.warn(
            f"{_listed(unseen)} not seen in training; the encoder does not read batch levels, so that these cells are "
            "embedded as they are.",
            UserWarning,
            stacklevel=5,
        )
        setup = self.registry["setup_args"]
        for block in row_blocks(adata.X if setup["layer"] is None else adata.layers[setup["layer"]]):
            self.module.likelihood.check(block)
        continuous = as_keys(setup["continuous_covariate_keys"])
        check_columns(adata, continuous, "continuous_covariate_keys")
        return level_free_loader(
            adata, layer=setup["layer"], continuous_keys=continuous, indices=indices, batch_size=batch_size
        )

    def _own_unless_given(self, adata: AnnData | None) -> AnnData:
        if adata is None and self.adata is None:
            raise ValueError("`adata` is None and the model was loaded without data; pass `adata`.")
        return self.adata if adata is None else adata

    def _check_matrix(self, manager: AnnDataManager) -> None:
        """Raise unless the likelihood can describe every value of the registered matrix."""
        n_obs = manager.adata.n_obs
        if n_obs < 2:
            raise ValueError(f"`adata` has {n_obs} cells; at least 2 are needed.")
        matrix = manager.get_from_registry("X")
        for block in row_blocks(matrix):
            self.module.likelihood.check(block)

    @staticmethod
    def _refuse_unseen(unseen: Mapping[str, list[Any]]) -> None:
        if unseen:
            raise ValueError(
                f"{_listed(unseen)} not seen in training. Train with these cells, or embed them with a model whose "
                "encoder does not read batch levels (encode_covariates=False)."
            )


def _listed(unseen: Mapping[str, list[Any]]) -> str:
    """The unseen categories as the subject of a sentence."""
    parts = [f"{', '.join(map(repr, values))} of batch level {key!r}" for key, values in unseen.items()]
    return " and ".join(parts) + " were"
