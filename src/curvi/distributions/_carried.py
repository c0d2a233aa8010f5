r"""Draws, densities and divergences of wrapped normals from the tangent vectors that were drawn, never from points.

In float64 where the device has it; on the CPU in compiled passes over rows. Lengths are multiplied by
:math:`s = \sqrt{c}` where a formula is that of curvature -1.
"""

from __future__ import annotations

from math import log, pi, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Size, Tensor
from torch.autograd.function import once_differentiable

from curvi._recording import Function
from curvi.distributions._arrays import broadcast, flat, repeated, row_by_row, shaped
from curvi.distributions._carried_kernel import (
    SCALARS,
    density_rows,
    divergence_rows,
    point_gradient_rows,
    point_rows,
    weighted_rows,
)
from curvi.manifolds._device import double, library
from curvi.manifolds._translate import Translation, carry, in_curvature, pull_back

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPILED = frozenset({torch.float32, torch.float64})


def log_sinhc(r: Tensor) -> Tensor:
    r""":math:`\log(\sinh r / r)` for r > 0, right to the rounding of 1 near 0."""
    return r + torch.log(torch.expm1(-2 * r) / (-2 * r))


def log_sinhc_slope(r: Tensor) -> Tensor:
    r""":math:`(\coth r - 1/r) / r`, the slope of :func:`log_sinhc` divided by r; 1/3 at 0."""
    # Below the bound the quotient is that at the bound, moved by the second term of its series: right to 1e-11.
    far = r.clip(0.005)
    return (1 / torch.tanh(far) - 1 / far) / far + (far * far - r * r) / 45


class CarriedPoint(Function):
    """Tangent coordinates at the origin of the points reached from ``mean`` along ``scale * noise``.

    ``mean`` and ``scale`` are ``(..., dim)``, ``noise`` and the coordinates ``(*sample_shape, ..., dim)``. It can be
    differentiated again after its graph was freed, as only its own numbers are needed.
    """

    @staticmethod
    def forward(ctx: Any, mean: Tensor, scale: Tensor, curvature: Tensor, noise: Tensor) -> Tensor:
        ctx.shape, ctx.curvature, ctx.by_rows = mean.shape, (curvature.shape, curvature.dtype), _by_rows(noise)
        if ctx.by_rows:
            return _point_by_rows(ctx, mean, scale, curvature, noise)
        dtype = double(noise.device)
        root = curvature.detach().to(dtype).sqrt()
        m, s, e = (_vectors(x, noise.ndim, dtype) for x in (mean, scale, noise))
        at = carry(torch, root * m, (root * s) * e)
        if torch.compiler.is_compiling():
            ctx.save_for_backward(root, e, *at)
        else:
            ctx.kept = root, e, *at
        return _tensor(at.direction * (at.radius / root), mean.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.by_rows:
            return _point_gradient_by_rows(ctx, grad)
        root, e, *parts = ctx.saved_tensors if torch.compiler.is_compiling() else ctx.kept
        at = Translation(*parts)
        g = _vectors(grad, grad.ndim, double(grad.device))
        in_m, in_v = pull_back(torch, at, g)
        change = None
        if ctx.needs_input_grad[2]:
            change = _number(in_curvature(at, g, in_m, in_v, root), *ctx.curvature)
        in_mean, in_scale = (_tensor(x, grad.dtype, ctx.shape) for x in (in_m, in_v * e))
        return in_mean, in_scale, change, None


def _point_by_rows(ctx: Any, mean: Tensor, scale: Tensor, curvature: Tensor, noise: Tensor) -> Tensor:
    dim, root, e = noise.shape[-1], sqrt(curvature.item()), _rows(noise, noise.shape)
    t, kept = np.empty_like(e), np.empty((len(e), SCALARS + 3 * dim))
    point_rows(_rows(mean, noise.shape), _rows(scale, noise.shape), e, root, t, kept)
    ctx.kept = root, e, kept
    return _in_dtype(shaped(t, noise.shape), mean.dtype)


def _point_gradient_by_rows(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    root, e, kept = ctx.kept
    size = ctx.shape.numel()
    # What is summed over draws is summed in float64.
    in_mean, in_scale = np.zeros((2, size // e.shape[1], e.shape[1]), e.dtype if size == e.size else np.float64)
    change = point_gradient_rows(kept, e, root, _rows(grad, grad.shape), in_mean, in_scale)
    gradients = (_in_dtype(shaped(x, ctx.shape), grad.dtype) for x in (in_mean, in_scale))
    return *gradients, _filled(change, ctx) if ctx.needs_input_grad[2] else None, None


class CarriedDivergence(Function):
    r"""One-draw estimates of the divergence from a wrapped normal at the origin, ``(*sample_shape, ...)``.

    With the mean :math:`m`, the tangent vector :math:`v = \sigma \epsilon`, the coordinates :math:`t` of the point at
    the origin, and :math:`\ell(r) = (n - 1) \log(\sinh(s r) / (s r))`, the divergence is the expectation of

    .. math::
        \mathrm{KL}(\mathcal{N}(m, \sigma^2) \parallel \mathcal{N}(0, \sigma_p^2))
        + \sum_i \frac{t_i^2 - (m_i + v_i)^2}{2 \sigma_{p,i}^2} + \ell(\lVert t \rVert) - \ell(\lVert v \rVert)
        - w \langle m, v \rangle .

    The closed divergence takes the place of terms whose expectation it is. The last term, whose expectation is 0, takes
    away most of the noise that is left, with :math:`w` about :math:`\ell'(r) / r` where points are expected.

    Inputs are ``t`` and ``noise (*sample_shape, ..., dim)``, ``mean`` and ``scale (..., dim)``, the curvature, and
    ``prior_scale``, which broadcasts against ``scale``.
    """

    @staticmethod
    def forward(
        ctx: Any, t: Tensor, mean: Tensor, scale: Tensor, prior_scale: Tensor, curvature: Tensor, noise: Tensor
    ) -> Tensor:
        ctx.by_rows, ctx.curvature = _by_rows(noise), (curvature.shape, curvature.dtype)
        if ctx.by_rows:
            return _by_slopes(ctx, divergence_rows, curvature, noise.shape, t, mean, scale, prior_scale, noise)
        dtype = double(noise.device)
        root, bend = curvature.detach().to(dtype).sqrt(), noise.shape[-1] - 1
        y, m, s, p, e = (_vectors(x, noise.ndim, dtype) for x in (t, mean, scale, prior_scale, noise))
        v = s * e
        far, near = _radius(root, y), _radius(root, v)
        weight = bend * root**2 / (0.5 + torch.sqrt(6.25 + root**2 * (m * m + s * s).sum(0)))
        inverse = 1 / (p * p)
        excess = (s * s + y * y - v * (v + 2 * m)) * inverse
        product = (m * v).sum(0)
        value = (0.5 * excess + torch.log(p / s)).sum(0) + bend * (log_sinhc(far) - log_sinhc(near))
        ctx.shapes = mean.shape, prior_scale.shape
        ctx.save_for_backward(root, y, m, s, p, e, v, far, near, weight, inverse, excess, product)
        return (value - weight * product - (bend + 1) / 2).to(t.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.by_rows:
            return *_from_slopes(ctx, grad), None
        root, y, m, s, p, e, v, far, near, weight, inverse, excess, product = ctx.saved_tensors
        g, bend = grad.to(root.dtype), (len(e) - 1) * root**2
        out, back = bend * log_sinhc_slope(far), bend * log_sinhc_slope(near)
        pull = inverse + weight
        in_scale = g * (s * inverse - 1 / s - (pull * m + (inverse + back) * v) * e)
        change = in_prior = None
        if ctx.needs_input_grad[4]:
            each = ((out * far * far - back * near * near) / (2 * root**2) - weight * product) / root**2
            change = _number(g * each, *ctx.curvature)
        if ctx.needs_input_grad[3]:
            in_prior = _tensor(g * (1 - excess) / p, grad.dtype, ctx.shapes[1])
        in_t = _tensor((g * (inverse + out)) * y, grad.dtype)
        in_mean, in_scale = (_tensor(x, grad.dtype, ctx.shapes[0]) for x in (-g * pull * v, in_scale))
        return in_t, in_mean, in_scale, in_prior, change, None


class CarriedLogDensity(Function):
    r"""Log-densities with respect to the hyperbolic volume, ``(...)``, at tangent vectors at the mean.

    .. math:: \log \mathcal{N}(v; 0, \sigma^2) - (n - 1) \log \frac{\sinh(s \lVert v \rVert)}{s \lVert v \rVert}

    ``v`` and ``scale`` are ``(..., dim)`` and broadcast.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, scale: Tensor, curvature: Tensor) -> Tensor:
        ctx.by_rows, ctx.curvature = _by_rows(v), (curvature.shape, curvature.dtype)
        if ctx.by_rows:
            shape = broadcast(v.shape, scale.shape)
            return _by_slopes(ctx, density_rows, curvature, shape, v, scale)
        dtype, ndim = double(v.device), max(v.ndim, scale.ndim)
        root = curvature.detach().to(dtype).sqrt()
        y, s = (_vectors(x, ndim, dtype) for x in (v, scale))
        relative = y / s
        value = -(0.5 * relative * relative + torch.log(s)).sum(0) - len(y) / 2 * log(2 * pi)
        ctx.save_for_backward(v, scale, curvature)
        return (value - (len(y) - 1) * log_sinhc(_radius(root, y))).to(v.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.by_rows:
            return tuple(_from_slopes(ctx, grad))
        v, scale, curvature = ctx.saved_tensors
        dtype, ndim = double(v.device), grad.ndim + 1
        root, g = curvature.detach().to(dtype).sqrt(), grad.to(dtype)
        y, s = (_vectors(x, ndim, dtype) for x in (v, scale))
        r = _radius(root, y)
        slope, relative = (len(y) - 1) * log_sinhc_slope(r), y / s
        in_v = _tensor(-g * (relative / s + (slope * root**2) * y), grad.dtype, v.shape)
        in_scale = _tensor(g * (relative * relative - 1) / s, grad.dtype, scale.shape)
        change = None
        if ctx.needs_input_grad[2]:
            change = _number(-g * slope * r * r / (2 * root**2), *ctx.curvature)
        return in_v, in_scale, change


def _by_rows(x: Tensor) -> bool:
    """Whether compiled passes over rows compute, as on the CPU, or else operations of torch."""
    return library(x.device) is np


def _rows(x: Tensor, shape: Size) -> Any:
    """What counts again and again in ``shape`` as contiguous rows, without its gradient."""
    # numpy has no bfloat16.
    own = x if x.dtype in _COMPILED else x.float()
    return row_by_row(repeated(own, shape), shape[-1])


def _by_slopes(ctx: Any, rows: Callable[..., None], curvature: Tensor, shape: Size, *arguments: Tensor) -> Tensor:
    """One number for each row of ``shape``, by a pass that leaves the slopes in the arguments and the curvature."""
    made = [_rows(x, shape) for x in arguments]
    value = np.empty(shape[:-1].numel(), made[0].dtype)
    # The noise, an argument of some, has no gradient.
    ctx.shape, ctx.arguments = shape, [(x.shape, x.dtype) for x in arguments[:4]]
    ctx.slopes = np.empty((len(value), len(ctx.arguments) * shape[-1] + 1))
    rows(*made, sqrt(curvature.item()), value, ctx.slopes)
    return _in_dtype(shaped(value, shape[:-1]), arguments[0].dtype)


def _from_slopes(ctx: Any, grad: Tensor) -> list[Tensor | None]:
    """Gradients in the arguments of :func:`_by_slopes`, and in the curvature, as far as they are needed."""
    dim, wide = ctx.shape[-1], grad if grad.dtype in _COMPILED else grad.float()
    g = flat(wide)
    gradients: list[Tensor | None] = []
    for i, (shape, dtype) in enumerate(ctx.arguments):
        if not ctx.needs_input_grad[i]:
            gradients.append(None)
            continue
        repeats = shape == ctx.shape[len(ctx.shape) - len(shape) :]
        own = shape if repeats else ctx.shape
        # What is summed is summed in float64.
        into = np.zeros((own[:-1].numel(), dim), g.dtype if own == ctx.shape else np.float64)
        weighted_rows(g, ctx.slopes, i * dim, into)
        made = shaped(into, own)
        gradients.append(_in_dtype(made if repeats else made.sum_to_size(shape), dtype))
    learned = ctx.needs_input_grad[len(gradients)]
    return [*gradients, _filled(float(g @ ctx.slopes[:, -1]), ctx) if learned else None]


def _in_dtype(x: Tensor, dtype: torch.dtype) -> Tensor:
    # To ask costs less than to convert in vain.
    return x if x.dtype == dtype else x.to(dtype)


def _filled(value: float, ctx: Any) -> Tensor:
    """A gradient in the curvature."""
    shape, dtype = ctx.curvature
    return torch.full(shape, value, dtype=dtype)


def _radius(root: Tensor, x: Tensor) -> Tensor:
    """Lengths in units of the radius of curvature, never 0."""
    return root * torch.sqrt((x * x).sum(0)) + 1e-30


def _vectors(x: Tensor, ndim: int, dtype: torch.dtype) -> Tensor:
    """Rows ``(..., dim)`` as ``(dim, ...)`` with ``ndim`` axes, in ``dtype``."""
    vectors = x.detach().movedim(-1, 0).to(dtype)
    return vectors if x.ndim == ndim else vectors.reshape(x.shape[-1], *[1] * (ndim - x.ndim), *x.shape[:-1])


def _tensor(vectors: Tensor, dtype: torch.dtype, shape: Size | None = None) -> Tensor:
    """The inverse of :func:`_vectors`, summed to ``shape``."""
    rows = vectors.movedim(0, -1).to(dtype).contiguous()
    return rows if shape is None or rows.shape == shape else rows.sum_to_size(shape)


def _number(values: Tensor, shape: Size, dtype: torch.dtype) -> Tensor:
    """The sum of numbers, in the shape of one."""
    return values.sum().to(dtype).reshape(shape)
