"""Differential expression between groups of cells, by the host's hypotheses on draws of this model's own posteriors."""

from __future__ import annotations

import warnings
from math import log
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from scipy.sparse import csr_matrix, issparse
from scvi.model.base._de_core import _de_core

from curvi.data import lacks_values
from curvi.manifolds import from_config
from curvi.manifolds._frame import seen_from
from curvi.model._counterfactual import counterfactuals
from curvi.model._expression import ExpressionMixin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from anndata import AnnData
    from scvi.data import AnnDataManager
    from torch import Tensor

    from curvi.model._counterfactual import Counterfactual

_TEMPORARY = "_scvi_temp_de"


class DifferentialMixin(ExpressionMixin):
    """Methods of :class:`curvi.CurviVAE` that compare groups of cells."""

    def differential_expression(
        self,
        adata: AnnData | None = None,
        groupby: str | None = None,
        group1: str | Sequence[str] | None = None,
        group2: str | None = None,
        idx1: Sequence[int] | Sequence[bool] | np.ndarray | str | None = None,
        idx2: Sequence[int] | Sequence[bool] | np.ndarray | str | None = None,
        mode: Literal["vanilla", "change"] = "change",
        delta: float | None = 0.25,
        batch_size: int | None = None,
        all_stats: bool = True,
        batch_correction: bool | str | Sequence[str] = False,
        batchid1: Sequence[Any] | None = None,
        batchid2: Sequence[Any] | None = None,
        fdr_target: float = 0.05,
        silent: bool = False,
        weights: Literal["uniform", "importance"] = "uniform",
        filter_outlier_cells: bool = False,
        importance_weighting_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> pd.DataFrame:
        r"""Genes whose expected value differs between two groups of cells :cite:p:`Lopez2018,Boyeau2023`.

        Parameters
        ----------
        adata
            Data with the genes of the model; by default the model's own.
        groupby
            A column of ``.obs`` with the groups.
        group1, group2
            The groups to compare; by default each with the rest.
        idx1, idx2
            Cells to compare instead: numbers, a mask, or a query of ``.obs``; ``idx2`` is by default the rest.
        mode
            ``"change"``: the probability that the log2 ratio exceeds ``delta``. ``"vanilla"``: that one group has more.
        delta
            The least log2 ratio that counts; None estimates one from the data.
        batch_size
            Cells a pass.
        all_stats
            Whether the table also has the means of the data themselves, which are NaN of minified data.
        batch_correction
            Whether both groups are decoded under the same batches: True for all categories of the first level, or the
            names of levels for all combinations of their categories. If not, cells keep their own.
        batchid1, batchid2
            Where they are corrected: for each group the categories of the first level, or ``{level: category}``.
        fdr_target
            The expected share of false discoveries among the genes marked in ``is_de_fdr_...``.
        silent
            Whether to hide the progress bar.
        weights
            ``"uniform"``, or ``"importance"`` for draws that many cells of the group make likely under the model's own
            prior, posteriors and likelihood.
        filter_outlier_cells
            Whether to leave out cells that lie far from their group, by an elliptic envelope in the tangent space at
            its Frechet mean.
        importance_weighting_kwargs
            ``max_cells`` (1024), ``truncation`` (False), ``n_mc_samples`` (500) and ``n_mc_samples_per_pass`` (250).
        **kwargs
            ``n_samples_overall``, ``pseudocounts``, ``test_mode``, ``use_permutation``, ... of
            ``scvi.model.base.DifferentialComputation.get_bayes_factors``.

        Returns
        -------
        A table of genes, the most different first, with one block for each group: ``proba_de``, ``bayes_factor``,
        ``scale1``, ``scale2``, ``lfc_mean``, ... as in scvi-tools.

        Raises
        ------
        ValueError
            If neither groups nor cells are given, or a level, a category or a kind of weights is not one; of minified
            data, for importance weights, and for ``mode="change"`` without ``pseudocounts``.

        Examples
        --------
        >>> import curvi
        >>> adata = curvi.datasets.synthetic(n_obs=100, n_vars=20, levels={"patient": 2})
        >>> curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
        >>> model = curvi.CurviVAE(adata)
        >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
        >>> table = model.differential_expression(groupby="cell_type", batch_correction="patient", silent=True)
        >>> len(table) == 20 * adata.obs["cell_type"].nunique()
        True
        """
        if groupby is None and idx1 is None:
            raise ValueError("neither `groupby` nor `idx1` was given; say which cells to compare.")
        if weights not in ("uniform", "importance"):
            raise ValueError(f"`weights` is {weights!r}; expected 'uniform' or 'importance'.")
        if weights == "importance" and not self.module.latent.has_prior:
            raise ValueError(f"latent={self.module.latent.name!r} has no prior to weigh draws by; use uniform weights.")
        adata = self._validate_anndata(adata)
        if weights == "importance":
            self._need_values(
                "differential_expression", adata, "with importance weights compares cells with what was measured"
            )
        if mode == "change" and kwargs.get("pseudocounts") is None:
            self._need_values(
                "differential_expression",
                adata,
                "estimates `pseudocounts` from the genes without counts in a group",
                "Pass a number, to be added to the shares of both groups (1e-10 is taken where all genes have counts),",
            )
        if all_stats and lacks_values(adata):
            warnings.warn(
                "the data are minified: the columns that are means of what was measured (raw_mean1, ...) are NaN; "
                "`all_stats=False` leaves them out.",
                UserWarning,
                stacklevel=2,
            )
        ways, ids1, ids2 = self._batches_to_compare(batch_correction, batchid1, batchid2)
        options = dict(importance_weighting_kwargs or {})

        def sampled(
            adata: AnnData, indices: np.ndarray, transform_batch: int | None, n_samples_overall: int
        ) -> np.ndarray:
            way = None if transform_batch is None else ways[int(transform_batch)]
            return self._drawn_expression(adata, indices, way, n_samples_overall, batch_size, weights, options)

        try:
            with warnings.catch_warnings():
                # Of minified data the host says so whether or not the statistics are asked for.
                warnings.filterwarnings("ignore", message="Count statistics make no sense")
                return _de_core(
                    self.get_anndata_manager(adata, required=True),
                    sampled,
                    self._tangent_coordinates if filter_outlier_cells else None,
                    groupby,
                    group1,
                    group2,
                    idx1,
                    idx2,
                    all_stats,
                    _statistics(counts=self.module.likelihood.observations.are_counts),
                    adata.var_names,
                    mode,
                    ids1,
                    ids2,
                    delta,
                    batch_correction is not False,
                    fdr_target,
                    silent,
                    **kwargs,
                )
        finally:
            # The host leaves its column behind where something fails.
            if _TEMPORARY in adata.obs:
                del adata.obs[_TEMPORARY]

    def _batches_to_compare(
        self, correction: bool | str | Sequence[str], batchid1: Sequence[Any] | None, batchid2: Sequence[Any] | None
    ) -> tuple[list[Counterfactual], list[int] | None, list[int] | None]:
        """The combinations of categories to decode under, and which of them for either group, by their numbers."""
        if correction is False:
            if batchid1 is not None or batchid2 is not None:
                raise ValueError("`batchid1` or `batchid2` was given without `batch_correction`; set it to True.")
            return [], None, None
        levels = self._levels
        named = levels.names[:1] if correction is True else [correction] if isinstance(correction, str) else correction
        if not named:
            raise ValueError("`batch_correction` is set, but the model has no batch levels.")
        every = {name: list(levels.categories.get(name, ())) or None for name in named}
        ways: list[Counterfactual] = []
        numbers: list[list[int]] = []
        for given in (batchid1, batchid2):
            asked = [every] if given is None else given
            found = [way for each in asked for way in counterfactuals(each, levels)]
            ways += [way for way in found if way not in ways]
            numbers.append([ways.index(way) for way in found])
        return ways, numbers[0], numbers[1]

    @torch.inference_mode()
    def _drawn_expression(
        self,
        adata: AnnData,
        indices: np.ndarray,
        way: Counterfactual | None,
        n_samples: int,
        batch_size: int | None,
        weights: str,
        options: Mapping[str, Any],
    ) -> np.ndarray:
        """Expected data ``(n_samples, n_features)`` at draws from the posteriors of cells taken at random."""
        each = n_samples // len(indices) + 1
        likelihood = self.module.likelihood
        size = 1.0 if likelihood.observations.are_counts else None
        values, points, raws, levels = [], [], [], []
        for tensors in self._minibatches(adata, indices, batch_size, None):
            z = self._draws(tensors, each)
            inputs = self.module._get_generative_input(tensors, {"z": z})
            own = inputs["levels"] if way is None else way.apply(inputs["levels"])
            raw = self.module.decode(z, own, inputs["continuous"])
            unit = inputs["size_factor"] if size is None else torch.full_like(inputs["size_factor"], size)
            values.append(likelihood.expression(likelihood(raw, unit, own)))
            if weights == "importance":
                points.append(z)
                raws.append(raw)
                levels.append(own)
        pool = torch.cat(values, 1).flatten(0, 1)
        chance = None
        if weights == "importance":
            cut = (torch.cat(points, 1), torch.cat(raws, 1), torch.cat(levels))
            chance = self._importance(adata, indices, *cut, **options)
        return pool.cpu().numpy()[np.random.choice(len(pool), n_samples, p=chance)]  # noqa: NPY002, the host's seed

    def _importance(
        self,
        adata: AnnData,
        indices: np.ndarray,
        z: Tensor,
        raw: Tensor,
        levels: Tensor,
        *,
        max_cells: int = 1024,
        truncation: bool = False,
        n_mc_samples: int = 500,
        n_mc_samples_per_pass: int = 250,
    ) -> np.ndarray:
        """The weight of each draw ``z (n_draws, n_cells, ambient_dim)``, one after the other; they sum to 1.

        The mean over some of the cells of p(z) p(x | z) / p(x), divided by the mixture of their posteriors; where they
        are truncated, as in :cite:t:`Ionides2008`.
        """
        n = len(indices)
        anchors = np.random.choice(n, max_cells, replace=False) if n > max_cells else np.arange(n)  # noqa: NPY002
        module, chosen = self.module, np.asarray(indices)[anchors]
        evidence = torch.from_numpy(
            self.get_marginal_ll(
                adata,
                chosen,
                return_mean=False,
                n_mc_samples=n_mc_samples,
                n_mc_samples_per_pass=n_mc_samples_per_pass,
            )
        )
        each, mixture = [], []
        flat = z.flatten(0, 1)
        for tensors in self._minibatches(adata, chosen, 1, None):
            qz = module.inference(**module._get_inference_input(tensors))["qz"]
            mixture.append(qz.log_prob(flat))
            size = module._get_generative_input(tensors, {"z": z})["size_factor"]
            px = module.likelihood(raw, size.expand(len(levels), 1), levels)
            each.append(px.log_prob(tensors["X"].to(raw.device)).sum(-1).flatten())
        log_px, log_qz = torch.stack(each, -1), torch.stack(mixture, -1)
        prior = module.latent.prior().log_prob(flat)[:, None]
        ratio = prior + log_px - evidence.to(log_px) - torch.logsumexp(log_qz, -1, keepdim=True)
        weight = torch.logsumexp(ratio.double(), -1)
        if truncation:
            # No weight exceeds the mean times the root of their number.
            weight = weight.clamp_max(torch.logsumexp(weight, 0) - log(len(weight)) / 2)
        return torch.softmax(weight, 0).cpu().numpy()

    def _tangent_coordinates(self, adata: AnnData, indices: np.ndarray) -> np.ndarray:
        """The tangent coordinates ``(n_cells, dim)`` of cells at their Frechet mean."""
        manifold = from_config(self.manifold.config()).double()
        points = torch.from_numpy(self.get_latent_representation(adata, indices)).double()
        return seen_from(manifold, manifold.mean(points), points).detach().numpy()


def _statistics(*, counts: bool) -> Callable[[AnnDataManager, np.ndarray, np.ndarray], dict[str, np.ndarray]]:
    """The means of the data of two groups of cells, under the host's names."""

    def statistics(manager: AnnDataManager, *masks: np.ndarray) -> dict[str, np.ndarray]:
        if lacks_values(manager.adata):
            names = ("raw_mean", "non_zeros_proportion", *(("raw_normalized_mean",) if counts else ()))
            nothing = np.full(manager.adata.n_vars, np.nan)
            return {f"{name}{i}": nothing for i in range(1, len(masks) + 1) for name in names}
        x = manager.get_from_registry("X")
        found = {}
        for i, mask in enumerate(masks, 1):
            rows = x[np.flatnonzero(mask)]
            rows = csr_matrix(rows) if issparse(rows) else np.asarray(rows)
            found[f"raw_mean{i}"] = np.asarray(rows.mean(0)).ravel()
            found[f"non_zeros_proportion{i}"] = np.asarray((rows != 0).mean(0)).ravel()
            if counts:
                # To a total of 10,000 a cell.
                size = 1e4 / np.asarray(rows.sum(1)).ravel()
                found[f"raw_normalized_mean{i}"] = size @ rows / len(size)
        return found

    return statistics
