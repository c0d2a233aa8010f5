"""Data that fits the model: registration with the host library, checks of new data, and minibatches of it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from scvi import REGISTRY_KEYS, settings
from scvi.data import AnnDataManager
from scvi.data._constants import _SCVI_UUID_KEY
from scvi.data._utils import _assign_adata_uuid, _check_if_view
from scvi.model.base import BaseMinifiedModeModelClass

from curvi.data import (
    BatchLevels,
    CellLoader,
    as_keys,
    cells_a_pass,
    check_columns,
    check_genes,
    host_fields,
    lacks_values,
    level_free_loader,
    minified_fields,
    minified_record,
    minified_type,
    suits_sparse,
    value_blocks,
)
from curvi.model._probe import is_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from anndata import AnnData
    from torch import Tensor
    from torch.utils.data import DataLoader

    from curvi.manifolds import Manifold
    from curvi.module import VAE


# Of a registry: how data were set up.
_SETUP = ("model_name", "setup_method_name", "setup_args")


class RegisteredModel(BaseMinifiedModeModelClass):
    """What every part of :class:`curvi.CurviVAE` stands on: a module, its batch levels, and data that fits them."""

    _data_loader_cls = CellLoader

    module: VAE
    encode_covariates: bool
    _levels: BatchLevels

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
            A column of ``.obs``, or a list of columns: the levels of the batch vector. Where the data cannot tell two
            of them apart, as patients who have one disease each, a warning says so (:func:`curvi.data.nesting`).
        labels_key
            A column of cell types; kept for evaluation, the model does not read it.
        size_factor_key
            A column of positive size factors; by default a cell's size is its total count.
        categorical_covariate_keys
            Further columns that are levels of the batch vector.
        continuous_covariate_keys
            Columns of numbers that shift the layers linearly.
        **kwargs
            ``source_registry`` and ``extend_categories`` of the host library's registration, when a model is loaded
            with new data.

        Raises
        ------
        KeyError
            If a key or the layer does not exist.
        ValueError
            If a column has missing values, a key is named twice, or genes or categories are not those of the model
            that is loaded.
        """
        setup_method_args = cls._get_setup_method_args(**locals())
        cls.register_manager(cls._new_manager(adata, setup_method_args, **kwargs))

    @classmethod
    def _new_manager(
        cls,
        adata: AnnData,
        setup_method_args: Mapping[str, Any],
        source_registry: Mapping[str, Any] | None = None,
        **transfer: Any,
    ) -> AnnDataManager:
        """The host's manager of data, which were set up in this way; with a source, they are to fit its registry."""
        if source_registry is None and lacks_values(adata):
            raise ValueError(
                "`adata` is minified: it has posteriors of a model in the place of what was measured. Load that model, "
                "`CurviVAE.load(dir_path, adata)`, or set up the data as they were before."
            )
        fields = host_fields(adata, **setup_method_args["setup_args"], new_data=source_registry is not None)
        if source_registry is not None:
            check_genes(adata, source_registry)
            if not transfer.get("extend_categories"):
                cls._refuse_unseen(BatchLevels.from_registry(source_registry).unseen(adata))
        manager = AnnDataManager(fields=[*fields, *minified_fields(adata)], setup_method_args=dict(setup_method_args))
        manager.register_fields(adata, source_registry, **transfer)
        return manager

    @property
    def manifold(self) -> Manifold:
        """The manifold of the latent space."""
        return self.module.latent.manifold

    @property
    def minified_data_type(self) -> str | None:
        """Whether the model's data are minified, and how (see :meth:`minify_adata`); None if not."""
        return None if self.adata is None else minified_type(self.adata)

    @property
    def _n_continuous(self) -> int:
        return self.summary_stats.get("n_extra_continuous_covs", 0)

    def _validate_anndata(self, adata: AnnData | None = None, copy_if_view: bool = True) -> AnnData:
        """The data to work on, registered with this model after checking genes, categories and, once, its values."""
        adata = self._own_unless_given(adata)
        check_genes(adata, self.registry)
        self._refuse_unseen(self._levels.unseen(adata))
        is_new = self._is_new(adata)
        if is_new and self.adata_manager is not None:
            _check_if_view(adata, copy_if_view=copy_if_view)
            # Which fields there are depends on whether these data are minified, not on whether the model's own are.
            setup = {name: value for name, value in self.registry.items() if name in _SETUP}
            self._register_manager_for_instance(self._new_manager(adata, setup, self.registry))
        adata = super()._validate_anndata(adata, copy_if_view=copy_if_view)
        if is_new:
            self._check_values(adata)
        return adata

    def _is_new(self, adata: AnnData) -> bool:
        """Whether the model has not met these data; a copy of data that it knows gets an identity of its own."""
        known = self._per_instance_manager_store.get(self.id, {}).get(adata.uns.get(_SCVI_UUID_KEY))
        if known is not None and known.adata is not adata:
            _assign_adata_uuid(adata, overwrite=True)
        return known is None or known.adata is not adata

    def _cells_for_encoder(
        self, adata: AnnData | None, indices: Sequence[int] | np.ndarray | None, batch_size: int | None
    ) -> DataLoader:
        """Minibatches for the encoder alone, which may hold unseen categories where it reads no batch levels.

        By default they are as large as is fast. Cells of few entries come as compressed rows where the encoder reads
        them.
        """
        adata = self._own_unless_given(adata)
        check_genes(adata, self.registry)
        unseen = {} if self.encode_covariates or lacks_values(adata) else self._levels.unseen(adata)
        if not unseen:
            adata = self._validate_anndata(adata)
            manager = self.get_anndata_manager(adata, required=True)
            matrix = None if lacks_values(adata) else manager.get_from_registry(REGISTRY_KEYS.X_KEY)
            return self._make_data_loader(adata, indices=indices, **self._pass_of_encoder(adata, matrix, batch_size))
        warnings.warn(
            f"{_listed(unseen)} not seen in training; the encoder does not read batch levels, so that these cells are "
            "embedded as they are.",
            UserWarning,
            stacklevel=5,
        )
        setup = self.registry["setup_args"]
        self._check_values(adata)
        continuous = as_keys(setup["continuous_covariate_keys"])
        check_columns(adata, continuous, "continuous_covariate_keys")
        matrix = adata.X if setup["layer"] is None else adata.layers[setup["layer"]]
        return level_free_loader(
            adata,
            matrix,
            continuous_keys=continuous,
            indices=indices,
            **self._pass_of_encoder(adata, matrix, batch_size),
        )

    def _pass_of_encoder(self, adata: AnnData, matrix: Any, batch_size: int | None) -> dict[str, Any]:
        """How many cells the encoder is given at once, and whether as compressed rows."""
        sparse = matrix is not None and self.module.takes_sparse and suits_sparse(matrix)
        return {
            "batch_size": batch_size or max(settings.batch_size, cells_a_pass(adata.n_vars, sparse=sparse)),
            "load_sparse_tensor": sparse,
        }

    def _own_unless_given(self, adata: AnnData | None) -> AnnData:
        if adata is None and self.adata is None:
            raise ValueError("`adata` is None and the model was loaded without data; pass `adata`.")
        return self.adata if adata is None else adata

    def _check_values(self, adata: AnnData) -> None:
        """Raise unless the likelihood can describe every value of the data, or their posteriors are of this model."""
        if lacks_values(adata):
            self._check_posteriors(adata)
            return
        for first_row, block in value_blocks(adata, self.registry["setup_args"]["layer"]):
            self.module.likelihood.check(block, first_row)

    def _check_posteriors(self, adata: AnnData) -> None:
        """Raise if minified data have the posteriors of another model, or of this one before more training."""
        if lacks_values(adata) and not is_of(self.module, minified_record(adata), self._n_continuous):
            raise ValueError(
                "`adata` is minified, but the posteriors in it are not those of this model: another one made them, or "
                "this one before it was trained further. Pass the data with what was measured."
            )

    def _need_values(
        self,
        method: str,
        adata: AnnData | None = None,
        why: str = "compares cells with what was measured",
        remedy: str = "Pass `adata` that are not minified,",
    ) -> None:
        """Raise if what was measured of the cells is gone, for a method that cannot do without."""
        if adata is None:
            adata = self.adata
        if adata is not None and lacks_values(adata):
            raise ValueError(
                f"{method}() {why}, but of minified data the posteriors are all that is left. {remedy} or keep what "
                "was measured: `minify_adata('latent_posterior_parameters_with_counts')`."
            )

    @staticmethod
    def _refuse_unseen(unseen: Mapping[str, list[Any]]) -> None:
        if unseen:
            raise ValueError(
                f"{_listed(unseen)} not seen in training. Train with these cells, or embed them with a model whose "
                "encoder does not read batch levels (encode_covariates=False)."
            )

    def _minibatches(
        self,
        adata: AnnData | None,
        indices: Sequence[int] | np.ndarray | None,
        batch_size: int | None,
        dataloader: Iterable[dict[str, Tensor]] | None,
        *,
        encoder_only: bool = False,
    ) -> Iterable[dict[str, Tensor]]:
        """The minibatches of checked data in the order asked for, or those of a loader that was given."""
        if dataloader is not None:
            given: dict[str, Any] = {"adata": adata, "indices": indices, "batch_size": batch_size}
            unused = [name for name, value in given.items() if value is not None]
            if unused:
                raise ValueError(f"`dataloader` and {', '.join(unused)} were both given; pass one or the other.")
            return dataloader
        if encoder_only:
            return self._cells_for_encoder(adata, indices, batch_size)
        batch_size = batch_size or settings.batch_size
        return self._make_data_loader(self._validate_anndata(adata), indices=indices, batch_size=batch_size)


def _listed(unseen: Mapping[str, list[Any]]) -> str:
    """The unseen categories as the subject of a sentence."""
    parts = [f"{', '.join(map(repr, values))} of batch level {key!r}" for key, values in unseen.items()]
    return " and ".join(parts) + (" was" if sum(map(len, unseen.values())) == 1 else " were")
