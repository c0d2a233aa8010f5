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

import torch
from torch import Tensor

from curvi.manifolds._kernel import Kernel, evaluate, least, root


class Translation(NamedTuple):
    """What a translation at curvature -1 is made of: arrays of numpy or torch.

    Scalars are ``(...)``, vectors have their components first, ``(dim, ...)``.
    """

    a: Any
    """Length of m, at least the least number that can be squared."""
    b: Any
    """Length of v, so too."""
    d: Any
    """Direction of m; 0 where m is 0."""
    n: Any
    """Direction of v; 0 where v is 0."""
    u: Any
    """d + n."""
    h: Any
    """1 + <d, n>, from u."""
    spatial: Any
    """Length of w, divided by exp(a + b), so too."""
    direction: Any
    """w / |w|; 0 where w is 0."""
    radius: Any
    """Distance of the point from the origin."""


def carry(xp: Any, m: Any, v: Any) -> Translation:
    """The point reached from ``m`` along ``v``, both ``(dim, ...)``, in the library ``xp`` (``numpy`` or ``torch``)."""
    tiny, most = _limits(xp, m)
    a, b = _length(xp, m, tiny), _length(xp, v, tiny)
    d, n = m / a, v / b
    u = d + n
    h = (u * u).sum(0) * 0.5
    gap, total = a - b, a + b
    size = abs(gap)
    sinh_gap = xp.exp(size - total) * xp.expm1(-2 * size) * xp.sign(gap) * -0.5
    one, sinh_b = xp.expm1(-a), xp.expm1(-2 * b) * -0.5
    w = (sinh_gap + h * sinh_b * one * one * 0.5) * d + (sinh_b * (one + 1)) * u
    spatial = _length(xp, w, tiny)
    if xp is not torch and (total.size == 0 or total.max() < most):
        radius = xp.arcsinh(spatial * xp.exp(total))
    else:
        inverse = xp.exp(-total)
        far = total + xp.log(spatial + xp.sqrt(spatial * spatial + inverse * inverse))
        radius = xp.where(total < most, xp.arcsinh(spatial * xp.exp(xp.clip(total, None, most))), far)
    return Translation(a, b, d, n, u, h, spatial, w / spatial, radius)


def pull_back(xp: Any, at: Translation, g: Any) -> tuple[Any, Any]:
    """Gradients in ``m`` and ``v`` from that in ``t``, all ``(dim, ...)``; right at m = 0, v = 0 and t = 0 as well."""
    a, b, d, n, u, h, spatial, direction, radius = at
    exp_a, exp_b = xp.exp(-a), xp.exp(-b)
    inverse = (exp_a * exp_b).clip(_limits(xp, a)[0])
    # The gradient in w, times exp(a + b): what points along w shrinks by 1 / cosh, what points across by radius / sinh.
    across = radius / spatial
    along = 1 / xp.sqrt(spatial * spatial + inverse * inverse) - across
    g = ((g * direction).sum(0) * along) * direction + across * g
    g_d, g_u = (g * d).sum(0), (g * u).sum(0)
    # Each divided by exp(a), exp(b) or exp(a + b): cosh a - 1, sinh a, cosh b, sinh b, cosh(a - b).
    square_a, square_b, one = exp_a * exp_a, exp_b * exp_b, -xp.expm1(-a)
    sinh_a, cosh_b, sinh_b = (1 - square_a) * 0.5, (1 + square_b) * 0.5, xp.expm1(-2 * b) * -0.5
    bent, cosh_gap = one * one * 0.5, (square_a + square_b) * 0.5
    turning = sinh_b * bent / a
    moving = (one / a) * (square_b + exp_a) * 0.5 + h * turning
    in_m = (g_d * (cosh_gap + h * (sinh_a * sinh_b - turning) - moving)) * d + moving * g + (g_d * turning) * u
    bent = bent * g_d
    radial = h * bent * cosh_b - g_d * cosh_gap + exp_a * cosh_b * g_u
    across = sinh_b / b
    in_v = (radial - across * (exp_a * (g_u - g_d) + h * bent)) * n + (across * exp_a) * g + (across * bent) * u
    return in_m, in_v


def in_curvature(at: Translation, g: Any, in_m: Any, in_v: Any, s: Any) -> Any:
    """The gradient in the curvature, ``(...)``, from those in t, m and v, for t = T(s m, s v) / s with s = sqrt(c)."""
    change = (in_m * at.d).sum(0) * at.a + (in_v * at.n).sum(0) * at.b - (g * at.direction).sum(0) * at.radius
    return change / (2 * s**3)


def _limits(xp: Any, x: Any) -> tuple[float, float]:
    """The least length whose square is a number, and the greatest whose exponential has one."""
    return least(xp, x), 0.45 * log(float(xp.finfo(x.dtype).max))


def _length(xp: Any, x: Any, tiny: float) -> Any:
    length = root(xp, (x * x).sum(0))
    return length.clamp_min(tiny) if xp is torch else xp.maximum(length, tiny)


def _forward(xp: Any, _dtype: torch.dtype, m: Any, v: Any) -> tuple[tuple[Any], tuple[Any, ...]]:
    at = carry(xp, m, v)
    return (at.radius * at.direction,), at


def _backward(xp: Any, *left: Any) -> tuple[Any, Any]:
    *at, g = left
    return pull_back(xp, Translation(*at), g)


_TRANSLATE = Kernel(_forward, _backward)


def translate(m: Tensor, v: Tensor, curvature: Tensor | float) -> Tensor:
    r"""Tangent coordinates at the origin of the point that is reached from the point of ``m`` along ``v``.

    In hyperbolic space of curvature :math:`-c`, the point with tangent coordinates ``m`` at the origin is left with the
    velocity that has the coordinates ``v`` at the origin and is carried to the point in parallel, along the geodesic.
    The inverse in ``v`` is ``translate(-m, t, curvature)``.

    Computed in float64 where the device has it, and returned in the dtype of the vectors, right to its rounding at any
    distance (opposite vectors, which cancel, up to a length of :math:`150 / \sqrt{c}` each). All gradients are right,
    also where a vector is 0 or the point is the origin.

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
    return evaluate(_TRANSLATE, curvature, m, v)
