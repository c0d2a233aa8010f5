"""Work on cells that several processes share: what each of them reads, and how their rows are put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scvi import settings
from torch import distributed

from curvi.data import CellLoader
from curvi.model._registration import RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData


class ProcessesMixin(RegisteredModel):
    """The methods of :class:`curvi.CurviVAE` for several processes."""

    def process_loader(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
        batch_size: int | None = None,
    ) -> CellLoader:
        """Minibatches of this process's share of cells, for the argument ``dataloader`` of other methods.

        The minibatches are those that one process would have, in order; of ``n`` processes each has about an ``n``-th
        of them, the first process the first. Without ``torch.distributed``, all are this process's.

        Parameters
        ----------
        adata
            Data with the genes and batch levels of the model; by default the model's own.
        indices
            Cells, as integers or a boolean mask.
        batch_size
            Cells a minibatch; the host's ``settings.batch_size`` by default.

        Raises
        ------
        ValueError
            If there are fewer minibatches than processes.

        Examples
        --------
        >>> import curvi
        >>> adata = curvi.datasets.synthetic(n_obs=200, n_vars=20)
        >>> curvi.CurviVAE.setup_anndata(adata)
        >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2)
        >>> model.train(max_epochs=1, enable_progress_bar=False)
        >>> own = model.get_latent_representation(dataloader=model.process_loader())
        >>> curvi.model.gather_rows(own).shape
        (200, 3)
        """
        manager = self.get_anndata_manager(self._validate_anndata(adata), required=True)
        part = (distributed.get_rank(), distributed.get_world_size()) if _several() else (0, 1)
        return CellLoader(manager, indices=indices, batch_size=batch_size or settings.batch_size, part=part)


def gather_rows(own: np.ndarray, axis: int = 0) -> np.ndarray:
    """The rows of all processes, those of the first process first; every process must call this and gets them all.

    Parameters
    ----------
    own
        The rows of this process; processes may have different numbers of them.
    axis
        Along which rows are counted, from 0: 1 for several draws ``(n_samples, n_cells, ...)``.

    Returns
    -------
    The array of all rows; without ``torch.distributed``, ``own`` itself.

    Raises
    ------
    ValueError
        If the arrays of the processes differ in more than the number of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from curvi.model import gather_rows
    >>> gather_rows(np.arange(3))
    array([0, 1, 2])
    """
    if not _several():
        return own
    rows = np.ascontiguousarray(np.moveaxis(own, axis, 0))
    kinds: list[tuple[str, tuple[int, ...]]] = [("", ())] * distributed.get_world_size()
    distributed.all_gather_object(kinds, (rows.dtype.str, rows.shape))
    if len({(dtype, shape[1:]) for dtype, shape in kinds}) > 1:
        raise ValueError(
            f"`own` differs between the processes in more than the number of rows: {', '.join(map(str, kinds))} (rows "
            "first); pass the same quantity everywhere."
        )
    device = torch.device("cuda", torch.cuda.current_device()) if distributed.get_backend() == "nccl" else "cpu"
    # What is gathered must have one length.
    longest = max(shape[0] for _, shape in kinds)
    padded = torch.zeros(longest, *rows.shape[1:], dtype=torch.from_numpy(rows).dtype, device=device)
    padded[: len(rows)] = torch.from_numpy(rows)
    every = [torch.empty_like(padded) for _ in kinds]
    distributed.all_gather(every, padded)
    parts = [part[: shape[0]].cpu().numpy() for part, (_, shape) in zip(every, kinds, strict=True)]
    return np.moveaxis(np.concatenate(parts), 0, axis)


def _several() -> bool:
    """Whether this process is one of several that know of each other."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
