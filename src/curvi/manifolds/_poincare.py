"""Hyperbolic space as a ball."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from curvi.manifolds import _ball
from curvi.manifolds._base import as_times, contains_finite
from curvi.manifolds._device import working
from curvi.manifolds._hyperbolic import Hyperbolic
from curvi.manifolds._kernel import evaluate
from curvi.manifolds._radial import inside_ball, length, log_sinhc


class Poincare(Hyperbolic, name="poincare"):
    r"""Hyperbolic space as the ball :math:`\lVert x \rVert < R = 1/\sqrt{c}`, in which angles are what they seem.

    With the gaps :math:`A = 1 - c \lVert x \rVert^2` and :math:`B = 1 - c \lVert y \rVert^2` to the edge, lengths at
    :math:`x` are :math:`2 / A` times those of the numbers, and the distance is :math:`2 R \operatorname{arsinh}
    (\sqrt{c}\, \lVert x - y \rVert / \sqrt{A B})`. All formulas are sums of positive terms in
    :math:`y - x`, :math:`A` and :math:`B`; they run in float64 where the device has it, and results have the dtype of
    the points. Results beyond the last numbers of the ball (a distance of :math:`15 R` from the origin in float32,
    :math:`35 R` in float64) are drawn back to them.

    The origin is 0. Half the tangent coordinates there are the velocity.

    Parameters
    ----------
    dim
        Intrinsic dimension :math:`d \ge 1`. Points have ``dim`` numbers.
    curvature
        The magnitude :math:`c > 0` of the curvature :math:`-c`.
    learn_curvature
        Whether it is a parameter of the manifold, the softplus of a number, which starts at ``curvature``.

    Raises
    ------
    ValueError
        If ``dim`` is below 1, or ``curvature`` not positive and finite.

    Examples
    --------
    >>> disk = Poincare(2)
    >>> x, y = disk.exp0(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    >>> x, disk.dist(x, y)
    (tensor([0.9051, 0.0000]), tensor(6.3097))
    """

    _extra: ClassVar[int] = 0

    @property
    def origin(self) -> Tensor:
        """Zeros ``(dim,)``."""
        return torch.zeros_like(self._axis)

    def project(self, x: Tensor) -> Tensor:
        """``x (..., dim)`` itself inside the ball, else its last numbers in the direction of ``x``."""
        return inside_ball(x.to(working(x)), self._c(x) ** -0.5, x.dtype)

    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        r"""The Moebius sum of :math:`x` and :math:`w = R \tanh(r/2)\, u / \lVert u \rVert`, ``(..., dim)``.

        Here :math:`r = 2 \sqrt{c}\, \lVert u \rVert / A`, and with :math:`s = c \lVert x + w \rVert^2` the sum is
        :math:`\frac{A (x + w) + s x}{s + A / \cosh^2(r/2)}`.
        """
        return evaluate(_ball.EXP, self._curvature.at(working(x)), x, u)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        r""":math:`\frac{r}{B \sinh r} (A (y - x) - c \lVert y - x \rVert^2 x)`, ``(..., dim)``.

        Here :math:`r = d(x, y) / R`; it is a multiple of the Moebius sum of :math:`-x` and :math:`y`.
        """
        return evaluate(_ball.LOG, self._curvature.at(working(x)), x, y)

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        r"""A rotation of ``u`` and a change of its length by :math:`B / A`, ``(..., dim)``.

        The rotation is that of two mirrors, which stand across :math:`y - x` and across :meth:`log`. With
        :math:`g = y - x`, :math:`s = c \lVert g \rVert^2`, :math:`\eta = \langle g, u \rangle` and
        :math:`\xi = \langle x, u \rangle`, it is

        .. math::
            u + \frac{2 c}{A B + s} \big[ (A \eta - s \xi)\, x - ((1 - A) \eta + (B + s) \xi)\, g \big] .
        """
        return evaluate(_ball.TRANSPORT, self._curvature.at(working(x)), x, y, u)

    def exp0(self, v: Tensor) -> Tensor:
        r""":math:`R \tanh(r/2)\, v / \lVert v \rVert` with :math:`r = \lVert v \rVert / R`, ``(..., dim)``."""
        return evaluate(_ball.EXP0, self._curvature.at(working(v)), v)

    def log0(self, y: Tensor) -> Tensor:
        r""":math:`2 \operatorname{artanh}(s)\, y / s` with :math:`s = \sqrt{c}\, \lVert y \rVert`, ``(..., dim)``."""
        c, (y_,) = self._c(y), _wide(y)
        s = length(y_) * c**0.5
        return (2 * torch.atanh(s) / s * y_).to(y.dtype)

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        r""":math:`2 R \operatorname{arsinh}(\sqrt{c}\, \lVert x - y \rVert / \sqrt{A B})`, shape ``(...)``."""
        return evaluate(_ball.DIST, self._curvature.at(working(x)), x, y)

    def geodesic(self, x: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        """The point ``(..., dim)`` at time ``t``, a number or ``(...)``, on the arc from ``x`` to ``y``."""
        c, x_, y_ = self._c(x), *_wide(x, y)
        by_a, by_b, r, t = 1 / _gap(x_, c), 1 / _gap(y_, c), self._apart(x_, y_), as_times(t, x_)
        # The path on the hyperboloid, whose points are (2 / A - 1, 2 x / A).
        start, step = torch.cosh((0.5 - t) * r) / torch.cosh(r / 2), torch.sinh(t * r) / torch.sinh(r)
        spatial = start * by_a * x_ + step * (by_b * y_ - by_a * x_)
        time = start * (2 * by_a - 1) + 2 * step * (by_b - by_a)
        return inside_ball(2 * spatial / (1 + time), c**-0.5, x.dtype)

    def log_det_exp(self, x: Tensor, u: Tensor) -> Tensor:
        r""":math:`(d - 1) \log(\sinh r / r)` with :math:`r = 2 \sqrt{c}\, \lVert u \rVert / A`, shape ``(...)``."""
        c, x_, u_ = self._c(x), *_wide(x, u)
        return ((self.dim - 1) * log_sinhc(2 * c**0.5 * length(u_) / _gap(x_, c))).squeeze(-1).to(x.dtype)

    def contains(self, x: Tensor, atol: float = 1e-5) -> tuple[bool, str]:
        """Whether points ``x (..., dim)`` lie in the open ball, and if not, why.

        ``atol`` has no effect: a point on the edge is infinitely far away.
        """
        finite = contains_finite(x, self.ambient_dim)
        if not finite[0] or x.numel() == 0:
            return finite
        c, (x_,) = self._curvature.number(), _wide(x.detach())
        worst = float(torch.linalg.vector_norm(x_, dim=-1).max())
        if c * worst * worst >= 1:
            return False, f"points must be shorter than {c**-0.5:g}; the longest is {worst:.9g}."
        return True, ""

    def to_lorentz(self, x: Tensor) -> Tensor:
        r""":math:`(R (2/A - 1), 2 x / A)`, ``(..., dim + 1)``."""
        return evaluate(_ball.TO_LORENTZ, self._curvature.at(working(x)), x)

    def to_poincare(self, x: Tensor) -> Tensor:
        """``x (..., dim)`` itself."""
        return x

    def _c(self, x: Tensor) -> Any:
        return self._curvature.at(working(x))

    def _apart(self, x: Tensor, y: Tensor) -> Tensor:
        """The distance at curvature 1, at least so much that it can divide, ``(..., 1)``."""
        c = self._c(x)
        return (evaluate(_ball.DIST, c, x, y) * c**0.5)[..., None].clamp_min(torch.finfo(x.dtype).tiny ** 0.5)


def _wide(*rows: Tensor) -> tuple[Tensor, ...]:
    """Points or velocities in the dtype of the formulas."""
    return tuple(x.to(working(x)) for x in rows)


def _sum(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)


def _gap(x: Tensor, c: Any) -> Tensor:
    """How much is left to the edge of the ball: 1 - c |x|^2."""
    return 1 - c * _sum(x, x)
