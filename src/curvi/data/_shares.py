"""How the cells of an epoch are cut into minibatches and dealt to processes."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch.utils.data import DistributedSampler

if TYPE_CHECKING:
    from collections.abc import Iterator


def even_sizes(n: int, batch_size: int) -> list[int]:
    """The sizes of ``ceil(n / batch_size)`` minibatches of ``n`` cells, which differ by at most one.

    Examples
    --------
    >>> even_sizes(129, 128)
    [65, 64]
    """
    size, larger = divmod(n, count) if (count := ceil(n / batch_size)) else (0, 0)
    return [size + 1] * larger + [size] * (count - larger)


class Share(NamedTuple):
    """What one process takes of cells in an order: those from the place ``start`` on, in minibatches of ``sizes``."""

    start: int
    sizes: list[int]

    @property
    def stop(self) -> int:
        """The place in the order where the share ends."""
        return self.start + sum(self.sizes)

    def cut(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """The minibatches of the process, of cells in an order."""
        start = self.start
        for size in self.sizes:
            yield order[start : start + size]
            start += size


def share_of_steps(n: int, batch_size: int, rank: int, n_processes: int) -> Share:
    """A process's share of an epoch in which the processes take their steps together.

    Each step takes up to ``batch_size * n_processes`` cells, dealt as evenly as they can be; all processes have the
    same number of minibatches, and every cell is in one of them.

    Raises
    ------
    ValueError
        If a process would have a minibatch without cells.

    Examples
    --------
    >>> share_of_steps(10, 3, 0, 2), share_of_steps(10, 3, 1, 2)
    (Share(start=0, sizes=[3, 3]), Share(start=6, sizes=[2, 2]))
    """
    steps = even_sizes(n, batch_size * n_processes)
    if not steps or steps[-1] < n_processes:
        raise ValueError(
            f"{n} cells in minibatches of up to {batch_size} cannot be dealt to {n_processes} processes, of which some "
            "would have none; take fewer processes, larger minibatches, or more cells (training and validation cells "
            "are dealt separately)."
        )
    totals, sizes = [0], []
    for process in range(rank + 1):
        sizes = [step // n_processes + (process < step % n_processes) for step in steps]
        totals.append(totals[-1] + sum(sizes))
    return Share(totals[rank], sizes)


def share_of_passes(n: int, batch_size: int, rank: int, n_processes: int) -> Share:
    """A process's share of the minibatches that one process would have, each of which stays whole.

    Raises
    ------
    ValueError
        If there are fewer minibatches than processes.

    Examples
    --------
    >>> share_of_passes(10, 4, 0, 2), share_of_passes(10, 4, 1, 2)
    (Share(start=0, sizes=[4]), Share(start=4, sizes=[3, 3]))
    """
    sizes = even_sizes(n, batch_size)
    if len(sizes) < n_processes:
        raise ValueError(
            f"{n} cells make {len(sizes)} minibatches of up to {batch_size} cells, fewer than the {n_processes} "
            "processes; pass a smaller `batch_size`."
        )
    cuts = [len(sizes) * process // n_processes for process in (rank, rank + 1)]
    return Share(sum(sizes[: cuts[0]]), sizes[cuts[0] : cuts[1]])


class EvenDistributedSampler(DistributedSampler):
    """Minibatches of one of several processes: every cell of an epoch once, in one process.

    All processes have the same number of minibatches, whose sizes differ by at most one in each step.

    Parameters
    ----------
    n
        The number of cells.
    batch_size
        The largest minibatch of a process; a step of all of them takes up to ``batch_size`` times their number.
    shuffle
        Whether each epoch (:meth:`set_epoch`) has a random order of its own.
    rank, n_processes
        The number of the process, from 0, and how many there are; by default those of ``torch.distributed``.
    seed
        Of the orders, a number from 0 that all processes must have in common.

    Raises
    ------
    ValueError
        If a process would have a minibatch without cells.

    Examples
    --------
    >>> for rank in range(2):
    ...     print(list(EvenDistributedSampler(7, 2, shuffle=False, rank=rank, n_processes=2)))
    [array([0, 1]), array([2, 3])]
    [array([4, 5]), array([6])]
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        *,
        shuffle: bool,
        rank: int | None = None,
        n_processes: int | None = None,
        seed: int = 0,
    ) -> None:
        # Of the data only their number is read.
        data: Any = range(n)
        super().__init__(data, num_replicas=n_processes, rank=rank, shuffle=shuffle, seed=seed)
        self.n = n
        self.share = share_of_steps(n, batch_size, self.rank, self.num_replicas)

    def __len__(self) -> int:
        return len(self.share.sizes)

    def __iter__(self) -> Iterator[np.ndarray]:
        order = (
            np.random.default_rng([self.seed, self.epoch]).permutation(self.n) if self.shuffle else np.arange(self.n)
        )
        yield from self.share.cut(order)
