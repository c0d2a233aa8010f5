"""The contract of a likelihood: raw maps in, a distribution over the data out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from curvi._compressed import dense
from curvi._named import Named

if TYPE_CHECKING:
    from torch.distributions import Distribution

    from curvi.likelihoods._observations import Observations


class Likelihood(Named, nn.Module, ABC, argument="likelihood"):
    r"""What a raw output means: :math:`p(x \mid z)`.

    The constructor of every likelihood begins with the two parameters below; its further ones are plain values.

    Parameters
    ----------
    n_features
        The number of features.
    n_per_level
        The number of categories of each batch level.

    Attributes
    ----------
    n_params
        How many raw maps the decoder must produce, each with a number for each feature.
    observations
        The kind of numbers that it describes.
    """

    observations: ClassVar[Observations]
    n_features: int
    n_params: int

    @abstractmethod
    def forward(self, raw: Tensor, size_factor: Tensor, levels: Tensor | None = None) -> Distribution:
        """The distribution of the data, with batch shape ``(..., n, n_features)`` and no event shape.

        Parameters
        ----------
        raw
            Raw maps, ``(..., n, n_params, n_features)``.
        size_factor
            Positive, ``(n, 1)``; likelihoods of real values do not use it.
        levels
            The category of each cell in each batch level, int64, ``(n, n_levels)``.

        Returns
        -------
        A distribution whose ``log_prob`` is elementwise; sum it over the features.
        """

    # Each likelihood is handed back what it made, a distribution of its own kind.
    def log_likelihood(self, px: Any, x: Tensor) -> Tensor:
        """The log-probability of each cell of data ``(n, n_features)``, summed over its features, ``(..., n)``.

        Data may be compressed rows.
        """
        return px.log_prob(dense(x)).sum(-1)

    def expression(self, px: Any) -> Tensor:
        """The expected data ``(..., n, n_features)``; of zero-inflated counts those without the extra zeros."""
        return px.mean

    def rates(self, px: Any) -> Tensor:
        """Draws ``(..., n, n_features)`` without the noise of counting; of real values, draws of the data."""
        return px.sample()

    def parameters_of(self, px: Any) -> dict[str, Tensor]:
        """The parameters of a distribution that this likelihood made, by name, broadcastable to its batch shape."""
        return {"mean": px.mean}

    def encoder_input(self, x: Tensor) -> Tensor:
        """What an encoder is given of data ``(n, n_features)``: log1p of counts, real values as they are."""
        return self.observations.encoder_input(x)

    def size_factor(self, x: Tensor) -> Tensor:
        """The size of each cell where the user gives none, ``(n, 1)``: the total of counts, 1 for real values."""
        return self.observations.size_factor(x)

    def check(self, x: Any, first_row: int = 0) -> None:
        """Raise unless the likelihood can describe the data.

        Parameters
        ----------
        x
            A block of rows, ``(n, n_features)``: a numpy array or a scipy sparse matrix.
        first_row
            The number of the block's first row, for the message.

        Raises
        ------
        ValueError
            If an entry is missing, infinite or, for counts, negative or fractional, or if a cell has no counts.
        """
        self.observations.check(x, self.name, first_row)

    def maps(self, raw: Tensor) -> tuple[Tensor, ...]:
        """The ``n_params`` raw maps, each ``(..., n, n_features)``.

        Raises
        ------
        ValueError
            If ``raw`` is of another shape than the likelihood reads.
        """
        if raw.shape[-2:] != (self.n_params, self.n_features):
            raise ValueError(
                f"`raw` has shape {tuple(raw.shape)}; likelihood {self.name!r} reads "
                f"(..., {self.n_params}, {self.n_features})."
            )
        # One map is a view also to the backward pass, which of several would make a copy.
        return (raw.squeeze(-2),) if self.n_params == 1 else raw.unbind(-2)
