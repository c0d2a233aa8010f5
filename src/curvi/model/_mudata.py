"""One modality of a MuData: registered with what is known of its cells in either place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curvi.data import as_keys
from curvi.model._registration import RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from mudata import MuData


class MuDataMixin(RegisteredModel):
    """The :meth:`setup_mudata` of :class:`curvi.CurviVAE`."""

    @classmethod
    def setup_mudata(
        cls,
        mdata: MuData,
        modality: str,
        layer: str | None = None,
        batch_key: str | Sequence[str] | None = None,
        labels_key: str | None = None,
        size_factor_key: str | None = None,
        categorical_covariate_keys: Sequence[str] | None = None,
        continuous_covariate_keys: Sequence[str] | None = None,
    ) -> AnnData:
        """Register what the model reads of one modality of a MuData.

        The modality is an AnnData, and the model is built on that: ``CurviVAE(mdata["rna"])``. Columns that the
        modality does not have are copied from ``mdata.obs`` into its ``.obs``, cell by cell.

        Parameters
        ----------
        mdata
            Several modalities.
        modality
            The name of the one to model, a key of ``mdata.mod``.
        layer, batch_key, labels_key, size_factor_key, categorical_covariate_keys, continuous_covariate_keys
            As in :meth:`setup_anndata`; columns of the modality's ``.obs`` or of ``mdata.obs``.

        Returns
        -------
        The modality, ``mdata[modality]``.

        Raises
        ------
        KeyError
            If there is no such modality, or a key exists in neither place.
        ValueError
            As :meth:`setup_anndata`.

        Examples
        --------
        >>> import curvi, mudata
        >>> rna = curvi.datasets.synthetic(n_obs=100, n_vars=20, levels={"patient": 2})
        >>> mdata = mudata.MuData({"rna": rna})
        >>> mdata.obs["site"] = ["a", "b"] * 50
        >>> rna = curvi.CurviVAE.setup_mudata(mdata, "rna", batch_key=["patient", "site"])
        >>> model = curvi.CurviVAE(rna)
        >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
        >>> model.embed()
        >>> mdata["rna"].obsm["X_curvi"].shape
        (100, 3)
        """
        if modality not in mdata.mod:
            known = ", ".join(map(repr, mdata.mod)) or "none"
            raise KeyError(f"`modality` is {modality!r}; the modalities of `mdata` are {known}.")
        adata = mdata.mod[modality]
        for keys in (batch_key, labels_key, size_factor_key, categorical_covariate_keys, continuous_covariate_keys):
            for key in as_keys(keys):
                if key not in adata.obs and key in mdata.obs:
                    adata.obs[key] = mdata.obs.loc[adata.obs_names, key].to_numpy()
        cls.setup_anndata(
            adata,
            layer=layer,
            batch_key=batch_key,
            labels_key=labels_key,
            size_factor_key=size_factor_key,
            categorical_covariate_keys=categorical_covariate_keys,
            continuous_covariate_keys=continuous_covariate_keys,
        )
        return adata
