"""Euclidean space without noise: the latent space of a plain autoencoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Size, Tensor

from curvi.distributions import Delta, ImproperUniform
from curvi.latent._base import LatentSpace, named_parameters
from curvi.manifolds import Euclidean

if TYPE_CHECKING:
    from collections.abc import Mapping


class DeltaLatent(LatentSpace[Delta], name="delta"):
    r"""Euclidean space :math:`\mathbb{R}^d` with :math:`q(z \mid x) = \delta(z - \mu)`.

    The raw code is the point. There is no prior to draw from and no divergence to pay, so the objective is the
    reconstruction alone: with a Gaussian likelihood and no hidden layers this is principal component analysis.

    Parameters
    ----------
    dim
        Dimension :math:`d \ge 1`.

    Examples
    --------
    >>> import torch
    >>> space = DeltaLatent(3)
    >>> raw = torch.randn(5, space.n_params)
    >>> bool((space(raw).rsample() == raw).all())
    True
    """

    has_prior = False

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.manifold = Euclidean(dim)
        self.n_params = dim
        self.n_coordinates = dim

    def forward(self, raw: Tensor) -> Delta:
        """The posterior of raw codes ``(..., dim)``."""
        return Delta(raw, validate_args=False)

    def prior(self, batch_shape: Size = Size()) -> ImproperUniform:
        """The flat, improper prior."""
        return ImproperUniform(batch_shape, Size((self.manifold.dim,)))

    def location(self, posterior: Delta) -> Tensor:
        """The point, ``(..., dim)``."""
        return posterior.loc

    def posterior_parameters(self, posterior: Delta) -> dict[str, Tensor]:
        """``loc (..., dim)``."""
        return {"loc": posterior.loc}

    def posterior(self, parameters: Mapping[str, Tensor]) -> Delta:
        """The posterior at ``loc (..., dim)``."""
        (loc,) = named_parameters(parameters, "loc")
        return Delta(loc, validate_args=False)

    def coordinates(self, z: Tensor) -> Tensor:
        """The points themselves, ``(..., dim)``."""
        return z
