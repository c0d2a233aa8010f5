"""Hyperbolic space with a wrapped normal posterior and the standard wrapped normal prior, in two charts."""

from __future__ import annotations

from abc import ABC
from math import log, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Size, Tensor, nn
from torch.nn import functional

from curvi._recording import Function
from curvi.distributions import WrappedNormal
from curvi.distributions._wrapped_normal import known_coordinates
from curvi.latent._base import LatentSpace, named_parameters
from curvi.latent._codes import Array, is_compiled, parameters_of, rows
from curvi.latent._hyperbolic_kernel import code_gradient_rows, code_rows, height_gradient_rows, height_rows
from curvi.manifolds import Lorentz, Poincare
from curvi.manifolds._hyperboloid import EXP0
from curvi.manifolds._kernel import Kernel, dot, evaluate
from curvi.manifolds._radial import asinh, farthest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from curvi.manifolds import Hyperbolic

# In units of the radius of curvature: up to here float32 keeps distances between points to 1e-4.
_REACH = 7.0
# The least variance keeps the density of a draw finite, the greatest leaves draws where float32 has points.
_VARIANCE_FLOOR = 1e-4
_LOG_VARIANCE_LIMIT = 2 * log(2.0)


def _within_reach(xp: Any, dtype: torch.dtype, v: Any) -> Any:
    share = (1 + dot(xp, v, v) / _REACH**2) ** -0.5
    return (share * v,), (v, share)


def _within_reach_backward(xp: Any, v: Any, share: Any, g: Any) -> Any:
    return (share * g - (share**3 * dot(xp, g, v) / _REACH**2) * v,)


_WITHIN_REACH = Kernel(_within_reach, _within_reach_backward)


class WrappedNormalLatent(LatentSpace[WrappedNormal], ABC):
    r"""Hyperbolic space :math:`\mathbb{H}^d` with a wrapped normal posterior for each cell.

    The first ``dim`` raw numbers are the tangent coordinates of the location at the origin, their length limited
    smoothly, :math:`r / \sqrt{1 + (r / 7)^2}` in units of the radius of curvature, to where float32 keeps distances;
    the others are :math:`\log(\sigma^2 - 10^{-4})`, limited to a standard deviation of 2. The prior is the wrapped
    normal of scale 1 at the origin :cite:p:`Nagano2019`. There is no closed divergence between the two: it is estimated
    from the draw that is decoded.

    The decoder is given tangent coordinates at the origin, and how far the point lies from learned hyperplanes,
    :math:`\operatorname{arsinh}(\sqrt{c} \langle w, z \rangle) / \sqrt{c}` with the point on the hyperboloid: what
    linear functions are to flat space :cite:p:`Ganea2018,Mathieu2019`. Tangent coordinates alone crowd far points
    together, whose angles hardly differ.

    Parameters
    ----------
    manifold
        The space in one of its charts.
    n_hyperplanes
        How many hyperplanes there are; 0 leaves tangent coordinates only.
    """

    has_prior = True
    manifold: Hyperbolic
    _one: Tensor

    def __init__(self, manifold: Hyperbolic, n_hyperplanes: int) -> None:
        super().__init__()
        if n_hyperplanes < 0:
            raise ValueError(f"`n_hyperplanes` is {n_hyperplanes}; it must be 0 or more.")
        self.manifold = manifold
        self.n_params = 2 * manifold.dim
        self.n_coordinates = manifold.dim + n_hyperplanes
        self.register_buffer("_one", torch.ones(manifold.dim), persistent=False)
        # Normal vectors in all directions, the distances from the origin to either side of it and about 1/2.
        orientation = torch.randn(n_hyperplanes, manifold.dim) / manifold.dim**0.5
        self.hyperplanes = nn.Parameter(torch.cat([torch.randn(n_hyperplanes, 1) / 2, orientation], -1))

    def forward(self, raw: Tensor) -> WrappedNormal:
        """The posterior of raw codes ``(..., 2 dim)``."""
        mean, scale = parameters_of(self, raw, self.manifold.curvature)
        return self.posterior({"tangent_loc": mean, "scale": scale})

    def _by_operations(self, raw: Tensor, curvature: Tensor | None) -> tuple[Tensor, Tensor]:
        code, log_variance = raw.chunk(2, dim=-1)
        mean = evaluate(_WITHIN_REACH, self.manifold.curvature if curvature is None else curvature, code)
        scale = torch.sqrt(torch.exp(log_variance.clamp_max(_LOG_VARIANCE_LIMIT)) + _VARIANCE_FLOOR)
        return mean, scale

    def _by_rows(self, raw: Array, curvature: float) -> tuple[Array, Array, Any]:
        bend = curvature / _REACH**2
        mean, scale = np.empty((2, len(raw), self.manifold.dim), raw.dtype)
        share, slope = np.empty(len(raw)), np.empty(scale.shape)
        code_rows(raw, bend, _LOG_VARIANCE_LIMIT, _VARIANCE_FLOOR, mean, scale, share, slope)
        return mean, scale, (share, slope, bend)

    def _back_by_rows(self, first: Array, kept: Any, in_first: Array, in_second: Array) -> tuple[Array, float]:
        in_raw = np.empty((len(first), self.n_params), in_first.dtype)
        change = code_gradient_rows(first, *kept, in_first, in_second, in_raw)
        return in_raw, change / _REACH**2

    def prior(self, batch_shape: Size = Size()) -> WrappedNormal:
        """The wrapped normal distribution of scale 1 at the origin."""
        scale = self._one.expand(*batch_shape, self.manifold.dim)
        return WrappedNormal.at_origin(self.manifold, scale, validate_args=False)

    def location(self, posterior: WrappedNormal) -> Tensor:
        """The point that the tangent normal is wrapped around, ``(..., ambient_dim)``."""
        return posterior.loc

    def posterior_parameters(self, posterior: WrappedNormal) -> dict[str, Tensor]:
        """``loc (..., ambient_dim)``, ``tangent_loc (..., dim)`` and ``scale (..., dim)``.

        The second are the coordinates of the first at the origin, which the posterior is made of: a point in float32
        does not say them to the last digit.
        """
        return {"loc": posterior.loc, "tangent_loc": posterior.tangent_loc, "scale": posterior.scale}

    def posterior(self, parameters: Mapping[str, Tensor]) -> WrappedNormal:
        """The posterior around the point of coordinates ``tangent_loc (..., dim)``, with ``scale (..., dim)``."""
        mean, scale = named_parameters(parameters, "tangent_loc", "scale")
        return WrappedNormal.from_tangent(self.manifold, mean, scale, validate_args=False)

    def coordinates(self, z: Tensor) -> Tensor:
        """Tangent coordinates at the origin and distances to the hyperplanes, ``(..., n_coordinates)``."""
        tangent = known_coordinates(self.manifold, z)
        if len(self.hyperplanes) == 0:
            return self.manifold.log0(z) if tangent is None else tangent
        if tangent is not None and is_compiled(tangent) and tangent.dtype == self.hyperplanes.dtype:
            return _Coordinates.apply(tangent, self.hyperplanes, self.manifold.curvature)
        return _coordinates(
            self.manifold.log0(z) if tangent is None else tangent,
            self.manifold.to_lorentz(z),
            self.hyperplanes,
            self.manifold.radius,
        )


def _coordinates(tangent: Tensor, points: Tensor, hyperplanes: Tensor, radius: Tensor | float) -> Tensor:
    """Tangent coordinates, and the distances of points ``(..., dim + 1)`` of the hyperboloid to hyperplanes."""
    height = functional.linear(points, hyperplanes / radius)
    return torch.cat([tangent, radius * asinh(height)], -1)


class _Coordinates(Function):
    """Coordinates for the decoder from tangent coordinates ``(..., dim)`` alone, in compiled passes over rows."""

    @staticmethod
    def forward(ctx: Any, tangent: Tensor, hyperplanes: Tensor, curvature: Tensor) -> Tensor:
        t, planes, root = rows(tangent), rows(hyperplanes), sqrt(curvature.item())
        (n, dim), count = t.shape, len(planes)
        points, heights = np.empty((n, dim + 1), t.dtype), np.empty((n, count), t.dtype)
        height_rows(t, planes, root, farthest(tangent.dtype, torch.float64), points, heights)
        made = np.empty((n, dim + count), t.dtype)
        made[:, :dim] = t
        np.arcsinh(heights, out=made[:, dim:])
        if root != 1:
            made[:, dim:] /= root
        ctx.kept = root, points, heights
        ctx.save_for_backward(tangent, hyperplanes, curvature)
        return torch.from_numpy(made).view(*tangent.shape[:-1], dim + count)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tangent, hyperplanes, curvature = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _Coordinates._differentiable(ctx, grad)
        root, points, heights = ctx.kept
        t, g = rows(tangent), rows(grad)
        in_t = np.empty_like(t)
        most = farthest(tangent.dtype, torch.float64)
        in_columns, total = height_gradient_rows(t, rows(hyperplanes), root, most, points, heights, g, in_t)
        in_planes = torch.from_numpy(np.ascontiguousarray(in_columns.T))
        in_curvature = None
        if ctx.needs_input_grad[2]:
            # In units of the radius of curvature the function does not depend on it.
            by_radius = (g[:, t.shape[1] :] * np.arcsinh(heights)).sum() - root * total
            in_curvature = torch.full_like(curvature, -by_radius / (2 * root**3))
        return torch.from_numpy(in_t).view(tangent.shape), in_planes, in_curvature

    @staticmethod
    def _differentiable(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients that have gradients."""
        tangent, hyperplanes, curvature = ctx.saved_tensors
        points = evaluate(EXP0, curvature, tangent)
        made = _coordinates(tangent, points, hyperplanes, curvature**-0.5)
        inputs = [x for x, needed in zip(ctx.saved_tensors, ctx.needs_input_grad, strict=True) if needed]
        gradients = iter(torch.autograd.grad(made, inputs, grad, create_graph=True))
        return tuple(next(gradients) if needed else None for needed in ctx.needs_input_grad)


class LorentzLatent(WrappedNormalLatent, name="lorentz"):
    r"""Hyperbolic space on the hyperboloid, points ``(..., dim + 1)``.

    Parameters
    ----------
    dim
        Intrinsic dimension :math:`d \ge 1`.
    curvature, learn_curvature
        The magnitude :math:`c > 0` of the curvature :math:`-c`, and whether it is learned.
    n_hyperplanes
        Hyperplanes whose distances the decoder is given, at least 0.

    Examples
    --------
    >>> import torch
    >>> space = LorentzLatent(2)
    >>> space(torch.randn(5, space.n_params)).rsample().shape
    torch.Size([5, 3])
    """

    def __init__(
        self, dim: int, *, curvature: float = 1.0, learn_curvature: bool = False, n_hyperplanes: int = 64
    ) -> None:
        super().__init__(Lorentz(dim, curvature, learn_curvature=learn_curvature), n_hyperplanes)


class PoincareLatent(WrappedNormalLatent, name="poincare"):
    r"""Hyperbolic space in the Poincare ball, points ``(..., dim)``: in two dimensions, a disk to look at.

    Parameters
    ----------
    dim
        Intrinsic dimension :math:`d \ge 1`.
    curvature, learn_curvature
        The magnitude :math:`c > 0` of the curvature :math:`-c`, and whether it is learned.
    n_hyperplanes
        Hyperplanes whose distances the decoder is given, at least 0.

    Examples
    --------
    >>> import torch
    >>> space = PoincareLatent(2)
    >>> space(torch.randn(5, space.n_params)).rsample().shape
    torch.Size([5, 2])
    """

    def __init__(
        self, dim: int, *, curvature: float = 1.0, learn_curvature: bool = False, n_hyperplanes: int = 64
    ) -> None:
        super().__init__(Poincare(dim, curvature, learn_curvature=learn_curvature), n_hyperplanes)
