"""Hyperbolic space as a hyperboloid."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from curvi.manifolds import _hyperboloid
from curvi.manifolds._base import as_times, contains_finite
from curvi.manifolds._device import working
from curvi.manifolds._hyperbolic import Hyperbolic
from curvi.manifolds._kernel import evaluate
from curvi.manifolds._radial import inside_ball, length, log_sinhc


class Lorentz(Hyperbolic, name="lorentz"):
    r"""Hyperbolic space as the hyperboloid :math:`-x_0^2 + \lVert x_s \rVert^2 = -1/c`, :math:`x_0 > 0`.

    Points :math:`x = (x_0, x_s)` have the time :math:`x_0` first. The spatial coordinates :math:`x_s` alone say where a
    point is; the time, whose rounding would hide all else far from the origin, is what belongs to them. With
    :math:`R = 1/\sqrt{c}` and :math:`\langle x, y \rangle = -x_0 y_0 + \langle x_s, y_s \rangle`, the distance is
    :math:`R \operatorname{arcosh}(-c \langle x, y \rangle)`, computed as a sum of squares that lose nothing. Formulas
    run in float64 where the device has it, and results have the dtype of the points.

    The origin is :math:`(R, 0, \dots, 0)`. Distances are right to rounding up to the radii at which the numbers of
    points end, :math:`86 R` in float32 and :math:`175 R` in float64, to which :meth:`exp0` and :meth:`exp` draw back
    what would lie beyond. A velocity far out is a long row that hides short differences: between points on opposite
    sides of the origin, at a distance :math:`r R`, the rounding :math:`\epsilon` of :meth:`log` grows to
    :math:`\epsilon e^r` where :meth:`exp` leads. Tangent coordinates at the origin, :meth:`translate0` and
    :meth:`geodesic` have no such loss.

    Parameters
    ----------
    dim
        Intrinsic dimension :math:`d \ge 1`. Points have ``dim + 1`` numbers.
    curvature
        The magnitude :math:`c > 0` of the curvature :math:`-c`.
    learn_curvature
        Whether it is a parameter of the manifold, the softplus of a number, which starts at ``curvature``.

    Raises
    ------
    ValueError
        If ``dim`` is below 1, or ``curvature`` not positive and finite.

    References
    ----------
    :cite:t:`Nagano2019`

    Examples
    --------
    >>> plane = Lorentz(2)
    >>> x, y = plane.exp0(torch.tensor([[60.0, 0.0], [0.0, 70.0]]))
    >>> plane.dist(x, y)
    tensor(129.3069)
    """

    _extra: ClassVar[int] = 1

    @property
    def origin(self) -> Tensor:
        r"""The apex :math:`(R, 0, \dots, 0)`, ``(dim + 1,)``."""
        return self._axis * self._curvature.power(-0.5, self._axis.dtype)

    def project(self, x: Tensor) -> Tensor:
        """The point with the spatial coordinates of ``x (..., dim + 1)``, whatever its time."""
        R, wide = self._radius(x), x.to(working(x))
        xs = wide[..., 1:]
        return torch.cat([_time(xs, R), xs], -1).to(x.dtype)

    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        r""":math:`\cosh(r) x + \sinh(r) u / r` with :math:`r = \sqrt{c \langle u, u \rangle}`, ``(..., dim + 1)``."""
        return evaluate(_hyperboloid.EXP, self._curvature.at(working(x)), x, u)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        r""":math:`\frac{r}{\sinh r} (y - x) - r \tanh(r/2)\, x` with :math:`r = d(x, y) / R`, ``(..., dim + 1)``."""
        return evaluate(_hyperboloid.LOG, self._curvature.at(working(x)), x, y)

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        r""":math:`u + \frac{\langle y, u \rangle}{R^2 - \langle x, y \rangle} (x + y)`, ``(..., dim + 1)``."""
        return evaluate(_hyperboloid.TRANSPORT, self._curvature.at(working(x)), x, y, u)

    def exp0(self, v: Tensor) -> Tensor:
        r""":math:`(R \cosh r, \sinh(r)\, v / r)` with :math:`r = \lVert v \rVert / R`, ``(..., dim + 1)``."""
        return evaluate(_hyperboloid.EXP0, self._curvature.at(working(v)), v)

    def log0(self, y: Tensor) -> Tensor:
        r""":math:`\operatorname{arsinh}(s)\, y_s / s` with :math:`s = \lVert y_s \rVert / R`, ``(..., dim)``."""
        R, (ys,) = self._radius(y), _spatial(y)
        s = length(ys) / R
        return (torch.asinh(s) / s * ys).to(y.dtype)

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        r""":math:`R \operatorname{arcosh}(-c \langle x, y \rangle)`, shape ``(...)``."""
        return evaluate(_hyperboloid.DIST, self._curvature.at(working(x)), x, y)

    def geodesic(self, x: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        r""":math:`(\sinh((1 - t) r)\, x + \sinh(t r)\, y) / \sinh r` with :math:`r = d(x, y) / R`, ``(..., dim + 1)``.

        ``t`` is a number or ``(...)``. The two terms do not cancel, so that the path between far points is exact where
        a step along a velocity would not be.
        """
        R, xs, ys = self._radius(x), *_spatial(x, y)
        r, t = self._apart(x, y), as_times(t, xs)
        zs = torch.cosh((0.5 - t) * r) / torch.cosh(r / 2) * xs + torch.sinh(t * r) / torch.sinh(r) * (ys - xs)
        return torch.cat([_time(zs, R), zs], -1).to(x.dtype)

    def log_det_exp(self, x: Tensor, u: Tensor) -> Tensor:
        r""":math:`(d - 1) \log(\sinh r / r)` with :math:`r = \sqrt{c \langle u, u \rangle}`, shape ``(...)``."""
        R, xs, us = self._radius(x), *_spatial(x, u)
        r = _speed(xs, us, _time(xs, R), R)
        return ((self.dim - 1) * log_sinhc(r)).squeeze(-1).to(x.dtype)

    def contains(self, x: Tensor, atol: float = 1e-5) -> tuple[bool, str]:
        r"""Whether points ``x (..., dim + 1)`` lie on the hyperboloid, and if not, why.

        :math:`-x_0^2 + \lVert x_s \rVert^2 + 1/c` may differ from 0 by ``atol`` times :math:`x_0^2`: far out, even the
        best rounding of a point leaves an error of that kind.
        """
        finite = contains_finite(x, self.ambient_dim)
        if not finite[0] or x.numel() == 0:
            return finite
        wide = x.detach().to(working(x))
        if not bool((wide[..., 0] > 0).all()):
            return False, "points must have a positive time, their first number."
        time = _time(wide[..., 1:], self._curvature.number() ** -0.5)
        x0 = wide[..., :1]
        worst = float(((x0 / time - 1) * (x0 / time + 1)).abs().max())
        if worst > atol:
            return False, (
                f"points must satisfy -x_0^2 + |x_s|^2 = -{1 / self._curvature.number():g}; the worst is off by "
                f"{worst:.3g} of its squared size, more than {atol:g}."
            )
        return True, ""

    def to_lorentz(self, x: Tensor) -> Tensor:
        """``x (..., dim + 1)`` itself."""
        return x

    def to_poincare(self, x: Tensor) -> Tensor:
        r""":math:`x_s / (1 + \sqrt{c}\, x_0)`, ``(..., dim)``, as far out as the ball has numbers."""
        R, (xs,) = self._radius(x), _spatial(x)
        return inside_ball(xs * (R / (R + _time(xs, R))), R, x.dtype)

    def _radius(self, x: Tensor) -> Any:
        return self._curvature.power(-0.5, working(x))

    def _apart(self, x: Tensor, y: Tensor) -> Tensor:
        """The distance at curvature 1, at least so much that it can divide, ``(..., 1)``."""
        c, dtype = self._curvature.at(working(x)), working(x)
        r = evaluate(_hyperboloid.DIST, c, x.to(dtype), y.to(dtype)) * c**0.5
        return r[..., None].clamp_min(torch.finfo(dtype).tiny ** 0.5)


def _spatial(*rows: Tensor) -> tuple[Tensor, ...]:
    """The spatial coordinates ``(..., dim)`` in the dtype of the formulas."""
    return tuple(x[..., 1:].to(working(x)) for x in rows)


def _sum(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)


def _time(xs: Tensor, R: Any) -> Tensor:
    return (_sum(xs, xs) + R * R).sqrt()


def _speed(xs: Tensor, us: Tensor, x0: Tensor, R: Any) -> Tensor:
    """The length of a velocity by R: a sum of squares, where <u, u> is the difference of large ones."""
    k = xs / x0
    u0 = _sum(k, us)
    return length(torch.cat([u0 * (R / x0), us - u0 * k], -1)) / R
