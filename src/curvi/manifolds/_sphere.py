"""The sphere."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
import torch
from torch import Tensor

from curvi.manifolds._base import Manifold, as_times, checked_dim, checked_weights, contains_finite
from curvi.manifolds._curvature import Curvature
from curvi.manifolds._kernel import Kernel, Passes, dot, evaluate, root
from curvi.manifolds._rows import angle_rows, distance_gradient_rows


class Sphere(Manifold, name="sphere"):
    r"""Sphere of curvature :math:`c`: directions :math:`x \in \mathbb{R}^{d+1}`, :math:`\lVert x \rVert = 1`.

    Points are unit rows whatever the curvature, which scales the metric only: with the radius :math:`R = 1 / \sqrt{c}`,
    distances are :math:`R` times the angle, and tangent coordinates at the origin are in the same units of length. A
    tangent vector elsewhere is the velocity of the unit row, an angle long.

    The origin is :math:`(1, 0, \dots, 0)`. Between antipodal points every direction is a shortest one; :meth:`log`,
    :meth:`transport` and :meth:`log0` then choose the same one of them.

    Parameters
    ----------
    dim
        Intrinsic dimension :math:`d \ge 1`: 1 is the circle, 2 the globe. Points have ``dim + 1`` numbers.
    curvature
        The curvature :math:`c > 0`.
    learn_curvature
        Whether it is a parameter of the manifold, the softplus of a number, which starts at ``curvature``.

    Raises
    ------
    ValueError
        If ``dim`` is below 1, or ``curvature`` not positive and finite.

    Examples
    --------
    >>> import torch
    >>> globe = Sphere(2)
    >>> x, y = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 2.0, 0.0])
    >>> round(float(globe.dist(x, globe.project(y))), 4)
    1.5708
    >>> round(float(Sphere(2, curvature=0.25).dist(x, globe.project(y))), 4)
    3.1416
    """

    _origin: Tensor

    def __init__(self, dim: int, curvature: Tensor | float = 1.0, *, learn_curvature: bool = False) -> None:
        super().__init__()
        self.dim = checked_dim(dim)
        self.ambient_dim = self.dim + 1
        self._curvature = Curvature(curvature, learn_curvature)
        self.register_buffer("_origin", torch.eye(1, self.ambient_dim)[0], persistent=False)

    @property
    def origin(self) -> Tensor:
        r"""The pole :math:`(1, 0, \dots, 0)`, ``(dim + 1,)``."""
        return self._origin

    @property
    def curvature(self) -> Tensor:
        """The curvature :math:`c`, without dimensions; it has a gradient where it is learned."""
        return self._curvature.tensor

    def project(self, x: Tensor) -> Tensor:
        """The unit vector in the direction of ``x (..., dim + 1)``; a row of zeros becomes the origin."""
        return evaluate(_DIRECTION, 1.0, x)

    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        r""":math:`\cos(r)\, x + \sin(r)\, u / r` with :math:`r = \lVert u \rVert`, ``(..., dim + 1)``."""
        r = torch.linalg.vector_norm(u, dim=-1, keepdim=True)
        return torch.cos(r) * x + _sinc(r) * u

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        r"""The vector at ``x`` as long as the angle, at most :math:`\pi`, towards ``y``, ``(..., dim + 1)``."""
        # Of y, y - x and y + x, which have one tangent part, the shortest has the least to lose.
        gap, total = y - x, y + x
        near, far = (torch.linalg.vector_norm(side, dim=-1, keepdim=True) for side in (gap, total))
        u = _tangent(x, _tangent(x, torch.where(near > far, total, gap)))
        sine = torch.linalg.vector_norm(u, dim=-1, keepdim=True)
        angle, straight = 2 * torch.atan2(near, far), sine == 0
        u = u * torch.where(straight, 1.0, angle / torch.where(straight, 1.0, sine))
        opposite = straight & (near > far)
        return torch.where(opposite, pi * _any_tangent(x), u) if _occurs(opposite) else u

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        r""":math:`u - 2 s \langle s, u\rangle / \lVert s\rVert^2` with :math:`s = x + y`, ``(..., dim + 1)``.

        On vectors that are tangent at ``x`` this reflection agrees with the rotation that takes ``x`` to ``y``.
        """
        s = x + y
        square = (s * s).sum(-1, keepdim=True)
        opposite = square < torch.finfo(s.dtype).tiny ** 0.5
        if _occurs(opposite):
            size = s.detach().abs().amax(-1, keepdim=True)
            other = torch.where(size == 0, _any_tangent(x), s / torch.where(size == 0, 1.0, size))
            s = torch.where(opposite, other, s)
            square = (s * s).sum(-1, keepdim=True)
        return u - s * ((s * u).sum(-1, keepdim=True) * 2 / square)

    def exp0(self, v: Tensor) -> Tensor:
        r""":math:`(\cos r, \sin(r)\, v / \lVert v \rVert)` with :math:`r = \lVert v \rVert / R`, ``(..., dim + 1)``."""
        if not self._curvature.is_one:
            v = v * self._curvature.power(0.5, v.dtype)
        r = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
        return torch.cat([torch.cos(r), _sinc(r) * v], -1)

    def log0(self, y: Tensor) -> Tensor:
        r"""Tangent coordinates at the origin of ``y (..., dim + 1)``: ``(..., dim)``, no longer than :math:`\pi R`."""
        # From the vector at the origin; its first number is 0 by construction.
        v = self.log(self._origin.to(y), y)[..., 1:]
        return v if self._curvature.is_one else v * self._curvature.power(-0.5, y.dtype)

    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        r"""The angle in :math:`[0, \pi]` times :math:`R`, ``(...)``; as accurate at both its ends as in between."""
        angle = _angle(x, y)
        return angle if self._curvature.is_one else angle * self._curvature.power(-0.5, x.dtype)

    def scaled(self, x: Tensor) -> Tensor:
        """The points ``x (..., dim + 1)`` in their true size, times the radius :math:`R`."""
        return x if self._curvature.is_one else x * self._curvature.power(-0.5, x.dtype)

    def geodesic(self, x: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        """The point ``(..., dim + 1)`` at time ``t``, a number or ``(...)``, on the great circle to ``y``."""
        return self.exp(x, as_times(t, x) * self.log(x, y))

    def log_det_exp(self, x: Tensor, u: Tensor) -> Tensor:
        r""":math:`(d - 1) \log(\sin r / r)` with the angle :math:`r = \lVert u \rVert < \pi`, shape ``(...)``."""
        r = torch.linalg.vector_norm(u, dim=-1)
        value = (self.dim - 1) * torch.log(_sinc(r).abs())
        return value.expand(torch.broadcast_shapes(x.shape, u.shape)[:-1])

    @torch.no_grad()
    def mean(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """The Frechet mean ``(dim + 1,)`` of points ``x (n, dim + 1)``, by steps to the mean of the tangent vectors.

        It is unique if all points lie in an open half sphere :cite:p:`Afsari2011`. Otherwise the descent is repeated
        from both ends of all principal axes, and the lowest point wins.

        Raises
        ------
        ValueError
            If the mean is not unique (as that of two antipodal points), if there are no points, or if the weights are
            negative, all 0 or not one a point.
        """
        # Not every device has float64.
        points = x.to(device="cpu" if x.device.type == "mps" else x.device).to(torch.float64)
        shares = checked_weights(points, weights)
        points, shares = points[shares > 0], shares[shares > 0]
        centre = shares @ points
        start = self.project(centre)
        if bool((points @ start > 1e-6).all()):
            return self._descend(start, points, shares).to(x)
        axes = torch.linalg.eigh(points.T @ (shares[:, None] * points)).eigenvectors.T
        ends = torch.stack([self._descend(point, points, shares) for point in torch.cat([start[None], axes, -axes])])
        spread = torch.stack([shares @ _angle(end, points).square() for end in ends])
        best = ends[spread.argmin()]
        tied = spread <= spread.min() * (1 + 1e-9)
        if bool((_angle(best, ends[tied]) > 1e-3).any()):
            raise ValueError(
                "the mean of `x` on the sphere is not unique: points that lie all around it have several centres, as "
                "two antipodal points do. Take the mean of fewer points that are closer together."
            )
        return best.to(x)

    def _descend(self, point: Tensor, points: Tensor, shares: Tensor) -> Tensor:
        # The Hessian of half the squared distance is at most 1 on a sphere, so that steps of size 1 always descend.
        for _ in range(1000):
            step = shares @ self.log(point, points)
            point = self.project(self.exp(point, step))
            if bool(torch.linalg.vector_norm(step) < 1e-12):
                break
        return point

    def contains(self, x: Tensor, atol: float = 1e-5) -> tuple[bool, str]:
        """Whether the rows of ``x (..., dim + 1)`` have length 1 up to ``atol``, and if not, why."""
        finite = contains_finite(x, self.ambient_dim)
        if not finite[0] or x.numel() == 0:
            return finite
        worst = float((torch.linalg.vector_norm(x.detach().double(), dim=-1) - 1).abs().max())
        if worst > atol:
            return False, f"points must have length 1; the worst is off by {worst:.3g}, more than {atol:g}."
        return True, ""

    def config(self) -> dict[str, object]:
        """``name``, ``dim``, ``curvature`` (a number: its present value) and ``learn_curvature``."""
        return {
            "name": self.name,
            "dim": self.dim,
            "curvature": self._curvature.number(),
            "learn_curvature": self._curvature.learned,
        }


def _direction(xp: Any, dtype: torch.dtype, x: Any) -> Any:
    # A direction has no scale: divided by its largest number, a row has no squares that overflow or underflow.
    size = abs(x).max(0) if xp is np else x.detach().abs().amax(0)
    empty = size == 0
    first = xp.ones_like(x)
    first[1:] = 0
    relative = xp.where(empty, first, x / xp.where(empty, 1.0, size))
    by_length = dot(xp, relative, relative) ** -0.5
    y = relative * by_length
    return (y,), (y, xp.where(empty, 0.0, by_length / xp.where(empty, 1.0, size)))


def _direction_backward(xp: Any, y: Any, by_length: Any, g: Any) -> Any:
    return ((g - dot(xp, g, y) * y) * by_length,)


_DIRECTION = Kernel(_direction, _direction_backward)


def _angle_between(xp: Any, dtype: torch.dtype, x: Any, y: Any) -> Any:
    gap, total = x - y, x + y
    near, far = root(xp, dot(xp, gap, gap)), root(xp, dot(xp, total, total))
    return (2 * xp.arctan2(near, far),), (gap, total, near, far)


def _angle_backward(xp: Any, gap: Any, total: Any, near: Any, far: Any, g: Any) -> Any:
    g = 2 * g / (near * near + far * far)
    # At 0 and pi, where the angle has an edge, its gradient is 0.
    by_near = xp.where(near > 0, g * far / xp.where(near > 0, near, 1.0), 0.0) * gap
    by_far = xp.where(far > 0, g * near / xp.where(far > 0, far, 1.0), 0.0) * total
    return by_near - by_far, -by_near - by_far


_ANGLE = Kernel(
    _angle_between,
    _angle_backward,
    passes=Passes(angle_rows, distance_gradient_rows, lambda size: 2 * size + 1),
)


def _angle(x: Tensor, y: Tensor) -> Tensor:
    """The angle between unit rows, as accurate at 0 and at pi as in between."""
    return evaluate(_ANGLE, 1.0, x, y)


def _occurs(rare: Tensor) -> bool:
    """Whether anything is true, so that a rare case must be computed; unknown, and so yes, without looking."""
    return rare.device.type != "cpu" or torch.compiler.is_compiling() or bool(rare.any())


def _tangent(x: Tensor, u: Tensor) -> Tensor:
    """The part of ``u`` that is orthogonal to unit rows ``x``."""
    return u - x * (x * u).sum(-1, keepdim=True)


def _any_tangent(x: Tensor) -> Tensor:
    """Some unit row orthogonal to each unit row of ``x``: the axis that is least in ``x``, made orthogonal."""
    x = x.detach()
    axis = torch.zeros_like(x).scatter(-1, x.abs().argmin(-1, keepdim=True), 1.0)
    u = _tangent(x, axis)
    return u / torch.linalg.vector_norm(u, dim=-1, keepdim=True)


def _sinc(r: Tensor) -> Tensor:
    """sin(r) / r, with a series near 0 where the gradient of the quotient is all rounding error."""
    small = r < 0.1
    s = torch.where(small, r, 0.0).square()
    series = 1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72)))
    safe = torch.where(small, 1.0, r)
    return torch.where(small, series, torch.sin(safe) / safe)
