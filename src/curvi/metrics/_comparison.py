"""Numbers that grow with the distance between two points, for many pairs at once: products of matrices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from math import inf
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from curvi.manifolds import Euclidean, Manifold, Product, Sphere
from curvi.manifolds._hyperbolic import Hyperbolic

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Form:
    """A factor of a manifold, on which some product of rows grows with the distance.

    Attributes
    ----------
    columns
        The numbers of a point that belong to the factor.
    left, right
        From points of the factor `(n, ambient_dim)` to rows `(n, e)`; the score of a pair is their product.
    square
        From scores to squared distances, increasing.
    slope
        By how much ``square`` stretches an error of the score at most, up to the squared distance ``reach``.
    reach
        See there.
    """

    columns: slice
    left: Callable[[Tensor], Tensor]
    right: Callable[[Tensor], Tensor]
    square: Callable[[Tensor], Tensor]
    slope: float = 1.0
    reach: float = inf


@singledispatch
def forms(manifold: Manifold, points: Tensor) -> tuple[Form, ...]:
    """The factors of a manifold whose distances are compared by products; none where no such products are known.

    A geometry of one's own joins by registering them. ``points (n, ambient_dim)`` are those to be searched.
    """
    return ()


@forms.register
def _(manifold: Euclidean, points: Tensor) -> tuple[Form, ...]:
    # Far from 0 the product would lose the digits that matter.
    centre = points.mean(0)

    def left(x: Tensor) -> Tensor:
        x = x - centre
        return torch.cat([x, x.square().sum(1, keepdim=True), torch.ones_like(x[:, :1])], 1)

    def right(y: Tensor) -> Tensor:
        y = y - centre
        return torch.cat([-2 * y, torch.ones_like(y[:, :1]), y.square().sum(1, keepdim=True)], 1)

    return (Form(slice(0, manifold.ambient_dim), left, right, lambda s: s.clamp_min(0)),)


@forms.register
def _(manifold: Sphere, points: Tensor) -> tuple[Form, ...]:
    def left(x: Tensor) -> Tensor:
        return torch.cat([-x, torch.ones_like(x[:, :1])], 1)

    def right(y: Tensor) -> Tensor:
        return torch.cat([y, torch.ones_like(y[:, :1])], 1)

    square_of_radius = 1 / float(manifold.curvature)

    def square(s: Tensor) -> Tensor:
        return torch.asin((s / 2).clamp_(0, 1).sqrt_()).square_() * (4 * square_of_radius)

    # 2 a / sin(a) is below 4.1 up to an angle of 1.9.
    return (Form(slice(0, manifold.ambient_dim), left, right, square, 4.1 * square_of_radius, 3.6 * square_of_radius),)


@forms.register
def _(manifold: Hyperbolic, points: Tensor) -> tuple[Form, ...]:
    square_of_radius = 1 / float(manifold.curvature)

    def unit(x: Tensor) -> Tensor:
        return manifold.to_lorentz(x) / square_of_radius**0.5

    def left(x: Tensor) -> Tensor:
        x = unit(x)
        return torch.cat([x[:, :1], -x[:, 1:], -torch.ones_like(x[:, :1])], 1)

    def right(y: Tensor) -> Tensor:
        y = unit(y)
        return torch.cat([y, torch.ones_like(y[:, :1])], 1)

    def square(s: Tensor) -> Tensor:
        s = s.clamp_min(0)
        return torch.log1p(s + (s * (s + 2)).sqrt_()).square_() * square_of_radius

    return (Form(slice(0, manifold.ambient_dim), left, right, square, 2 * square_of_radius),)


@forms.register
def _(manifold: Product, points: Tensor) -> tuple[Form, ...]:
    found: list[Form] = []
    start = 0
    for part, share in zip(manifold.parts, manifold.split(points), strict=True):
        of_part = forms(part, share)
        if not of_part:
            return ()
        found += [_moved(form, start) for form in of_part]
        start += part.ambient_dim
    return tuple(found)


def _moved(form: Form, by: int) -> Form:
    columns = slice(form.columns.start + by, form.columns.stop + by)
    return Form(columns, form.left, form.right, form.square, form.slope, form.reach)


class Comparison:
    """How far queries are from each of the points that are searched, up to a transformation that keeps the order.

    Parameters
    ----------
    manifold
        Where the points lie, in float64.
    points
        Those to be searched, `(m, ambient_dim)`.

    Attributes
    ----------
    forms
        The factors; none if only the distance itself can tell.
    rights
        For each factor, the rows `(m, e)` of the points.
    """

    def __init__(self, manifold: Manifold, points: Tensor) -> None:
        self.forms = forms(manifold, points)
        self.rights = [form.right(points[:, form.columns]) for form in self.forms]

    def lefts(self, queries: Tensor) -> list[Tensor]:
        """For each factor, the rows `(n, e)` of queries `(n, ambient_dim)`."""
        return [form.left(queries[:, form.columns]) for form in self.forms]

    def scores(self, lefts: list[Tensor], rights: list[Tensor]) -> Tensor:
        """The scores `(..., n, m)` of all pairs of rows `(..., n, e)` and `(..., m, e)`."""
        products = [torch.matmul(left, right.mT) for left, right in zip(lefts, rights, strict=True)]
        if len(products) == 1:
            return products[0]
        total = self.forms[0].square(products[0])
        for form, product in zip(self.forms[1:], products[1:], strict=True):
            total += form.square(product)
        return total

    def distances(self, scores: Tensor) -> Tensor:
        """The distances that belong to scores, to the rounding of these."""
        return (self.forms[0].square(scores) if len(self.forms) == 1 else scores).sqrt()

    def rounding(self, lefts: list[Tensor]) -> Tensor:
        """By how much rounding can change any score of each query at most, `(n,)`."""
        total = lefts[0].new_zeros(len(lefts[0]))
        for form, left, right in zip(self.forms, lefts, self.rights, strict=True):
            largest = torch.linalg.vector_norm(right, dim=1).max()
            unit = torch.finfo(left.dtype).eps * (left.shape[1] + 2) * (form.slope if len(self.forms) > 1 else 1.0)
            total += unit * largest * torch.linalg.vector_norm(left, dim=1)
        return total

    @property
    def cost(self) -> int:
        """What a pair costs, about, in units of a product alone: with several factors each takes roots and angles."""
        return 1 if len(self.forms) == 1 else 6 * len(self.forms)

    @property
    def reach(self) -> float:
        """The score up to which :meth:`rounding` holds."""
        return min(form.reach for form in self.forms) if len(self.forms) > 1 else inf
