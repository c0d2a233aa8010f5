"""How much each batch level explains: of the data, of what the model decodes, and of the latent space."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS, settings
from torch import Tensor

from curvi.data import check_columns
from curvi.manifolds import from_config
from curvi.manifolds._centres import centres
from curvi.manifolds._frame import seen_from
from curvi.metrics import LevelShares, variance_explained
from curvi.model._counterfactual import Counterfactual, counterfactuals
from curvi.model._expression import ExpressionMixin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

# What counts are scaled to before the logarithm.
_TOTAL = 1e4
_OBSERVED, _DECODED, _CORRECTED = "observed", "decoded", "corrected"


@dataclass
class _Sums:
    """What is collected while cells pass: shares by what is looked at, points, and squared shifts by level."""

    shares: dict[str, LevelShares]
    shifts: dict[int, float]
    n_values: int = 0
    points: list[np.ndarray] = field(default_factory=list)


class LevelsMixin(ExpressionMixin):
    """Methods of :class:`curvi.CurviVAE` that weigh its batch levels."""

    @torch.inference_mode()
    def get_level_effects(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        *,
        within: str | None = None,
        transform_batch: Any = None,
        n_cells: int | None = 10_000,
        n_shuffles: int = 10,
        batch_size: int | None = None,
        seed: int = 0,
    ) -> pd.DataFrame:
        r"""How much of the variance each batch level explains, before the correction and after it.

        Four things are looked at. In each, the share of a level is the part of the variance that lies between its
        categories, less what as many random categories would have: about 0 for none, 1 for all. Beside it stands the
        unique share, which no other level explains; of a level that contains another, such as the disease of patients
        who have one each, it is 0.

        - ``observed``: the data as they are; of counts ``log1p`` of counts per 10,000. All genes together, so that it
          is a small share of a large variance, most of which is the noise of counting.
        - ``decoded``: what the model expects of each cell in its own batch, on the same scale, without that noise.
        - ``corrected``: what it expects of each cell under one and the same combination of categories. What is left
          here goes through the latent space.
        - ``latent``: where the cells lie, by :func:`curvi.metrics.variance_explained` along the manifold. The unique
          part of it is as large, in proportion, as in tangent coordinates at the Frechet mean.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_normalized_expression`.
        within
            A column of ``.obs``, such as cell types: shares are then those among the cells of the same type, so that a
            difference in composition alone counts for nothing.
        transform_batch
            The categories of ``corrected``, as in :meth:`get_normalized_expression`; by default the most frequent
            combination of the categories of all levels.
        n_cells
            The most cells to look at, drawn at random where there are more; None for all of them.
        n_shuffles
            Shuffles of the categories that say what chance has, for ``latent``; for the others that is a formula.
        seed
            Of the choice of cells and of the shuffles.

        Returns
        -------
        A row for each level. ``n_categories``; ``observed``, ``decoded``, ``corrected`` and ``latent``, each at most 1,
        and the same with ``_unique``; and ``shift``: how far the categories of the level lie apart in what is decoded
        of the same cell, as the root of the mean squared difference of two categories over cells and genes, on the
        scale of the natural logarithm (for real values on their own). nan where a level has one category, and
        ``observed`` of minified data, which hold none.

        Raises
        ------
        ValueError
            If the model has no batch levels, ``within`` has missing values, or a number is below 1.
        KeyError
            If ``within`` is no column.

        Examples
        --------
        >>> import curvi
        >>> adata = curvi.datasets.synthetic(n_obs=100, n_vars=20, levels={"patient": 2, "site": 3})
        >>> curvi.CurviVAE.setup_anndata(adata, batch_key=["patient", "site"])
        >>> model = curvi.CurviVAE(adata)
        >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
        >>> effects = model.get_level_effects(within="cell_type")
        >>> effects.index.tolist(), effects["n_categories"].tolist()
        (['patient', 'site'], [2, 3])
        """
        self._check_if_trained()
        if not self._levels.names:
            raise ValueError("the model has no batch levels; register them with `setup_anndata(batch_key=...)`.")
        adata = self._validate_anndata(adata)
        rows = self._some_rows(adata, indices, n_cells, seed)
        codes = self._codes_of(adata, rows)
        groups = np.zeros(len(rows), dtype=np.int64)
        if within is not None:
            check_columns(adata, [within], "within")
            groups = np.asarray(pd.factorize(adata.obs[within].iloc[rows])[0])
        sums = self._collect(adata, rows, codes, groups, transform_batch, batch_size)
        points = np.concatenate(sums.points)
        present = [len(np.unique(column)) for column in codes.T]
        # On the CPU, and in double precision.
        space = from_config(self.manifold.config())
        rows64 = torch.from_numpy(points).double()
        centre = centres(space, rows64, torch.zeros(len(rows64), dtype=torch.int64))[0][0]
        tangent = LevelShares(self._levels.n_per_level, int(groups.max()) + 1)
        tangent.add(seen_from(space, centre, rows64).numpy(), codes, groups)
        table = {}
        for level, name in enumerate(self._levels.names):
            several = present[level] > 1
            row: dict[str, float] = {"n_categories": present[level]}
            for what, shares in sums.shares.items():
                row |= {what: shares.share(level), f"{what}_unique": shares.unique(level)}
            row["latent"] = float("nan")
            if several and not np.isnan(tangent.share(level)):
                row["latent"] = variance_explained(
                    points, codes[:, level], space, groups, n_shuffles=n_shuffles, seed=seed
                )
            row["latent_unique"] = _unique_part(row["latent"], tangent.share(level), tangent.unique(level))
            row["shift"] = np.sqrt(sums.shifts[level] / sums.n_values) if level in sums.shifts else float("nan")
            table[name] = row
        effects = pd.DataFrame.from_dict(table, orient="index").astype({"n_categories": int})
        return effects.rename_axis("level")

    def _some_rows(self, adata: AnnData, indices: Any, n_cells: int | None, seed: int) -> np.ndarray:
        """At most ``n_cells`` of the rows that ``indices`` names, in order."""
        rows = np.arange(adata.n_obs) if indices is None else np.arange(adata.n_obs)[np.asarray(indices)]
        if n_cells is not None and n_cells < 1:
            raise ValueError(f"`n_cells` is {n_cells}; it must be at least 1, or None for all cells.")
        if n_cells is None or len(rows) <= n_cells:
            return rows
        return np.sort(np.random.default_rng(seed).choice(rows, n_cells, replace=False))

    def _codes_of(self, adata: AnnData, rows: np.ndarray) -> np.ndarray:
        """The codes ``(n, n_levels)`` of cells."""
        columns = [
            pd.Index(known).get_indexer(adata.obs[name].iloc[rows].to_numpy())
            for name, known in self._levels.categories.items()
        ]
        return np.stack(columns, axis=1).astype(np.int64)

    def _collect(
        self,
        adata: AnnData,
        rows: np.ndarray,
        codes: np.ndarray,
        groups: np.ndarray,
        transform_batch: Any,
        batch_size: int | None,
    ) -> _Sums:
        """Read, encode and decode cells minibatch by minibatch."""
        n_per_level = self._levels.n_per_level
        if transform_batch is None:
            combinations, counts = np.unique(codes, axis=0, return_counts=True)
            ways = [Counterfactual(dict(enumerate(combinations[counts.argmax()].tolist())))]
        else:
            ways = counterfactuals(transform_batch, self._levels)
        looked_at = (_OBSERVED, _DECODED, _CORRECTED)
        sums = _Sums(
            {what: LevelShares(n_per_level, int(groups.max()) + 1) for what in looked_at},
            {level: 0.0 for level, n in enumerate(n_per_level) if n > 1},
        )
        done = 0
        for tensors in self._minibatches(adata, rows, batch_size or settings.batch_size, None):
            qz = self.module.inference(**self.module._get_inference_input(tensors))["qz"]
            z = self.module.latent.location(qz)
            part = slice(done, done + len(z))
            done += len(z)
            corrected = torch.stack([self._expected(tensors, z, way) for way in ways]).mean(0)
            values = {
                _DECODED: self._on_log_scale(self._expected(tensors, z, Counterfactual({}))),
                _CORRECTED: self._on_log_scale(corrected),
            }
            # Minified data have none.
            if REGISTRY_KEYS.X_KEY in tensors:
                values[_OBSERVED] = self._on_log_scale(tensors[REGISTRY_KEYS.X_KEY])
            for what, numbers in values.items():
                sums.shares[what].add(numbers.cpu().numpy(), codes[part], groups[part])
            sums.points.append(z.cpu().numpy())
            sums.n_values += values[_DECODED].numel()
            for level in sums.shifts:
                every = [
                    self._on_log_scale(self._expected(tensors, z, Counterfactual({level: code})))
                    for code in range(n_per_level[level])
                ]
                # The mean squared difference of two of them is twice their variance.
                sums.shifts[level] += float(2 * torch.stack(every).double().var(0).sum())
        return sums

    def _expected(self, tensors: dict[str, Tensor], z: Tensor, way: Counterfactual) -> Tensor:
        """What is expected at latent points ``(n, ambient_dim)``, ``(n, n_genes)``."""
        return self.module.likelihood.expression(self._decoded(tensors, z[None], way, None))[0]

    def _on_log_scale(self, values: Tensor) -> Tensor:
        """Counts ``(n, n_genes)`` as ``log1p`` of counts per 10,000; real values as they are."""
        if not self.module.likelihood.observations.are_counts:
            return values
        return torch.log1p(values / values.sum(-1, keepdim=True) * _TOTAL)


def _unique_part(share: float, flat_share: float, flat_unique: float) -> float:
    """The unique part of a share on a manifold, in the proportion that it has in flat coordinates."""
    # Where cells lie all around a sphere, flat shares are smaller than those along the manifold.
    return share * float(np.clip(flat_unique / flat_share, 0, 1)) if flat_share > 0 else flat_unique
