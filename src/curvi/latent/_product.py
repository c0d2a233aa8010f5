"""Products of latent spaces: several geometries side by side, independent given the cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Size, Tensor, nn

from curvi.distributions import Joint, split_draws
from curvi.latent._base import LatentSpace, named_parameters
from curvi.manifolds import Product

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ProductLatent(LatentSpace[Joint]):
    r"""Product :math:`\mathcal{M}_1 \times \dots \times \mathcal{M}_k` with independent posteriors and priors.

    Points are the points of the parts, one after the other; divergences add, squared distances too. A torus is the
    product of two circles.

    Parameters
    ----------
    parts
        Latent spaces, at least one.

    Raises
    ------
    ValueError
        If there are no parts.

    Examples
    --------
    >>> import torch
    >>> from curvi.latent import LorentzLatent, VonMisesFisherLatent
    >>> space = ProductLatent([VonMisesFisherLatent(2), LorentzLatent(2)])
    >>> space(torch.randn(5, space.n_params)).rsample().shape
    torch.Size([5, 6])
    """

    name = "product"

    def __init__(self, parts: Sequence[LatentSpace]) -> None:
        super().__init__()
        if not parts:
            raise ValueError("`parts` is empty; a product needs at least one latent space.")
        self.parts = nn.ModuleList(parts)
        self.manifold = Product([part.manifold for part in parts])
        self._sizes = [part.manifold.ambient_dim for part in parts]
        self.n_params = sum(part.n_params for part in parts)
        self.n_coordinates = sum(part.n_coordinates for part in parts)
        self.has_prior = all(part.has_prior for part in parts)

    @property
    def _spaces(self) -> list[LatentSpace]:
        return cast("list[LatentSpace]", list(self.parts))

    def forward(self, raw: Tensor) -> Joint:
        """The posterior of raw codes ``(..., n_params)``."""
        codes = raw.split([part.n_params for part in self._spaces], dim=-1)
        return Joint([part(code) for part, code in zip(self._spaces, codes, strict=True)], validate_args=False)

    def prior(self, batch_shape: Size = Size()) -> Joint:
        """The priors of the parts."""
        return Joint([part.prior(batch_shape) for part in self._spaces], validate_args=False)

    def location(self, posterior: Joint) -> Tensor:
        """The locations of the parts, ``(..., ambient_dim)``."""
        return torch.cat([part.location(q) for part, q in zip(self._spaces, posterior.parts, strict=True)], dim=-1)

    def posterior_parameters(self, posterior: Joint) -> dict[str, Tensor]:
        """``loc (..., ambient_dim)``, and of each part what else it has, as ``0_concentration`` and ``1_scale``."""
        parameters = {"loc": self.location(posterior)}
        for i, (part, q) in enumerate(zip(self._spaces, posterior.parts, strict=True)):
            own = part.posterior_parameters(q)
            parameters |= {f"{i}_{name}": value for name, value in own.items() if name != "loc"}
        return parameters

    def posterior(self, parameters: Mapping[str, Tensor]) -> Joint:
        """The posterior whose parts have these parameters, named as :meth:`posterior_parameters` does."""
        (loc,) = named_parameters(parameters, "loc")
        parts = []
        for i, (part, own_loc) in enumerate(zip(self._spaces, loc.split(self._sizes, dim=-1), strict=True)):
            prefix = f"{i}_"
            own = {name.removeprefix(prefix): value for name, value in parameters.items() if name.startswith(prefix)}
            parts.append(part.posterior({"loc": own_loc, **own}))
        return Joint(parts, validate_args=False)

    def coordinates(self, z: Tensor) -> Tensor:
        """The coordinates of the parts, ``(..., n_coordinates)``."""
        points = split_draws(z, self._sizes)
        return torch.cat([part.coordinates(point) for part, point in zip(self._spaces, points, strict=True)], dim=-1)
