"""Gaussian likelihood of real values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.distributions import Normal

from curvi.likelihoods._base import Likelihood
from curvi.likelihoods._dispersion import Dispersion
from curvi.likelihoods._observations import RealValues

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class NormalLikelihood(Likelihood, name="normal"):
    r"""Real values with Gaussian noise, :math:`x_{ij} \sim N(r_{ij}, \sigma_{ij}^2)`.

    Parameters
    ----------
    n_features, n_per_level
        As for :class:`Likelihood`.
    dispersion
        :math:`\sigma` for each feature: ``"gene"``; ``"gene-batch"``, one for each category of a batch level;
        ``"gene-cell"``, from the decoder; ``"fixed"``, one number that is not learned: least squares.
    dispersion_level
        The index of the batch level that ``"gene-batch"`` refers to.
    scale
        :math:`\sigma` before training, in [1e-7, 1e7].

    Examples
    --------
    >>> import torch
    >>> likelihood = NormalLikelihood(3, dispersion="fixed", scale=0.5)
    >>> likelihood(torch.zeros(2, 1, 3), torch.ones(2, 1)).variance
    tensor([[0.2500, 0.2500, 0.2500],
            [0.2500, 0.2500, 0.2500]])
    """

    observations = RealValues()

    def __init__(
        self,
        n_features: int,
        n_per_level: Sequence[int] = (),
        *,
        dispersion: str = "gene",
        dispersion_level: int = 0,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.n_features = n_features
        self.dispersion = Dispersion.named(dispersion)(n_features, n_per_level, level=dispersion_level, start=scale)
        self.n_params = 1 + self.dispersion.n_params

    def forward(self, raw: Tensor, size_factor: Tensor, levels: Tensor | None = None) -> Normal:
        """The distribution of values for raw maps ``(..., n, n_params, n_features)``: mean, then scale if asked."""
        mean, *rest = self.maps(raw)
        return Normal(mean, self.dispersion(rest, levels), validate_args=False)

    def parameters_of(self, px: Normal) -> dict[str, Tensor]:
        """``mean`` and ``scale``."""
        return {"mean": px.mean, "scale": px.scale}
