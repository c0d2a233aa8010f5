r"""Translation in hyperbolic space, in tangent coordinates at the origin: far points lose nothing, nothing is inverted.

With :math:`a = \lVert m \rVert`, :math:`b = \lVert v \rVert`, the unit vectors :math:`d = m/a` and :math:`n = v/b`,
:math:`u = d + n` and :math:`h = 1 + \langle d, n\rangle = \lVert u \rVert^2 / 2`, the point that is reached has the
spatial coordinates

.. math::
    w = \big(\sinh(a - b) + h \sinh b \, (\cosh a - 1)\big)\, d + \sinh b \; u

on the hyperboloid of curvature -1, and the tangent coordinates :math:`t = \operatorname{arsinh}(\lVert w \rVert)\, w /
\lVert w \rVert`. Opposite vectors cancel in :math:`a - b` and in :math:`u` only, where the cancellation is exact.
Everything is held divided by :math:`e^{a+b}`, so that nothing overflows.
"""

from __future__ import annotations

from math import log
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_WITHOUT_DOUBLE = frozenset({"mps"})


class Translation(NamedTuple):
    r"""What a translation at curvature -1 is made of: arrays of numpy or torch.

    Scalars are ``(...)``, vectors have their components first, ``(dim, ...)``.
    """

    a: Any
    """Length of m."""
    b: Any
    """Length of v."""
    d: Any
    """Direction of m; 0 where m is 0."""
    n: Any
    """Direction of v; 0 where v is 0."""
    u: Any
    """d + n."""
    h: Any
    """1 + <d, n>, from u."""
    spatial: Any
    """Length of w, divided by exp(a + b)."""
    direction: Any
    """w / |w|; 0 where w is 0."""
    radius: Any
    """Distance of the point from the origin."""

    @property
    def t(self) -> Any:
        """Tangent coordinates of the point at the origin."""
        return self.radius * self.direction


def carry(xp: Any, m: Any, v: Any) -> Translation:
    """The point reached from ``m`` along ``v``, both ``(dim, ...)``, in the library ``xp`` (``numpy`` or ``torch``)."""
    tiny, most = _limits(xp, m)
    a, b = xp.sqrt((m * m).sum(0)), xp.sqrt((v * v).sum(0))
    d, n = m / xp.clip(a, tiny, None), v / xp.clip(b, tiny, None)
    u = d + n
    h = (u * u).sum(0) / 2
    gap, total = a - b, a + b
    sinh_gap = xp.exp(-2 * xp.minimum(a, b)) * xp.expm1(-2 * abs(gap)) * xp.sign(gap) * -0.5
    one, sinh_b = xp.expm1(-a), xp.expm1(-2 * b) * -0.5
    w = (sinh_gap + h * sinh_b * (0.5 * one * one)) * d + (sinh_b * (one + 1)) * u
    spatial = xp.sqrt((w * w).sum(0))
    direction = w / xp.clip(spatial, tiny, None)
    near = xp.arcsinh(spatial * xp.exp(xp.clip(total, None, most)))
    if not _within(xp, total, most):
        inverse = xp.exp(-total)
        far = total + xp.log(xp.clip(spatial + xp.sqrt(spatial * spatial + inverse * inverse), tiny, None))
        near = xp.where(total < most, near, far)
    return Translation(a, b, d, n, u, h, spatial, direction, near)


def _limits(xp: Any, x: Any) -> tuple[float, float]:
    """The least length whose square is a number, and the greatest whose exponential has one."""
    limits = xp.finfo(x.dtype)
    return float(limits.tiny) ** 0.5, 0.45 * log(float(limits.max))


def _within(xp: Any, total: Any, most: float) -> bool:
    """Whether no number is so large that its exponential would overflow; unknown, and so no, without looking."""
    return xp is not torch and (total.size == 0 or bool(total.max() < most))


def pull_back(xp: Any, at: Translation, g: Any) -> tuple[Any, Any]:
    """Gradients in ``m`` and ``v`` from that in ``t``, all ``(dim, ...)``; right at m = 0, v = 0 and t = 0 as well."""
    a, b, d, n, u, h, spatial, direction, radius = at
    tiny, _ = _limits(xp, a)
    minus_a, minus_b = xp.exp(-a), xp.exp(-b)
    inverse = xp.clip(minus_a * minus_b, tiny, None)
    # The gradient in w, times exp(a + b): lengths along w shrink by 1 / cosh, those across by radius / sinh.
    along = (g * direction).sum(0)
    across = xp.where(spatial > tiny, radius / xp.clip(spatial, tiny, None), 1 / inverse)
    g = (along * (1 / xp.sqrt(spatial * spatial + inverse * inverse) - across)) * direction + across * g
    g_d, g_u = (g * d).sum(0), (g * u).sum(0)
    squared_a, squared_b = minus_a * minus_a, minus_b * minus_b
    # Each divided by exp(a + b), or its share of that: cosh(a - b), cosh a - 1, sinh a, sinh b, cosh b.
    cosh_gap = (squared_a + squared_b) / 2
    one = -xp.expm1(-a)
    cosh_a_1, sinh_a = one * one / 2, (1 - squared_a) / 2
    sinh_b, cosh_b = xp.expm1(-2 * b) * -0.5, (1 + squared_b) / 2
    # (1 - exp(-a)) / a and sinh(b) / (b exp(b)), both 1 at 0.
    one_by_a = xp.where(a > 0, one / xp.clip(a, tiny, None), 1.0)
    sinh_by_b = xp.where(b > 0, sinh_b / xp.clip(b, tiny, None), 1.0)
    turning = one_by_a * sinh_b * one / 2
    moving = one_by_a * (squared_b + minus_a) / 2 + h * turning
    in_m = (g_d * (cosh_gap + h * (sinh_a * sinh_b - turning) - moving)) * d + moving * g + (g_d * turning) * u
    stretching = g_d * cosh_a_1
    radial = h * stretching * cosh_b - g_d * cosh_gap + minus_a * cosh_b * g_u
    in_v = (radial - sinh_by_b * (minus_a * (g_u - g_d) + h * stretching)) * n + sinh_by_b * (
        minus_a * g + stretching * u
    )
    return in_m, in_v


def translate(m: Tensor, v: Tensor, curvature: Tensor | float) -> Tensor:
    r"""Tangent coordinates at the origin of the point that is reached from the point of ``m`` along ``v``.

    In hyperbolic space of curvature :math:`-c`, the point with tangent coordinates ``m`` at the origin is left with the
    velocity that has the coordinates ``v`` at the origin and is carried to the point in parallel, along the geodesic.
    The inverse in ``v`` is ``translate(-m, t, curvature)``.

    Computed in float64 where the device has it, and returned in the dtype of the vectors; good to its rounding for
    points at any distance. All gradients are right, also where a vector is 0 or the point is the origin.

    Parameters
    ----------
    m, v
        Tangent coordinates at the origin, ``(..., dim)`` in units of length; their batch shapes broadcast.
    curvature
        The magnitude :math:`c > 0`, a number or a tensor without dimensions.

    Returns
    -------
    :math:`t`, ``(..., dim)``; its length is the distance of the point from the origin.

    Examples
    --------
    >>> m, v = torch.tensor([60.0, 0.0]), torch.tensor([0.0, 70.0])
    >>> translate(m, v, 1.0)
    tensor([129.3069,   0.0000])
    >>> translate(-m, m, 1.0)
    tensor([0., 0.])
    """
    if m.shape[-1] == 1:
        return m + v
    if m.dtype != v.dtype:
        dtype = torch.promote_types(m.dtype, v.dtype)
        m, v = m.to(dtype), v.to(dtype)
    if not isinstance(curvature, Tensor):
        curvature = torch.as_tensor(curvature, dtype=m.dtype, device=m.device)
    return _Translate.apply(m, v, curvature)


class _Translate(Function):
    @staticmethod
    def forward(ctx: Any, m: Tensor, v: Tensor, curvature: Tensor) -> Tensor:
        # On the CPU the calls of numpy cost a third of those of torch.
        xp = np if m.device.type == "cpu" and not torch.compiler.is_compiling() else torch
        dtype = torch.float32 if m.device.type in _WITHOUT_DOUBLE else torch.float64
        root = curvature.detach().to(dtype).sqrt()
        ndim = max(m.ndim, v.ndim)
        at = carry(xp, *(_components(xp, x.detach(), ndim, dtype, root) for x in (m, v)))
        ctx.xp, ctx.shapes = xp, (m.shape, v.shape)
        ctx.save_for_backward(curvature, root, *(torch.from_numpy(np.asarray(x)) if xp is np else x for x in at))
        return _rows(xp, at.t, m.dtype, root)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        xp = ctx.xp
        curvature, root, *parts = ctx.saved_tensors
        at = Translation(*(x.numpy() if xp is np else x for x in parts))
        g = _components(xp, grad, grad.ndim, root.dtype)
        in_m, in_v = pull_back(xp, at, g)
        in_curvature = None
        if ctx.needs_input_grad[2]:
            # t = T(s m, s v) / s with s = sqrt(c).
            change = (in_m * at.d).sum(0) * at.a + (in_v * at.n).sum(0) * at.b - (g * at.direction).sum(0) * at.radius
            in_curvature = (torch.as_tensor(change.sum()) / (2 * root**3)).to(curvature.dtype).reshape(curvature.shape)
        in_m, in_v = (
            _rows(xp, x, grad.dtype).sum_to_size(shape) for x, shape in zip((in_m, in_v), ctx.shapes, strict=True)
        )
        return in_m, in_v, in_curvature


def _components(xp: Any, x: Tensor, ndim: int, dtype: torch.dtype, factor: Tensor | None = None) -> Any:
    """Rows ``(..., dim)`` as ``(dim, ...)`` with ``ndim`` axes, times a factor."""
    x = x.reshape((1,) * (ndim - x.ndim) + x.shape).movedim(-1, 0).to(dtype)
    x = (x if factor is None else factor * x).contiguous()
    return x.numpy() if xp is np else x


def _rows(xp: Any, x: Any, dtype: torch.dtype, divisor: Tensor | None = None) -> Tensor:
    """The inverse of :func:`_components`."""
    rows = (torch.from_numpy(x) if xp is np else x).movedim(0, -1)
    return (rows if divisor is None else rows / divisor).to(dtype).contiguous()
