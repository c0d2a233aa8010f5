"""Minified data: a model that keeps the posteriors of its cells in the place of what was measured."""

from __future__ import annotations

from typing import Any, Literal, cast

from scvi.data._constants import _SCVI_UUID_KEY

from curvi.data import lacks_values, minified_copy
from curvi.data._minified import MINIFIED_TYPES, OBSM
from curvi.model._embedding import EmbeddingMixin
from curvi.model._expression import ExpressionMixin
from curvi.model._probe import probe


class MinifiedMixin(EmbeddingMixin, ExpressionMixin):
    """The :meth:`minify_adata` of :class:`curvi.CurviVAE`."""

    # The host's takes the mean and the variance of a Gaussian.
    def minify_adata(
        self,
        minified_data_type: Literal[
            "latent_posterior_parameters", "latent_posterior_parameters_with_counts"
        ] = "latent_posterior_parameters",
        batch_size: int | None = None,
    ) -> None:
        r"""Give the model a copy of its data that has posteriors in the place of what was measured.

        The parameters of each cell's posterior go to ``.obsm["X_curvi_qz_loc"]``, ``.obsm["X_curvi_qz_concentration"]``
        and so on, under the names that ``get_latent_representation(return_dist=True)`` has, and its size factor to
        ``.obs["observed_lib_size"]``, unless a column of size factors was registered. ``.X`` or the registered layer
        becomes an empty matrix; other layers and ``.raw`` are left out. Everything else is kept.

        What decodes the latent points of cells says the same as before. What compares cells with what was measured
        (:meth:`get_elbo`, :meth:`get_reconstruction_error`, :meth:`get_marginal_ll`, :meth:`train`, importance weights)
        raises; other data, with what was measured, can be passed to it. The columns of
        :meth:`differential_expression` that are means of the data are NaN.

        The AnnData that the model had stays as it is. The model lets go of it, so that its memory is free once nothing
        else refers to it; to build another model on it, call :meth:`setup_anndata` again.

        Parameters
        ----------
        minified_data_type
            ``"latent_posterior_parameters"``, or ``"latent_posterior_parameters_with_counts"`` to add the posteriors
            and keep all the rest; what is kept is encoded as before, so that all methods work.
        batch_size
            Cells a pass; the host's ``settings.batch_size`` by default.

        Raises
        ------
        ValueError
            If the type is unknown, the model has no data, or they are minified already.
        RuntimeError
            If the model is not trained.

        Examples
        --------
        >>> import curvi
        >>> adata = curvi.datasets.synthetic(n_obs=100, n_vars=20, levels={"patient": 2})
        >>> curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
        >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2)
        >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
        >>> before = model.get_latent_representation()
        >>> model.minify_adata()
        >>> model.adata.X.nnz, bool((model.get_latent_representation() == before).all())
        (0, True)
        """
        if minified_data_type not in MINIFIED_TYPES:
            known = ", ".join(map(repr, MINIFIED_TYPES))
            raise ValueError(f"`minified_data_type` is {minified_data_type!r}; the types are {known}.")
        adata = self._own_unless_given(None)
        if lacks_values(adata):
            raise ValueError("the data of the model are minified already, and what was measured is gone.")
        self._check_if_trained(warn=False)
        parameters = cast("dict[str, Any]", self.get_latent_representation(batch_size=batch_size, return_dist=True))
        setup = self.registry["setup_args"]
        has_own_sizes = setup["size_factor_key"] is not None
        small = minified_copy(
            adata,
            minified_data_type,
            layer=setup["layer"],
            parameters=parameters,
            sizes=None if has_own_sizes else self.get_latent_library_size(batch_size=batch_size).ravel(),
            record=probe(self.module, self._levels.n_per_level, self._n_continuous),
        )
        manifolds = dict(small.uns.get("curvi", {}))
        manifolds[f"{OBSM}loc"] = {"manifold": self.manifold.config(), "latent": self.module.latent.name}
        small.uns["curvi"] = manifolds
        self.adata = small
        self._forget(adata.uns[_SCVI_UUID_KEY])

    def _forget(self, uuid: str) -> None:
        """Let go of data that were registered, so that their memory can be freed."""
        manager = self._per_instance_manager_store[self.id].pop(uuid, None)
        if manager is not None and self._setup_adata_manager_store.get(uuid) is manager:
            del self._setup_adata_manager_store[uuid]
        # The trainer holds the loaders of its last run.
        if getattr(self, "trainer", None) is not None:
            del self.trainer
