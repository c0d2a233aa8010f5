"""Abundance: where on the manifold the cells of a sample are dense, and where one group of samples is denser."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import torch
from scipy.special import logsumexp

from curvi.data import check_columns
from curvi.distributions import Mixture
from curvi.manifolds._device import double
from curvi.model._embedding import EmbeddingMixin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from torch import Tensor


class AbundanceMixin(EmbeddingMixin):
    """Methods of :class:`curvi.CurviVAE` that compare where the cells of samples lie."""

    @torch.no_grad()
    def get_aggregated_posterior(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        batch_size: int | None = None,
    ) -> Mixture:
        r"""The aggregated posterior of cells: the mixture of their posteriors, with equal weights.

        .. math:: \frac{1}{n} \sum_{i=1}^{n} q(z \mid x_i)

        A density on :attr:`manifold` with respect to its own area or volume. The components are the posteriors
        themselves, with their concentrations or scales; there are no degrees of freedom to choose, as there are for the
        heavier tails that scvi-tools offers in flat space.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_latent_representation`.

        Returns
        -------
        A distribution with ``log_prob(z)`` at points ``(..., ambient_dim)`` and ``sample``. Its ``components`` are in
        the order of the cells.

        Raises
        ------
        ValueError
            If the posteriors of the latent space have no density, or there are no cells.

        Examples
        --------
        >>> import curvi, torch
        >>> adata = curvi.datasets.synthetic(n_obs=100, n_vars=20)
        >>> curvi.CurviVAE.setup_anndata(adata)
        >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2)
        >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
        >>> density = model.get_aggregated_posterior(indices=adata.obs["cell_type"] == adata.obs["cell_type"].iloc[0])
        >>> density.log_prob(torch.from_numpy(model.get_latent_representation())).shape
        torch.Size([100])
        """
        return self._mixture(self._parameters_of_cells(adata, indices, batch_size))

    @torch.no_grad()
    def differential_abundance(
        self,
        adata: AnnData | None = None,
        sample_key: str | None = None,
        batch_size: int | None = None,
        num_cells_posterior: int | None = None,
        *,
        leave_out_self: bool = True,
        key_added: str = "da_log_probs",
    ) -> pd.DataFrame:
        r"""How dense the cells of each sample are where each cell lies.

        For each cell the log-density of its location under the aggregated posterior of each sample
        (:meth:`get_aggregated_posterior`). :func:`curvi.model.abundance_log_ratio` compares groups of samples in this
        table, as in :cite:t:`Boyeau2025`.

        Densities of samples differ by what the latent space knows of the samples. To compare what their cells are,
        rather than how they were measured, make what distinguishes the measurements a batch level.

        Parameters
        ----------
        adata
            Data with the genes of the model; by default the model's own. Unseen batches are compared too where the
            encoder does not read the batch levels.
        sample_key
            A column of ``.obs`` that says which sample a cell is of, a batch level or any other.
        batch_size
            Cells a pass of the encoder; the host's ``settings.batch_size`` by default.
        num_cells_posterior
            The most cells a sample is described by, drawn at random; all by default. The log of a mean of few densities
            is low by its noise, so that samples of very different sizes are better compared with the same number.
        leave_out_self
            Whether a cell's own posterior is left out of the density of its sample. It is densest at the cell itself,
            whatever the sample has there: with it, each cell speaks for its own sample. False is what scvi-tools does.
        key_added
            Key of ``.obsm`` for the table, by default that of scvi-tools.

        Returns
        -------
        Log-densities in nats, cells by samples, which is also written to ``adata.obsm[key_added]``; there samples are
        named by strings.

        Raises
        ------
        KeyError
            If ``sample_key`` is not a column of ``.obs``.
        ValueError
            If it is not given or has missing values, a sample has one cell only, which is to be left out,
            ``num_cells_posterior`` is too small, or the posteriors of the latent space have no density.

        Examples
        --------
        >>> import curvi
        >>> adata = curvi.datasets.synthetic(n_obs=100, n_vars=20, levels={"patient": 3})
        >>> curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
        >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2)
        >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
        >>> model.differential_abundance(sample_key="patient").shape
        (100, 3)
        """
        target = self._own_unless_given(adata)
        if sample_key is None:
            raise ValueError("`sample_key` was not given; name the column of `adata.obs` that holds the samples.")
        least = 2 if leave_out_self else 1
        if num_cells_posterior is not None and num_cells_posterior < least:
            raise ValueError(
                f"`num_cells_posterior` is {num_cells_posterior}; it must be at least {least} with "
                f"leave_out_self={leave_out_self}, or None for all cells."
            )
        check_columns(target, [sample_key], "sample_key")
        samples = pd.Categorical(target.obs[sample_key]).remove_unused_categories()
        alone = samples.categories[np.bincount(samples.codes) == 1]
        if leave_out_self and len(alone):
            raise ValueError(
                f"sample {alone[0]!r} of `adata.obs[{sample_key!r}]` has one cell, so that nothing is left of it "
                "without that cell; leave it out, or set leave_out_self=False."
            )
        parameters = self._parameters_of_cells(adata, None, batch_size)
        # In float64: differences are taken of the results.
        points = parameters["loc"].to(double(self.device))
        columns = []
        for sample in range(len(samples.categories)):
            cells = np.flatnonzero(samples.codes == sample)
            if num_cells_posterior is not None and num_cells_posterior < len(cells):
                cells = np.random.choice(cells, num_cells_posterior, replace=False)  # noqa: NPY002, the host's seed
            members = torch.from_numpy(cells)
            density = self._mixture({name: values[members.to(values.device)] for name, values in parameters.items()})
            if leave_out_self:
                own = torch.full((len(points),), -1)
                own[members] = torch.arange(len(members))
                found = density.log_prob_without(points, own.to(points.device))
            else:
                found = density.log_prob(points)
            columns.append(found.cpu().numpy())
        table = pd.DataFrame(np.stack(columns, 1), index=target.obs_names, columns=pd.Index(samples.categories))
        # A file has no other names of columns.
        target.obsm[key_added] = table.rename(columns=str)
        return table

    def _parameters_of_cells(
        self, adata: AnnData | None, indices: Sequence[int] | np.ndarray | None, batch_size: int | None
    ) -> dict[str, Tensor]:
        """The parameters of the posteriors of cells by name, ``(n, ...)`` each, on the model's device."""
        latent = self.module.latent
        if not latent.has_prior:
            raise ValueError(
                f"the posteriors of latent={latent.name!r} are points, which have no density; choose a latent space "
                "with noise, such as 'vmf' or 'normal'."
            )
        given = np.arange(1) if indices is None else np.asarray(indices)
        if given.size == 0 or (given.dtype == bool and not given.any()):
            raise ValueError("`indices` names no cells; at least one is needed.")
        parameters = self.get_latent_representation(adata, indices, batch_size=batch_size, return_dist=True)
        by_name = cast("dict[str, np.ndarray]", parameters)
        return {name: torch.from_numpy(values).to(self.device) for name, values in by_name.items()}

    def _mixture(self, parameters: Mapping[str, Tensor]) -> Mixture:
        # A copy, so that the density neither changes with a learned curvature nor has a gradient in it.
        latent = deepcopy(self.module.latent).requires_grad_(False)
        return Mixture(latent.posterior(parameters), validate_args=False)


def abundance_log_ratio(
    log_probs: pd.DataFrame,
    groups: Mapping[Any, Any] | pd.Series,
    group1: Any,
    group2: Any = None,
    *,
    samples: Sequence[Any] | pd.Series | None = None,
) -> pd.Series:
    r"""How much denser, where each cell lies, the samples of one group are than those of another.

    .. math:: \log \frac{1}{|A|} \sum_{s \in A} p_s(z) - \log \frac{1}{|B|} \sum_{s \in B} p_s(z)

    Each sample counts the same, however many cells it has :cite:p:`Boyeau2025`. Where posteriors overlap, a log-ratio
    of log 2 says that twice the share of the cells of the first group lies there; where they are narrow against the
    gaps between cells, it hangs on the nearest few, and is larger than what the shares say.

    Parameters
    ----------
    log_probs
        Cells by samples, from :meth:`curvi.CurviVAE.differential_abundance`.
    groups
        The group of each sample, by its name.
    group1
        The group that counts as more.
    group2
        The group to compare it with; by default all samples of other groups.
    samples
        The sample of each cell, to leave out all of its sample from the density of its group: the cells of one sample
        resemble each other by more than their group. It takes two samples a group.

    Returns
    -------
    Log-ratios in nats, one a cell.

    Raises
    ------
    ValueError
        If a sample has no group, a group has no sample, or nothing is left of a group without a cell's own sample.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> table = pd.DataFrame(np.log([[2.0, 2.0, 1.0], [1.0, 3.0, 4.0]]), index=["x", "y"], columns=["a", "b", "c"])
    >>> abundance_log_ratio(table, {"a": "stim", "b": "stim", "c": "ctrl"}, "stim", "ctrl").round(3).tolist()
    [0.693, -0.693]
    """
    group_of = dict(groups)
    lacking = [sample for sample in log_probs.columns if sample not in group_of]
    if lacking:
        raise ValueError(f"`groups` has no group for sample {lacking[0]!r}; name that of each column of the table.")
    of = np.array([group_of[sample] == group1 for sample in log_probs.columns])
    against = ~of if group2 is None else np.array([group_of[sample] == group2 for sample in log_probs.columns])
    for name, chosen in (("group1", of), ("group2", against)):
        if not chosen.any():
            known = ", ".join(map(repr, dict.fromkeys(group_of[sample] for sample in log_probs.columns)))
            value = group1 if name == "group1" else group2
            raise ValueError(f"`{name}` is {value!r}, of which there is no sample; the groups are {known}.")
    values = log_probs.to_numpy(dtype=np.float64)
    weights = np.ones_like(values)
    if samples is not None:
        own = np.asarray(samples)[:, None] == np.asarray(log_probs.columns)[None]
        if len(own) != len(values) or not own.any(1).all():
            raise ValueError("`samples` must have the sample of each cell of the table, by the name of its column.")
        weights[own] = 0.0
        if not (weights[:, of].any(1).all() and weights[:, against].any(1).all()):
            raise ValueError(
                "`samples` was given, but without a cell's own sample nothing is left of its group; each group needs "
                "two samples or more."
            )
    means = [
        logsumexp(values[:, chosen], axis=1, b=weights[:, chosen]) - np.log(weights[:, chosen].sum(1))
        for chosen in (of, against)
    ]
    return pd.Series(means[0] - means[1], index=log_probs.index, name="log_ratio")
