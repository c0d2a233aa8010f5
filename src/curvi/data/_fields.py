"""The columns of an AnnData that the model reads: how they are registered with the host library, and what must hold."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scvi import REGISTRY_KEYS
from scvi.data.fields import (
    BaseAnnDataField,
    CategoricalJointObsField,
    CategoricalObsField,
    LayerField,
    NumericalJointObsField,
    NumericalObsField,
)

from curvi.data._image_field import ImageField
from curvi.data._layers import layer_names
from curvi.data._nesting import confounding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData


def as_keys(keys: str | Sequence[str] | None) -> list[str]:
    """A key, a list of keys or None, as a list."""
    if keys is None:
        return []
    return [keys] if isinstance(keys, str) else list(keys)


@dataclass(frozen=True)
class BatchLevels:
    """The levels of the batch vector, in order: the batch keys, then the further categorical covariates.

    Attributes
    ----------
    categories
        The categories of each level by its column in ``.obs``; a cell's code is the position of its category.
    has_batch_level
        Whether the first level is the host's ``batch``.

    Examples
    --------
    >>> levels = BatchLevels({"patient": ("a", "b"), "disease": (0, 1)}, has_batch_level=True)
    >>> levels.names, levels.n_per_level
    (['patient', 'disease'], [2, 2])
    """

    categories: Mapping[str, tuple[Any, ...]]
    has_batch_level: bool

    @classmethod
    def from_registry(cls, registry: Mapping[str, Any]) -> BatchLevels:
        """The levels that a registry of the host library describes."""
        fields = registry["field_registries"]
        first = as_keys(registry["setup_args"]["batch_key"])[:1]
        categories: dict[str, tuple[Any, ...]] = {}
        if first:
            state = fields[REGISTRY_KEYS.BATCH_KEY]["state_registry"]
            categories[first[0]] = tuple(np.asarray(state["categorical_mapping"]).tolist())
        state = fields.get(REGISTRY_KEYS.CAT_COVS_KEY, {}).get("state_registry", {})
        for key in state.get("field_keys", ()):
            categories[key] = tuple(np.asarray(state["mappings"][key]).tolist())
        return cls(categories, has_batch_level=bool(first))

    @property
    def names(self) -> list[str]:
        """The columns of ``.obs`` that hold the levels."""
        return list(self.categories)

    @property
    def n_per_level(self) -> list[int]:
        """The number of categories of each level."""
        return [len(categories) for categories in self.categories.values()]

    def unseen(self, adata: AnnData) -> dict[str, list[Any]]:
        """The categories of ``adata`` that a level does not know, by level; integer 0 and ``"0"`` are different.

        Raises
        ------
        KeyError
            If a level's column is missing.
        """
        check_columns(adata, self.names, "batch_key")
        found = {}
        for key, known in self.categories.items():
            new = [value for value in adata.obs[key].unique().tolist() if value not in known]
            if new:
                found[key] = new
        return found


def check_columns(adata: AnnData, keys: Sequence[str], argument: str) -> None:
    """Raise unless each key is a column of ``.obs`` without missing values.

    Raises
    ------
    KeyError
        If a key is not a column.
    ValueError
        If a column has missing values.
    """
    for key in keys:
        if key not in adata.obs:
            raise KeyError(
                f"`{argument}` names {key!r}, which is not a column of `adata.obs`; "
                f"the columns are {', '.join(map(repr, adata.obs.columns))}."
            )
        missing = np.flatnonzero(adata.obs[key].isna())
        if len(missing):
            raise ValueError(
                f"`adata.obs[{key!r}]`, named by `{argument}`, has {len(missing)} missing values (first in row "
                f"{missing[0]}); every cell needs a value. Fill them in, or leave those cells out."
            )


def check_genes(adata: AnnData, registry: Mapping[str, Any]) -> None:
    """Raise unless the genes are those of a registry of the host library, in its order.

    Raises
    ------
    ValueError
        If a gene is missing, or there are others, or they are in another order.
    """
    expected = np.asarray(registry["field_registries"][REGISTRY_KEYS.X_KEY]["state_registry"]["column_names"])
    given = np.asarray(adata.var_names)
    if np.array_equal(expected, given):
        return
    missing = [name for name in expected if name not in set(given)]
    if missing:
        raise ValueError(
            f"`adata` lacks {len(missing)} of the {len(expected)} genes of the model, {missing[0]!r} first; "
            "pass data with `adata.var_names` as in training."
        )
    raise ValueError(
        f"`adata` has {len(given)} genes that are not those of the model in its order ({len(expected)} genes); "
        "pass `adata[:, model.get_var_names()]`."
    )


def host_fields(
    adata: AnnData,
    *,
    layer: str | None,
    batch_key: str | Sequence[str] | None,
    labels_key: str | None,
    size_factor_key: str | None,
    categorical_covariate_keys: Sequence[str] | None,
    continuous_covariate_keys: Sequence[str] | None,
    new_data: bool = False,
) -> list[BaseAnnDataField]:
    """The host library's fields for the columns of ``adata`` that a model reads, after checking them.

    The first level goes under the host's ``batch``, the others under its further categorical covariates: only these
    keys are loaded as int64, and custom data modules write them too. A level with one category is warned about, and so
    are levels that cannot be told apart, unless ``new_data`` says that other categories were seen elsewhere.

    Raises
    ------
    KeyError
        If a key or the layer does not exist.
    ValueError
        If a column has missing values, a size factor is not positive, or a key is named twice.
    """
    batch, further = as_keys(batch_key), as_keys(categorical_covariate_keys)
    continuous = as_keys(continuous_covariate_keys)
    if layer is not None and layer not in adata.layers:
        known = ", ".join(map(repr, layer_names(adata))) or "none"
        raise KeyError(f"`layer` is {layer!r}, which is not a layer of `adata`; the layers are {known}.")
    levels = batch + further
    repeated = sorted({key for key in levels if levels.count(key) > 1})
    if repeated:
        raise ValueError(
            f"{', '.join(map(repr, repeated))} is named more than once in `batch_key` and "
            "`categorical_covariate_keys`; name each level once."
        )
    check_columns(adata, batch, "batch_key")
    check_columns(adata, further, "categorical_covariate_keys")
    check_columns(adata, as_keys(labels_key), "labels_key")
    check_columns(adata, continuous, "continuous_covariate_keys")
    check_columns(adata, as_keys(size_factor_key), "size_factor_key")
    if size_factor_key is not None and not (adata.obs[size_factor_key] > 0).all():
        raise ValueError(
            f"`adata.obs[{size_factor_key!r}]`, named by `size_factor_key`, has values that are not positive."
        )
    for key in levels:
        if adata.obs[key].nunique() == 1 and not new_data:
            warnings.warn(
                f"batch level {key!r} has the one category {adata.obs[key].iloc[0]!r}; it corrects nothing.",
                UserWarning,
                stacklevel=4,
            )
    confounded = None if new_data else confounding(adata.obs, levels)
    if confounded is not None:
        warnings.warn(confounded, UserWarning, stacklevel=4)
    return [
        # The likelihood checks every value; the host would look at twenty of them.
        LayerField(REGISTRY_KEYS.X_KEY, layer, is_count_data=False),
        CategoricalObsField(REGISTRY_KEYS.BATCH_KEY, batch[0] if batch else None),
        CategoricalObsField(REGISTRY_KEYS.LABELS_KEY, labels_key),
        NumericalObsField(REGISTRY_KEYS.SIZE_FACTOR_KEY, size_factor_key, required=False),
        CategoricalJointObsField(REGISTRY_KEYS.CAT_COVS_KEY, batch[1:] + further),
        NumericalJointObsField(REGISTRY_KEYS.CONT_COVS_KEY, continuous),
        ImageField(),
    ]
