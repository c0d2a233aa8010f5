"""Minified data: the posteriors of cells in the place of what was measured of them."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from scipy.sparse import csr_matrix
from scvi import REGISTRY_KEYS
from scvi.data._constants import _ADATA_MINIFY_TYPE_UNS_KEY, _MANAGER_UUID_KEY, _SCVI_UUID_KEY, ADATA_MINIFY_TYPE
from scvi.data.fields import BaseAnnDataField, NumericalObsField, ObsmField

if TYPE_CHECKING:
    from collections.abc import Mapping

MINIFIED_TYPES: tuple[str, str] = tuple(ADATA_MINIFY_TYPE)
"""Without and with what was measured."""

# What minibatches call the parameters of the posterior, and what an AnnData calls them in `.obsm`.
QZ = "qz_"
OBSM = "X_curvi_qz_"
_RECORD = "curvi_minified"


def minified_type(adata: AnnData) -> str | None:
    """Which of :data:`MINIFIED_TYPES` the data are, under the host's key of ``.uns``; None for all others."""
    return adata.uns.get(_ADATA_MINIFY_TYPE_UNS_KEY)


def lacks_values(adata: AnnData) -> bool:
    """Whether the data are minified and what was measured is gone."""
    return minified_type(adata) == ADATA_MINIFY_TYPE.LATENT_POSTERIOR


def minified_record(adata: AnnData) -> Mapping[str, Any]:
    """What :func:`minified_copy` noted in minified data.

    Raises
    ------
    ValueError
        If they were minified by another model class.
    """
    record = adata.uns.get(_RECORD)
    if record is None:
        raise ValueError(
            f"`adata` is minified ({minified_type(adata)!r}), but not by this class: `adata.uns[{_RECORD!r}]` is "
            "missing, which says where the posteriors are. Pass the data with what was measured."
        )
    return record


def posterior_columns(adata: AnnData) -> dict[str, np.ndarray]:
    """The parameters of the posteriors in minified data by name, ``(n_obs, size)`` each.

    Raises
    ------
    ValueError
        If the data were minified by another model class, or a parameter has been removed.
    """
    names = [str(name) for name in minified_record(adata)["parameters"]]
    missing = [OBSM + name for name in names if OBSM + name not in adata.obsm]
    if missing:
        raise ValueError(
            f"`adata` is minified, but `.obsm` lacks {', '.join(map(repr, missing))}, parameters of the posteriors."
        )
    return {name: np.asarray(adata.obsm[OBSM + name]) for name in names}


class _PosteriorField(ObsmField):
    """A parameter of posteriors, whose columns have no names."""

    def _setup_column_names(self, adata: AnnData) -> np.ndarray:
        return np.arange(self.get_field_data(adata).shape[1])


def minified_fields(adata: AnnData) -> list[BaseAnnDataField]:
    """The host library's fields for what stands in minified data for the values; none for other data."""
    if not lacks_values(adata):
        return []
    fields: list[BaseAnnDataField] = [_PosteriorField(QZ + name, OBSM + name) for name in posterior_columns(adata)]
    if REGISTRY_KEYS.OBSERVED_LIB_SIZE in adata.obs:
        fields.append(NumericalObsField(REGISTRY_KEYS.OBSERVED_LIB_SIZE, REGISTRY_KEYS.OBSERVED_LIB_SIZE))
    return fields


def minified_copy(
    adata: AnnData,
    kind: str,
    *,
    layer: str | None,
    parameters: Mapping[str, np.ndarray],
    sizes: np.ndarray | None,
    record: Mapping[str, Any],
) -> AnnData:
    """A copy of data with the parameters of posteriors, with or without what was measured.

    Parameters
    ----------
    adata
        The data, in memory or on disk.
    kind
        One of :data:`MINIFIED_TYPES`.
    layer
        The layer that the model reads, None for ``.X``. Without values an empty matrix takes its place; other layers
        and ``.raw`` are left out.
    parameters
        By name, ``(n_obs,)`` or ``(n_obs, size)`` each; go to ``.obsm``, as columns.
    sizes
        The size factor of each cell, ``(n_obs,)``, for ``.obs``; None where the user's own is there.
    record
        Plain values to note beside.
    """
    if kind == ADATA_MINIFY_TYPE.LATENT_POSTERIOR:
        empty = csr_matrix(adata.shape, dtype=np.float32)
        small = AnnData(
            empty,
            obs=adata.obs.copy(),
            var=adata.var.copy(),
            uns=deepcopy(dict(adata.uns)),
            layers={} if layer is None else {layer: empty.copy()},
            **{
                name: {key: value.copy() for key, value in getattr(adata, name).items()}
                for name in ("obsm", "varm", "obsp", "varp")
            },
        )
    else:
        small = adata.to_memory() if adata.isbacked else adata.copy()
    for key in (_SCVI_UUID_KEY, _MANAGER_UUID_KEY):
        small.uns.pop(key, None)
    for name, value in parameters.items():
        small.obsm[OBSM + name] = value.reshape(len(value), -1)
    if sizes is not None:
        small.obs[REGISTRY_KEYS.OBSERVED_LIB_SIZE] = sizes
    small.uns[_ADATA_MINIFY_TYPE_UNS_KEY] = kind
    small.uns[_RECORD] = {"parameters": list(parameters), **record}
    return small
