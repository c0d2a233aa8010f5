r"""Draws, densities and divergences of wrapped normals from the tangent vectors that were drawn, never from points.

In float64 where the device has it; on the CPU in numpy. Lengths are multiplied by :math:`s = \sqrt{c}` where a formula
is that of curvature -1.
"""

from __future__ import annotations

from math import log, pi, sqrt
from typing import Any

import numpy as np
import torch
from torch import Size, Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from curvi.distributions._arrays import enter, leave
from curvi.manifolds._device import double, library
from curvi.manifolds._translate import Translation, carry, in_curvature, pull_back


def log_sinhc(xp: Any, r: Any) -> Any:
    r""":math:`\log(\sinh r / r)` for r > 0, right to the rounding of 1 near 0."""
    return r + xp.log(xp.expm1(-2 * r) / (-2 * r))


def log_sinhc_slope(xp: Any, r: Any) -> Any:
    r""":math:`(\coth r - 1/r) / r`, the slope of :func:`log_sinhc` divided by r; 1/3 at 0."""
    # Below the bound the quotient is that at the bound, moved by the second term of its series: right to 1e-11.
    far = r.clip(0.005)
    return (1 / xp.tanh(far) - 1 / far) / far + (far * far - r * r) / 45


class CarriedPoint(Function):
    """Tangent coordinates at the origin of the points reached from ``mean`` along ``scale * noise``.

    ``mean`` and ``scale`` are ``(..., dim)``, ``noise`` and the coordinates ``(*sample_shape, ..., dim)``. It can be
    differentiated again after its graph was freed, as only its own numbers are needed.
    """

    @staticmethod
    def forward(ctx: Any, mean: Tensor, scale: Tensor, curvature: Tensor, noise: Tensor) -> Tensor:
        xp, dtype = library(noise.device), double(noise.device)
        root = _root(xp, curvature, dtype)
        m, s, e = (_vectors(xp, x, noise.ndim, dtype) for x in (mean, scale, noise))
        at = carry(xp, root * m, (root * s) * e)
        ctx.xp, ctx.shape, ctx.curvature = xp, mean.shape, (curvature.shape, curvature.dtype)
        if torch.compiler.is_compiling():
            ctx.save_for_backward(root, e, *at)
        else:
            ctx.kept = root, e, *at
        return _tensor(xp, at.direction * (at.radius / root), mean.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        root, e, *parts = ctx.saved_tensors if torch.compiler.is_compiling() else ctx.kept
        xp, at = ctx.xp, Translation(*parts)
        g = _vectors(xp, grad, grad.ndim, double(grad.device))
        in_m, in_v = pull_back(xp, at, g)
        change = None
        if ctx.needs_input_grad[2]:
            change = _number(xp, in_curvature(at, g, in_m, in_v, root), *ctx.curvature)
        in_mean, in_scale = (_tensor(xp, x, grad.dtype, ctx.shape) for x in (in_m, in_v * e))
        return in_mean, in_scale, change, None


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

    Inputs are ``t`` and ``noise (*sample_shape, ..., dim)``, ``mean`` and ``scale (..., dim)``, the curvature and
    ``prior_scale``, which broadcasts against ``scale``.
    """

    @staticmethod
    def forward(
        ctx: Any, t: Tensor, mean: Tensor, scale: Tensor, curvature: Tensor, prior_scale: Tensor, noise: Tensor
    ) -> Tensor:
        xp, dtype = library(noise.device), double(noise.device)
        root, bend = _root(xp, curvature, dtype), noise.shape[-1] - 1
        y, m, s, p, e = (_vectors(xp, x, noise.ndim, dtype) for x in (t, mean, scale, prior_scale, noise))
        v = s * e
        far, near = _radius(xp, root, y), _radius(xp, root, v)
        weight = bend * root**2 / (0.5 + xp.sqrt(6.25 + root**2 * (m * m + s * s).sum(0)))
        inverse = 1 / (p * p)
        excess = (s * s + y * y - v * (v + 2 * m)) * inverse
        product = (m * v).sum(0)
        value = (0.5 * excess + xp.log(p / s)).sum(0) + bend * (log_sinhc(xp, far) - log_sinhc(xp, near))
        ctx.xp, ctx.shapes, ctx.curvature = xp, (mean.shape, prior_scale.shape), (curvature.shape, curvature.dtype)
        kept = root, y, m, s, p, e, v, far, near, weight, inverse, excess, product
        if xp is np:
            ctx.kept = kept
        else:
            ctx.save_for_backward(*kept)
        return leave(xp, value - weight * product - (bend + 1) / 2).to(t.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        xp = ctx.xp
        root, y, m, s, p, e, v, far, near, weight, inverse, excess, product = (
            ctx.kept if xp is np else ctx.saved_tensors
        )
        g, bend = enter(xp, grad, double(grad.device)), (len(e) - 1) * root**2
        out, back = bend * log_sinhc_slope(xp, far), bend * log_sinhc_slope(xp, near)
        pull = inverse + weight
        in_scale = g * (s * inverse - 1 / s - (pull * m + (inverse + back) * v) * e)
        change = in_prior = None
        if ctx.needs_input_grad[3]:
            each = ((out * far * far - back * near * near) / (2 * root**2) - weight * product) / root**2
            change = _number(xp, g * each, *ctx.curvature)
        if ctx.needs_input_grad[4]:
            in_prior = _tensor(xp, g * (1 - excess) / p, grad.dtype, ctx.shapes[1])
        in_t = _tensor(xp, (g * (inverse + out)) * y, grad.dtype)
        in_mean, in_scale = (_tensor(xp, x, grad.dtype, ctx.shapes[0]) for x in (-g * pull * v, in_scale))
        return in_t, in_mean, in_scale, change, in_prior, None


class CarriedLogDensity(Function):
    r"""Log-densities with respect to the hyperbolic volume, ``(...)``, at tangent vectors at the mean.

    .. math:: \log \mathcal{N}(v; 0, \sigma^2) - (n - 1) \log \frac{\sinh(s \lVert v \rVert)}{s \lVert v \rVert}

    ``v`` and ``scale`` are ``(..., dim)`` and broadcast.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, scale: Tensor, curvature: Tensor) -> Tensor:
        xp, dtype, ndim = library(v.device), double(v.device), max(v.ndim, scale.ndim)
        root = _root(xp, curvature, dtype)
        y, s = (_vectors(xp, x, ndim, dtype) for x in (v, scale))
        relative = y / s
        value = -(0.5 * relative * relative + xp.log(s)).sum(0) - len(y) / 2 * log(2 * pi)
        ctx.save_for_backward(v, scale, curvature)
        return leave(xp, value - (len(y) - 1) * log_sinhc(xp, _radius(xp, root, y))).to(v.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        v, scale, curvature = ctx.saved_tensors
        xp, dtype, ndim = library(v.device), double(v.device), grad.ndim + 1
        root, g = _root(xp, curvature, dtype), enter(xp, grad, dtype)
        y, s = (_vectors(xp, x, ndim, dtype) for x in (v, scale))
        r = _radius(xp, root, y)
        slope, relative = (len(y) - 1) * log_sinhc_slope(xp, r), y / s
        in_v = _tensor(xp, -g * (relative / s + (slope * root**2) * y), grad.dtype, v.shape)
        in_scale = _tensor(xp, g * (relative * relative - 1) / s, grad.dtype, scale.shape)
        change = None
        if ctx.needs_input_grad[2]:
            change = _number(xp, -g * slope * r * r / (2 * root**2), curvature.shape, curvature.dtype)
        return in_v, in_scale, change


def _root(xp: Any, curvature: Tensor, dtype: torch.dtype) -> Any:
    """The square root of the curvature."""
    return sqrt(curvature.item()) if xp is np else curvature.detach().to(dtype).sqrt()


def _radius(xp: Any, root: Any, x: Any) -> Any:
    """Lengths in units of the radius of curvature, never 0."""
    return root * xp.sqrt((x * x).sum(0)) + 1e-30


def _vectors(xp: Any, x: Tensor, ndim: int, dtype: torch.dtype) -> Any:
    """Rows ``(..., dim)`` as ``(dim, ...)`` with ``ndim`` axes, in ``dtype``."""
    if xp is np:
        # numpy has no bfloat16.
        values = (x.float() if x.dtype == torch.bfloat16 else x).detach().numpy()
        vectors: Any = np.array(values.T if values.ndim < 3 else np.moveaxis(values, -1, 0), np.float64, order="C")
    else:
        vectors = x.detach().movedim(-1, 0).to(dtype)
    return vectors if x.ndim == ndim else vectors.reshape(x.shape[-1], *[1] * (ndim - x.ndim), *x.shape[:-1])


def _tensor(xp: Any, vectors: Any, dtype: torch.dtype, shape: Size | None = None) -> Tensor:
    """The inverse of :func:`_vectors`, summed to ``shape``."""
    if xp is np:
        turned = vectors.T if vectors.ndim < 3 else np.moveaxis(vectors, 0, -1)
        wide = np.float64 if dtype == torch.float64 else np.float32
        rows = torch.from_numpy(np.array(turned, wide, order="C")).to(dtype)
    else:
        rows = vectors.movedim(0, -1).to(dtype).contiguous()
    return rows if shape is None or rows.shape == shape else rows.sum_to_size(shape)


def _number(xp: Any, values: Any, shape: Size, dtype: torch.dtype) -> Tensor:
    """The sum of an array, in the shape of a number."""
    return leave(xp, values).sum().to(dtype).reshape(shape)
