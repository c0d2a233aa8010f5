"""Hyperbolic space, whichever chart its points are written in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from curvi.manifolds._base import Manifold, checked_dim, checked_weights
from curvi.manifolds._curvature import Curvature
from curvi.manifolds._translate import translate

# Newton's method doubles its digits with a step that is shorter than this.
_SURE = 1e-4


class Hyperbolic(Manifold, ABC):
    r"""Hyperbolic space :math:`\mathbb{H}^d` of curvature :math:`-c`, the space in which trees have room to grow.

    Its charts, :class:`Lorentz` and :class:`Poincare`, write the same points in different numbers: tangent coordinates
    at the origin, distances, translations and means are the same in both, and :meth:`to_poincare` and
    :meth:`to_lorentz` convert the points. In units of :math:`R = 1 / \sqrt{c}`, the Poincare ball has numbers for
    points up to a distance of 15 from the origin in float32, and of 35 in float64; the hyperboloid up to 86 and 175.

    Parameters
    ----------
    dim
        Intrinsic dimension :math:`d \ge 1`.
    curvature
        The magnitude :math:`c > 0` of the curvature.
    learn_curvature
        Whether it is a parameter of the manifold, the softplus of a number, which starts at ``curvature``.

    Raises
    ------
    ValueError
        If ``dim`` is below 1, or ``curvature`` not positive and finite.
    """

    _extra: ClassVar[int]
    """How many numbers a point has beyond its dimension."""
    _axis: Tensor
    """The first axis of the ambient space."""

    def __init__(self, dim: int, curvature: Tensor | float = 1.0, *, learn_curvature: bool = False) -> None:
        super().__init__()
        self.dim = checked_dim(dim)
        self.ambient_dim = self.dim + self._extra
        self._curvature = Curvature(curvature, learn_curvature)
        self.register_buffer("_axis", torch.eye(1, self.ambient_dim)[0], persistent=False)

    @property
    def curvature(self) -> Tensor:
        """The magnitude :math:`c` of the curvature, without dimensions; it has a gradient where it is learned."""
        return self._curvature.tensor

    @property
    def radius(self) -> Tensor | float:
        r"""The radius of curvature :math:`R = 1 / \sqrt{c}`: a number if it is fixed, else with a gradient."""
        return self._curvature.power(-0.5, self._axis.dtype)

    @abstractmethod
    def to_lorentz(self, x: Tensor) -> Tensor:
        """The same points ``x (..., ambient_dim)`` on the hyperboloid, ``(..., dim + 1)``."""

    @abstractmethod
    def to_poincare(self, x: Tensor) -> Tensor:
        """The same points ``x (..., ambient_dim)`` in the Poincare ball, ``(..., dim)``."""

    def translate0(self, m: Tensor, v: Tensor) -> Tensor:
        """Tangent coordinates at the origin of the point reached from ``exp0(m)`` along ``v``, ``(..., dim)``.

        The velocity ``v (..., dim)`` is that at the origin, carried to ``exp0(m)`` in parallel: the gyrovector sum of
        the two points, ``log0(exp0(m) (+) exp0(v))``, right to rounding at every radius. In ``v`` its inverse is
        ``translate0(-m, t)``: the logarithm at ``exp0(m)`` of ``exp0(t)``, carried to the origin.
        """
        return translate(m, v, self._curvature.at(torch.float64))

    def centre(self, x: Tensor, at: Tensor) -> Tensor:
        """The points ``x (..., ambient_dim)`` after the translation that moves the point ``at`` to the origin.

        An isometry: it keeps all distances. In the Poincare ball it is the Moebius sum of ``-at`` and ``x``.

        Parameters
        ----------
        x
            Points ``(..., ambient_dim)``.
        at
            The point or points ``(..., ambient_dim)`` that become the origin.
        """
        return self.exp0(self.translate0(-self.log0(at), self.log0(x)))

    @torch.no_grad()
    def mean(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """The Frechet mean ``(ambient_dim,)`` of points ``x (n, ambient_dim)``, by Newton's steps in float64.

        It is unique, wherever the points lie: the squared distance is strictly convex in hyperbolic space. A mean that
        lies further than :math:`30 R` from both the origin and the heaviest point is not exact, since the directions of
        points have too few digits there.

        Raises
        ------
        ValueError
            If there are no points, or the weights are negative, all 0 or not one a point.
        """
        points = x.to(device="cpu" if x.device.type == "mps" else x.device).to(torch.float64)
        shares = checked_weights(points, weights)
        points, shares = points[shares > 0], shares[shares > 0]
        root = self._curvature.number() ** 0.5
        t = root * self.log0(points)
        # Seen from far away, points have nearly one direction: the origin or the heaviest point may be closer.
        base, centre = t[shares.argmax()], shares @ t
        around = translate(-base, t, 1.0)
        if bool(torch.linalg.vector_norm(shares @ around) < torch.linalg.vector_norm(centre)):
            t, centre = around, shares @ around
        else:
            base = torch.zeros_like(base)
        v, spread = _seen_from(centre, t, shares)
        for _ in range(200):
            step = _newton(v, shares)
            # The function is convex, so that some part of a step always leads down.
            while bool(torch.linalg.vector_norm(step) > _SURE):
                at = translate(centre, step, 1.0)
                there, lower = _seen_from(at, t, shares)
                if bool(lower < spread):
                    break
                step = step / 2
            else:
                break
            centre, v, spread = at, there, lower
        # So close, rounding hides the way down, and two whole steps leave nothing.
        for _ in range(2):
            step = _newton(_seen_from(centre, t, shares)[0], shares)
            centre = translate(centre, step * (torch.linalg.vector_norm(step) < 2 * _SURE), 1.0)
        return self.exp0(translate(base, centre, 1.0) / root).to(x)

    def config(self) -> dict[str, object]:
        """``name``, ``dim``, ``curvature`` (a number: its present value) and ``learn_curvature``."""
        return {
            "name": self.name,
            "dim": self.dim,
            "curvature": self._curvature.number(),
            "learn_curvature": self._curvature.learned,
        }


def _seen_from(centre: Tensor, t: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Logarithms ``(n, dim)`` of points ``t`` at a centre, all at curvature 1, and the mean of their squares."""
    v = translate(-centre, t, 1.0)
    return v, shares @ v.square().sum(-1)


def _newton(v: Tensor, shares: Tensor) -> Tensor:
    """The step that solves for the mean of points with logarithms ``v (n, dim)`` to second order."""
    r = torch.linalg.vector_norm(v, dim=-1).clamp_min(1e-8)
    # The Hessian of half the squared distance: 1 along the geodesic, r coth r across.
    across = r / torch.tanh(r)
    n = v / r[:, None]
    hessian = (n.T * (shares * (1 - across))) @ n + (shares @ across) * torch.eye(v.shape[1], dtype=v.dtype).to(v)
    return torch.linalg.solve(hessian, shares @ v)
