"""New data with new batch categories: a trained model that learns them, and nothing of what it knew moves."""

from __future__ import annotations

import warnings
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import torch
from scvi.model._utils import parse_device_args
from scvi.model.base import ArchesMixin
from scvi.model.base._archesmixin import _get_loaded_data
from scvi.model.base._save_load import _initialize_model
from torch import nn

from curvi.data import BatchLevels, check_genes, lacks_values
from curvi.model._plan import keep_rows
from curvi.model._registration import RegisteredModel
from curvi.model._saving import check_saved, completed
from curvi.nn import CovariateShift

if TYPE_CHECKING:
    from anndata import AnnData
    from torch import Tensor

_STATISTICS = (nn.BatchNorm1d, nn.BatchNorm2d)
_DROPOUT = (nn.Dropout, nn.Dropout2d)


class QueryMixin(RegisteredModel):
    """Methods of :class:`curvi.CurviVAE` for data that come after the training."""

    @classmethod
    def load_query_data(
        cls,
        adata: AnnData,
        reference_model: str | PathLike[str] | Self,
        *,
        inplace_subset_query_vars: bool = False,
        accelerator: str = "auto",
        device: int | str = "auto",
        unfrozen: bool = False,
        freeze_dropout: bool = False,
    ) -> Self:
        """A copy of a trained model with room for the new batch categories of other data, to be trained on these.

        Every batch level may have new categories. Each becomes a new row of the tables of its level, which starts at
        the mean of the known rows. Training moves these rows only: not the weights, not the rows of known categories,
        not the running figures of normalisation. What the model says of the reference, its embedding, its decoded
        means and its ELBO, stays the same to the last bit, before the training and after.

        A model whose encoder does not read batch levels (``encode_covariates=False``) embeds new data without any of
        this; what is learned here are the means under the new categories.

        Parameters
        ----------
        adata
            The query: data with the genes of the model in their order, and the columns of its registration.
        reference_model
            A trained model, or the folder it was saved in.
        inplace_subset_query_vars
            Whether to cut ``adata`` to the genes of the model and put them into its order. For genes that are missing
            see :meth:`prepare_query_anndata`.
        accelerator, device
            Where the new model lives.
        unfrozen
            Whether training moves everything, as that of a new model does. The reference then moves too.
        freeze_dropout
            Whether to leave dropout out of the training.

        Returns
        -------
        The new model, of use before it is trained too; its history goes on from that of the reference model, which
        stays as it is.

        Raises
        ------
        ValueError
            If genes are missing, or a category is not of the kind (text, number) of those that the model knows.

        Examples
        --------
        >>> import curvi
        >>> adata = curvi.datasets.synthetic(n_obs=120, n_vars=20, levels={"patient": 3})
        >>> reference = adata[adata.obs["patient"] != adata.obs["patient"].iloc[0]].copy()
        >>> curvi.CurviVAE.setup_anndata(reference, batch_key="patient")
        >>> model = curvi.CurviVAE(reference)
        >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
        >>> query = curvi.CurviVAE.load_query_data(adata, model)
        >>> query.train(max_epochs=1, enable_progress_bar=False, logger=None)
        >>> query.get_latent_representation().shape
        (120, 3)
        """
        _, _, torch_device = parse_device_args(
            accelerator=accelerator, devices=device, return_device="torch", validate_single_device=True
        )
        if lacks_values(adata):
            raise ValueError(
                "load_query_data() is for training on what was measured, which minified data do not have. Pass `adata` "
                "as they were before, or use the minified data with the model that made them."
            )
        source = str(reference_model) if isinstance(reference_model, PathLike) else reference_model
        attributes, names, state, _ = _get_loaded_data(source, device=torch_device, adata=adata)
        state.pop("pyro_param_store", None)
        registry = attributes.pop("registry_")
        where = source if isinstance(source, str) else "the reference model"
        check_saved(cls, attributes, where)
        # The host adds to it, and it belongs to the reference model.
        attributes["history_"] = dict(attributes.get("history_") or {})
        if inplace_subset_query_vars:
            adata._inplace_subset_var(names)
        check_genes(adata, registry)
        cls.setup_anndata(
            adata,
            source_registry=registry,
            extend_categories=True,
            allow_missing_labels=True,
            **registry["setup_args"],
        )
        model: Self = _initialize_model(cls, adata, registry, attributes, None)
        model._check_new_categories(BatchLevels.from_registry(registry))
        model.to_device(torch_device)
        grown = _grow(model.module, completed(state, model.module, where))
        if not unfrozen:
            for parameter in model.module.parameters():
                parameter.requires_grad_(False)
            for parameter, n_known in grown:
                keep_rows(parameter.requires_grad_(True), n_known)
            held = _STATISTICS + (_DROPOUT if freeze_dropout else ())
            model.module.hold([module for module in model.module.modules() if isinstance(module, held)])
            if not grown:
                warnings.warn(
                    "the query has no batch category that the model does not know, so that there is nothing to train; "
                    "use the model as it is, or set `unfrozen=True`.",
                    UserWarning,
                    stacklevel=2,
                )
        elif freeze_dropout:
            model.module.hold([module for module in model.module.modules() if isinstance(module, _DROPOUT)])
        model.module.eval()
        model.is_trained_ = True
        return model

    @staticmethod
    def prepare_query_anndata(
        adata: AnnData, reference_model: Any, return_reference_var_names: bool = False, inplace: bool = True
    ) -> Any:
        """Bring data to the genes of a model: others are dropped, missing ones become zeros, the order is the model's.

        Parameters
        ----------
        adata
            The query.
        reference_model
            A model, or the folder it was saved in.
        return_reference_var_names
            Whether to return the genes only.
        inplace
            Whether to change ``adata``, or to return a copy.

        Returns
        -------
        Nothing, the copy, or the genes of the model, as in scvi-tools.
        """
        return ArchesMixin.prepare_query_anndata(adata, reference_model, return_reference_var_names, inplace)

    def get_batch_representation(self, level: str | None = None) -> pd.DataFrame:
        """What each category of a batch level adds to the first layer of the decoder.

        Parameters
        ----------
        level
            The level; by default the first.

        Returns
        -------
        A row for each category, a column for each unit of the layer.

        Raises
        ------
        ValueError
            If there is no such level.
        """
        names = self._levels.names
        name = names[0] if level is None and names else level
        if name not in names:
            known = ", ".join(map(repr, names)) or "none"
            raise ValueError(f"`level` is {level!r}; the batch levels of the model are {known}.")
        first = next(part for part in self.module.decoder.modules() if isinstance(part, CovariateShift))
        table = first.tables[names.index(name)].detach().cpu().numpy().copy()
        return pd.DataFrame(table, index=pd.Index(self._levels.categories[name], name=name))

    def _check_new_categories(self, reference: BatchLevels) -> None:
        """Raise if new categories are of another kind than the known ones, numbers beside text."""
        for name, known in reference.categories.items():
            for category in self._levels.categories[name][len(known) :]:
                if isinstance(category, str) != isinstance(known[0], str):
                    raise ValueError(
                        f"the categories of batch level {name!r} are not of one kind: the model knows {known[0]!r}, "
                        f"the query has {category!r}. Convert the column of the query, as with `.astype(str)`."
                    )


def _grow(module: nn.Module, state: dict[str, Tensor]) -> list[tuple[nn.Parameter, int]]:
    """Load a state whose tables have fewer rows; the tables that have grown, and how many of their rows were known."""
    parameters, grown = dict(module.named_parameters()), []
    fitting = {}
    for name, here in module.state_dict().items():
        known = state[name].to(here.device)
        if known.shape != here.shape:
            missing = len(here) - len(known)
            known = torch.cat([known, known.mean(0, keepdim=True).expand(missing, *known.shape[1:])])
            grown.append((parameters[name], len(here) - missing))
        fitting[name] = known
    module.load_state_dict(fitting)
    return grown
