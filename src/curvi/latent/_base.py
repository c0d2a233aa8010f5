"""The contract of a latent space: raw codes in, a distribution on a manifold out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import Size, Tensor, nn
from torch.distributions import Distribution

from curvi._named import Named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from curvi.manifolds import Manifold


Posterior = TypeVar("Posterior", bound=Distribution)


def named_parameters(parameters: Mapping[str, Tensor], *names: str) -> tuple[Tensor, ...]:
    """The parameters of these names, in their order.

    Raises
    ------
    ValueError
        If one is missing.
    """
    for name in names:
        if name not in parameters:
            raise ValueError(
                f"`parameters` has {', '.join(map(repr, parameters)) or 'nothing'}, but not {name!r}; a posterior of "
                f"this latent space needs {', '.join(map(repr, names))}, as `posterior_parameters` gives them."
            )
    return tuple(parameters[name] for name in names)


class LatentSpace(Named, nn.Module, ABC, Generic[Posterior], argument="latent"):
    r"""What a raw code means: :math:`q(z \mid x)` and :math:`p(z)`, on a manifold.

    Parameters
    ----------
    dim
        Intrinsic dimension of the manifold, at least 1.

    Attributes
    ----------
    manifold
        Where points live.
    n_params
        How many raw numbers a cell's code has.
    n_coordinates
        How many numbers the decoder is given for a point.
    has_prior
        Whether the prior is a distribution that can be drawn from and evaluated.
    """

    manifold: Manifold
    n_params: int
    n_coordinates: int
    has_prior: bool

    @abstractmethod
    def forward(self, raw: Tensor) -> Posterior:
        """The posterior of a raw code ``(..., n_params)``: event shape ``(ambient_dim,)``, batch shape ``(...)``."""

    @abstractmethod
    def prior(self, batch_shape: Size = Size()) -> Distribution:
        """The prior :math:`p(z)`, with event shape ``(ambient_dim,)``."""

    @abstractmethod
    def location(self, posterior: Posterior) -> Tensor:
        """Where a posterior of this space is centred, a point on the manifold, ``(..., ambient_dim)``."""

    @abstractmethod
    def posterior_parameters(self, posterior: Posterior) -> dict[str, Tensor]:
        """The parameters of a posterior of this space by name, each ``(..., size)`` or ``(...)``."""

    @abstractmethod
    def posterior(self, parameters: Mapping[str, Tensor]) -> Posterior:
        """The posterior that has these parameters, the same as the one that :meth:`posterior_parameters` read.

        Parameters
        ----------
        parameters
            What :meth:`posterior_parameters` names, in the same shapes; others are left alone.

        Raises
        ------
        ValueError
            If one is missing.
        """

    @abstractmethod
    def coordinates(self, z: Tensor) -> Tensor:
        """Well scaled coordinates of points ``(..., ambient_dim)`` for the decoder, ``(..., n_coordinates)``."""
