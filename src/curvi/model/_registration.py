"""Data that fits the model: registration with the host library, checks of new data, and minibatches of it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

from scvi import settings
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
    value_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from anndata import AnnData
    from torch import Tensor
    from torch.utils.data import DataLoader

    from curvi.manifolds import Manifold
    from curvi.module import VAE


class RegisteredModel(BaseModelClass):
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
            if not kwargs.get("extend_categories"):
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
            self._check_values(adata)
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
        self._check_values(adata)
        continuous = as_keys(setup["continuous_covariate_keys"])
        check_columns(adata, continuous, "continuous_covariate_keys")
        return level_free_loader(
            adata, layer=setup["layer"], continuous_keys=continuous, indices=indices, batch_size=batch_size
        )

    def _own_unless_given(self, adata: AnnData | None) -> AnnData:
        if adata is None and self.adata is None:
            raise ValueError("`adata` is None and the model was loaded without data; pass `adata`.")
        return self.adata if adata is None else adata

    def _check_values(self, adata: AnnData) -> None:
        """Raise unless the likelihood can describe every value of the data."""
        for first_row, block in value_blocks(adata, self.registry["setup_args"]["layer"]):
            self.module.likelihood.check(block, first_row)

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
        batch_size = batch_size or settings.batch_size
        if encoder_only:
            return self._cells_for_encoder(adata, indices, batch_size)
        return self._make_data_loader(self._validate_anndata(adata), indices=indices, batch_size=batch_size)


def _listed(unseen: Mapping[str, list[Any]]) -> str:
    """The unseen categories as the subject of a sentence."""
    parts = [f"{', '.join(map(repr, values))} of batch level {key!r}" for key, values in unseen.items()]
    return " and ".join(parts) + (" was" if sum(map(len, unseen.values())) == 1 else " were")
