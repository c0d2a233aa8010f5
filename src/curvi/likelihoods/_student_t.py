"""Student-t likelihood of real values with outliers."""

from __future__ import annotations

from math import lgamma, log, pi
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Size, Tensor, distributions
from torch.distributions import Distribution, constraints

from curvi.likelihoods._base import Likelihood
from curvi.likelihoods._dispersion import Dispersion
from curvi.likelihoods._observations import RealValues

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.distributions.constraints import Constraint
    from torch.types import _size


class StudentT(Distribution):
    r"""Student's t with one number of degrees of freedom for all elements, whose constants are then computed once.

    .. math:: \log p(x) = -\tfrac{\nu + 1}{2} \log\Big(1 + \frac{(x - \mu)^2}{\nu \sigma^2}\Big) - \log\sigma
              + \log\frac{\Gamma(\frac{\nu + 1}{2})}{\Gamma(\frac{\nu}{2})\sqrt{\nu\pi}}

    Parameters
    ----------
    df
        Degrees of freedom :math:`\nu > 0`. The mean is finite above 1, the variance above 2.
    loc
        :math:`\mu`, ``(...)``.
    scale
        :math:`\sigma > 0`, any shape that broadcasts with ``loc``.
    validate_args
        Whether arguments and values are checked.

    Examples
    --------
    >>> StudentT(5.0, torch.zeros(2), torch.tensor(1.0)).log_prob(torch.tensor([0.0, 2.0]))
    tensor([-0.9686, -2.7320])
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, df: float, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.df = df
        self.loc = loc
        self.scale = scale
        super().__init__(torch.broadcast_shapes(loc.shape, scale.shape), validate_args=validate_args)

    def _elementwise(self) -> distributions.StudentT:
        return distributions.StudentT(self.df, self.loc, self.scale, validate_args=False)

    @property
    def mean(self) -> Tensor:
        r""":math:`\mu`, or nan for :math:`\nu \le 1`, ``(...)``."""
        return self._elementwise().mean

    @property
    def variance(self) -> Tensor:
        r""":math:`\sigma^2 \nu / (\nu - 2)`, or infinity or nan for :math:`\nu \le 2`, ``(...)``."""
        return self._elementwise().variance

    def expand(self, batch_shape: _size, _instance: Any = None) -> StudentT:
        """The same distribution with its location expanded to ``batch_shape``; the scale keeps its shape."""
        return StudentT(self.df, self.loc.expand(batch_shape), self.scale, validate_args=False)

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        """Values, differentiable in location and scale, ``sample_shape + (...)``."""
        return self._elementwise().rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of values that broadcast with the parameters, ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        half = 0.5 * (self.df + 1.0)
        constant = lgamma(half) - lgamma(0.5 * self.df) - 0.5 * log(self.df * pi)
        deviation = (value - self.loc) / self.scale
        return constant - self.scale.log() - half * torch.log1p(deviation.square() / self.df)


class StudentTLikelihood(Likelihood, name="student_t"):
    r"""Real values with heavy-tailed noise, :math:`x_{ij} \sim r_{ij} + \sigma_{ij}\, t_\nu`.

    Parameters
    ----------
    n_features, n_per_level
        As for :class:`Likelihood`.
    df
        Degrees of freedom :math:`\nu > 0`; 5 as in scPhere :cite:p:`Ding2021`.
    dispersion, dispersion_level, scale
        As for :class:`NormalLikelihood`.

    Examples
    --------
    >>> likelihood = StudentTLikelihood(3)
    >>> likelihood(torch.zeros(2, 1, 3), torch.ones(2, 1)).variance[0]
    tensor([1.6667, 1.6667, 1.6667], grad_fn=<SelectBackward0>)
    """

    observations = RealValues()

    def __init__(
        self,
        n_features: int,
        n_per_level: Sequence[int] = (),
        *,
        df: float = 5.0,
        dispersion: str = "gene",
        dispersion_level: int = 0,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 < df < float("inf"):
            raise ValueError(f"`df` is {df}; degrees of freedom must be positive and finite.")
        self.n_features = n_features
        self.df = df
        self.dispersion = Dispersion.named(dispersion)(n_features, n_per_level, level=dispersion_level, start=scale)
        self.n_params = 1 + self.dispersion.n_params

    def forward(self, raw: Tensor, size_factor: Tensor, levels: Tensor | None = None) -> StudentT:
        """The distribution of values for raw maps ``(..., n, n_params, n_features)``: location, then scale."""
        loc, *rest = self.maps(raw)
        return StudentT(self.df, loc, self.dispersion(rest, levels), validate_args=False)

    def parameters_of(self, px: StudentT) -> dict[str, Tensor]:
        """``mean``, ``scale`` and the degrees of freedom, ``df``."""
        return {"mean": px.loc, "scale": px.scale, "df": torch.as_tensor(px.df)}
