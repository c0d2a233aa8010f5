"""The description of data that do not come as an AnnData: what custom data modules tell a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scvi import REGISTRY_KEYS, __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FIELDS = "field_registries"


def make_registry(
    var_names: Sequence[str],
    levels: Mapping[str, Sequence[Any]] | None = None,
    continuous: Sequence[str] = (),
) -> dict[str, Any]:
    """The registry of data that do not come as an AnnData, for ``CurviVAE(registry=...)``.

    The minibatches of a data module that it describes are dictionaries of tensors: ``"X"`` ``(n, n_features)``, the
    data; ``"batch"`` ``(n, 1)``, the code of the category in the first batch level, or zeros where there is none;
    ``"extra_categorical_covs"`` ``(n, n_levels - 1)``, the codes in the further levels, if any; and
    ``"extra_continuous_covs"`` ``(n, n_continuous)``, if any. A code is the position of a category in its level.

    Parameters
    ----------
    var_names
        The names of the features, in the order of the columns of ``"X"``.
    levels
        For each batch level its categories, in the order of their codes.
    continuous
        The names of the continuous covariates.

    Raises
    ------
    ValueError
        If there are no features, or a level has no category or has one twice.

    Examples
    --------
    >>> import curvi
    >>> registry = curvi.data.make_registry(["CD3D", "MS4A1"], {"patient": ["a", "b"], "site": ["lung", "gut"]})
    >>> curvi.CurviVAE(registry=registry, latent="vmf").manifold
    Sphere(dim=2)
    """
    names = np.asarray(var_names)
    if names.ndim != 1 or not len(names):
        raise ValueError(f"`var_names` has shape {names.shape}; expected the names of at least one feature.")
    known = {key: np.asarray(categories) for key, categories in (levels or {}).items()}
    for key, categories in known.items():
        if not len(categories) or len(set(categories.tolist())) < len(categories):
            raise ValueError(f"`levels[{key!r}]` is {categories.tolist()}; expected each category of the level once.")
    first, further = list(known)[:1], list(known)[1:]
    return {
        "scvi_version": __version__,
        "model_name": "CurviVAE",
        "setup_method_name": "setup_anndata",
        "setup_args": {
            "layer": None,
            "batch_key": first[0] if first else None,
            "labels_key": None,
            "size_factor_key": None,
            "categorical_covariate_keys": further or None,
            "continuous_covariate_keys": list(continuous) or None,
        },
        _FIELDS: {
            REGISTRY_KEYS.X_KEY: _field(
                {"attr_name": "X", "attr_key": None}, {"column_names": names, "n_vars": len(names)}, n_vars=len(names)
            ),
            REGISTRY_KEYS.BATCH_KEY: _field(
                {"attr_name": "obs", "attr_key": "_scvi_batch"},
                {"categorical_mapping": known[first[0]] if first else np.zeros(1, int), "original_key": _key(first)},
                n_batch=len(known[first[0]]) if first else 1,
            ),
            REGISTRY_KEYS.LABELS_KEY: _field(
                {"attr_name": "obs", "attr_key": "_scvi_labels"},
                {"categorical_mapping": np.zeros(1, int), "original_key": "_scvi_labels"},
                n_labels=1,
            ),
            REGISTRY_KEYS.SIZE_FACTOR_KEY: _field({}, {}),
            REGISTRY_KEYS.CAT_COVS_KEY: _field(
                {"attr_name": "obsm", "attr_key": "_scvi_extra_categorical_covs"} if further else {},
                {
                    "field_keys": further,
                    "mappings": {key: known[key] for key in further},
                    "n_cats_per_key": [len(known[key]) for key in further],
                }
                if further
                else {},
                n_extra_categorical_covs=len(further),
            ),
            REGISTRY_KEYS.CONT_COVS_KEY: _field(
                {"attr_name": "obsm", "attr_key": "_scvi_extra_continuous_covs"} if len(continuous) else {},
                {"columns": np.asarray(continuous, dtype=object)} if len(continuous) else {},
                n_extra_continuous_covs=len(continuous),
            ),
        },
    }


def from_data_module(registry: Mapping[str, Any]) -> dict[str, Any]:
    """The registry of one of the host's data modules, brought to the form of :func:`make_registry`.

    Raises
    ------
    ValueError
        If the registry lacks the names of the features, or the categories of a batch level.
    """
    fields, setup = registry.get(_FIELDS, {}), registry.get("setup_args", {})
    names = _state(fields, REGISTRY_KEYS.X_KEY).get("column_names")
    if names is None:
        raise ValueError(
            "`registry` lacks the names of the features, `field_registries['X']['state_registry']['column_names']`; "
            "write it with `curvi.data.make_registry`."
        )
    levels: dict[str, Any] = {}
    if setup.get("batch_key") is not None:
        levels[setup["batch_key"]] = _state(fields, REGISTRY_KEYS.BATCH_KEY).get("categorical_mapping")
    covariates = _state(fields, REGISTRY_KEYS.CAT_COVS_KEY)
    # The host's own data modules write the one key, its AnnData fields the other.
    mappings = covariates.get("mappings", covariates.get("mapping", {}))
    levels |= {key: mappings.get(key) for key in covariates.get("field_keys", ())}
    missing = [key for key, categories in levels.items() if categories is None]
    if missing:
        raise ValueError(
            f"`registry` lacks the categories of batch level {missing[0]!r}; write it with `curvi.data.make_registry`."
        )
    return make_registry(list(names), levels, list(_state(fields, REGISTRY_KEYS.CONT_COVS_KEY).get("columns", ())))


def _state(fields: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return fields.get(key, {}).get("state_registry", {})


def _field(data: Mapping[str, Any], state: Mapping[str, Any], **counts: int) -> dict[str, Any]:
    return {"data_registry": dict(data), "state_registry": dict(state), "summary_stats": counts}


def _key(first: Sequence[str]) -> str:
    return first[0] if first else "_scvi_batch"
