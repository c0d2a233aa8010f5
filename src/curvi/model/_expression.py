"""What the model makes of the data of cells: expected values, draws, and the parameters of their distributions."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata
from sparse import GCXS, concatenate
from torch import Size, Tensor

from curvi.model._counterfactual import Counterfactual, counterfactuals
from curvi.model._registration import RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anndata import AnnData
    from torch.distributions import Distribution


class ExpressionMixin(RegisteredModel):
    """Methods of :class:`curvi.CurviVAE` that encode cells and decode them, as themselves or under other batches."""

    @torch.inference_mode()
    def get_normalized_expression(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        transform_batch: Any = None,
        gene_list: Sequence[str] | None = None,
        library_size: float | Literal["latent"] = 1.0,
        n_samples: int = 1,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
    ) -> np.ndarray | pd.DataFrame:
        r"""The expected data of cells: of counts, the share of each gene times a library size.

        For a zero-inflated likelihood this is the expectation without the extra zeros.

        Parameters
        ----------
        adata
            Data with the genes of the model; by default the model's own.
        indices
            Cells, as integers or a boolean mask; rows come back in the order asked for.
        transform_batch
            The categories to decode under in the place of the cells' own: one of the first batch level, or ``{level:
            category}`` for any of the levels, whose others stay. Of lists of categories, the mean over all their
            combinations is taken.
        gene_list
            Genes to return, in this order; by default all.
        library_size
            The total of a cell that counts are scaled to, positive, or ``"latent"`` for the cell's own size factor.
            Real values have none: leave it at 1.
        n_samples
            Draws from the posterior of each cell.
        batch_size
            Cells a pass; the host's ``settings.batch_size`` by default.
        return_mean
            Whether to return the mean over the draws or each of them.
        return_numpy
            Whether to return an array; by default a table, unless there are several draws, which are an array.
        dataloader
            Minibatches to read in the place of ``adata``.

        Returns
        -------
        ``(n_cells, n_genes)``, a table with the names of cells and genes or an array; several draws ``(n_samples,
        n_cells, n_genes)``.

        Raises
        ------
        ValueError
            If a level, a category, a gene or a size is not one, or a table is asked for of several draws.

        Examples
        --------
        >>> import curvi
        >>> adata = curvi.datasets.synthetic(n_obs=100, n_vars=20, levels={"patient": 2, "site": 3})
        >>> curvi.CurviVAE.setup_anndata(adata, batch_key=["patient", "site"])
        >>> model = curvi.CurviVAE(adata)
        >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
        >>> patient, sites = adata.obs["patient"].iloc[0], list(adata.obs["site"].unique())
        >>> model.get_normalized_expression(transform_batch={"patient": patient, "site": sites}).shape
        (100, 20)
        """
        several = n_samples > 1 and not return_mean
        if several and return_numpy is False:
            raise ValueError(
                f"`return_numpy` is False, but {n_samples} draws of each cell are no table; set `return_mean=True`."
            )
        size = None if library_size == "latent" else self._checked_size(library_size)
        genes = self._genes(gene_list)
        expected = self.module.likelihood.expression
        ways = counterfactuals(transform_batch, self._levels)
        parts = []
        for tensors in self._minibatches(adata, indices, batch_size, dataloader):
            # The draws are the same under every category, so that nothing but the category differs.
            z = self._draws(tensors, n_samples)
            decoded = (expected(self._decoded(tensors, z, way, size))[..., genes] for way in ways)
            mean = reduce(torch.add, decoded) / len(ways)
            parts.append((mean if several else mean.mean(0)).cpu())
        values = torch.cat(parts, -2).numpy()
        if several or return_numpy or dataloader is not None:
            return values
        return pd.DataFrame(values, index=self._cell_names(adata, indices), columns=self._gene_names()[genes])

    @torch.inference_mode()
    def posterior_predictive_sample(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        n_samples: int = 1,
        gene_list: Sequence[str] | None = None,
        batch_size: int | None = None,
        transform_batch: Any = None,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
    ) -> GCXS | np.ndarray:
        """New data of the same cells, drawn from the posterior predictive distribution.

        Parameters
        ----------
        adata, indices, gene_list, batch_size, dataloader
            As in :meth:`get_normalized_expression`.
        n_samples
            Draws of each cell, each from a new draw of its posterior.
        transform_batch
            As in :meth:`get_normalized_expression`; of several combinations each draw takes one at random.

        Returns
        -------
        ``(n_cells, n_genes)``, with several draws ``(n_cells, n_genes, n_samples)``: counts as a sparse array of
        :mod:`sparse`, real values as an array.

        Raises
        ------
        ValueError
            If a level, a category or a gene is not one.
        """
        genes = self._genes(gene_list)
        ways = counterfactuals(transform_batch, self._levels)
        counts = self.module.likelihood.observations.are_counts
        parts: list[Any] = []
        for tensors in self._minibatches(adata, indices, batch_size, dataloader):
            z = self._draws(tensors, n_samples)
            each = torch.stack([self._decoded(tensors, z, way, None).sample()[..., genes] for way in ways])
            taken = torch.randint(len(ways), (1, *each.shape[1:-1], 1), device=each.device)
            values = torch.take_along_dim(each, taken, 0)[0].movedim(0, -1).cpu().numpy()
            drawn = values[..., 0] if n_samples == 1 else values
            parts.append(GCXS.from_numpy(drawn) if counts else drawn)
        if len(parts) == 1:
            return parts[0]
        return concatenate(parts, axis=0) if counts else np.concatenate(parts)

    @torch.inference_mode()
    def get_likelihood_parameters(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        n_samples: int = 1,
        give_mean: bool = False,
        batch_size: int | None = None,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
    ) -> dict[str, np.ndarray]:
        """The parameters of the distribution of each value.

        Parameters
        ----------
        adata, indices, batch_size, dataloader
            As in :meth:`get_normalized_expression`.
        n_samples
            Draws from the posterior of each cell.
        give_mean
            Whether to return the means over the draws.

        Returns
        -------
        By name, each ``(n_cells, n_genes)``, with several draws ``(n_samples, n_cells, n_genes)``: ``mean``; for
        ``"nb"`` and ``"zinb"`` the inverse dispersion, ``dispersions``; for ``"zinb"`` the probability of an extra
        zero, ``dropout``, and the mean of the counts without those; for real values ``scale``, of a Student t ``df``.
        """
        parts: list[dict[str, Tensor]] = []
        for tensors in self._minibatches(adata, indices, batch_size, dataloader):
            px = self._decoded(tensors, self._draws(tensors, n_samples), Counterfactual({}), None)
            named = {name: x.expand(px.batch_shape) for name, x in self.module.likelihood.parameters_of(px).items()}
            reduced = {name: x.mean(0) if give_mean or n_samples == 1 else x for name, x in named.items()}
            parts.append({name: x.cpu() for name, x in reduced.items()})
        return {name: torch.cat([part[name] for part in parts], -2).numpy() for name in parts[0]}

    def get_latent_library_size(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        give_mean: bool = True,
        batch_size: int | None = None,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
    ) -> np.ndarray:
        """The size factor of each cell, ``(n_cells, 1)``: its total count unless ``size_factor_key`` names another.

        The model takes it as given, so that there is nothing to draw and ``give_mean`` makes no difference.
        """
        sizes = [self._size_factor(tensors) for tensors in self._minibatches(adata, indices, batch_size, dataloader)]
        return torch.cat(sizes).numpy()

    @torch.inference_mode()
    def get_feature_correlation_matrix(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        n_samples: int = 10,
        batch_size: int | None = None,
        rna_size_factor: float = 1000.0,
        transform_batch: Any = None,
        correlation_type: Literal["spearman", "pearson"] = "spearman",
    ) -> pd.DataFrame:
        """Correlations of features over cells and draws, without the noise of sampling counts.

        What is correlated are, of counts, draws of their Poisson rates, scaled to one library size; of real values,
        draws from the posterior predictive distribution.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_normalized_expression`.
        n_samples
            Draws of each cell.
        rna_size_factor
            The total that counts are scaled to; real values have none.
        transform_batch
            As in :meth:`get_normalized_expression`; of several combinations the mean of the correlations is taken.
        correlation_type
            ``"spearman"`` (of ranks) or ``"pearson"``.

        Returns
        -------
        A table ``(n_genes, n_genes)``.

        Raises
        ------
        ValueError
            If the type of correlation, a level or a category is not one.
        """
        if correlation_type not in ("spearman", "pearson"):
            raise ValueError(f"`correlation_type` is {correlation_type!r}; expected 'spearman' or 'pearson'.")
        likelihood = self.module.likelihood
        size = self._checked_size(rna_size_factor) if likelihood.observations.are_counts else None
        ways = counterfactuals(transform_batch, self._levels)
        drawn: list[list[Tensor]] = [[] for _ in ways]
        for tensors in self._minibatches(adata, indices, batch_size, None):
            z = self._draws(tensors, n_samples)
            for rows, way in zip(drawn, ways, strict=True):
                rows.append(likelihood.rates(self._decoded(tensors, z, way, size)).flatten(0, 1).cpu())
        total = np.zeros((likelihood.n_features, likelihood.n_features))
        for rows in drawn:
            values = torch.cat(rows).double().numpy()
            total += np.corrcoef(rankdata(values, axis=0) if correlation_type == "spearman" else values, rowvar=False)
        names = self._gene_names()
        return pd.DataFrame(total / len(ways), index=names, columns=names)

    def _draws(self, tensors: dict[str, Tensor], n_samples: int) -> Tensor:
        """Draws ``(n_samples, n, ambient_dim)`` from the posteriors of a minibatch."""
        if n_samples < 1:
            raise ValueError(f"`n_samples` is {n_samples}; it must be at least 1.")
        self._check_if_trained()
        qz = self.module.inference(**self.module._get_inference_input(tensors))["qz"]
        return qz.sample(Size([n_samples]))

    def _decoded(self, tensors: dict[str, Tensor], z: Tensor, way: Counterfactual, size: float | None) -> Distribution:
        """The distribution of the data at latent points, with another size and other categories where given."""
        inputs = self.module._get_generative_input(tensors, {"z": z})
        inputs["levels"] = way.apply(inputs["levels"])
        if size is not None:
            inputs["size_factor"] = torch.full((z.shape[-2], 1), size)
        return self.module.generative(**inputs)["px"]

    def _size_factor(self, tensors: dict[str, Tensor]) -> Tensor:
        return self.module._get_generative_input(tensors, {"z": None})["size_factor"].cpu()

    def _checked_size(self, library_size: Any) -> float | None:
        """A library size, or None where the data have none."""
        if not self.module.likelihood.observations.are_counts:
            if library_size != 1:
                raise ValueError(
                    f"a library size of {library_size} was given; likelihood {self.module.likelihood.name!r} describes "
                    "values that have none, leave it out."
                )
            return None
        if not isinstance(library_size, int | float | np.number) or not library_size > 0:
            raise ValueError(f"`library_size` is {library_size!r}; expected a positive number or 'latent'.")
        return float(library_size)

    def _gene_names(self) -> np.ndarray:
        return np.asarray(self.get_var_names())

    def _genes(self, gene_list: Sequence[str] | None) -> np.ndarray:
        """The columns of genes, in the order asked for."""
        names = pd.Index(self._gene_names())
        if gene_list is None:
            return np.arange(len(names))
        columns = names.get_indexer(list(gene_list))
        if (columns < 0).any():
            missing = [gene for gene, column in zip(gene_list, columns, strict=True) if column < 0]
            raise ValueError(
                f"`gene_list` names {missing[0]!r}, which is not among the {len(names)} genes of the model "
                f"({len(missing)} of {len(columns)} are not)."
            )
        return columns

    def _cell_names(self, adata: AnnData | None, indices: Any) -> pd.Index:
        names = self._own_unless_given(adata).obs_names
        return names if indices is None else names[np.asarray(indices)]
