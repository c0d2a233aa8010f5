"""The wrapped normal distribution of hyperbolic space, exact at every radius."""

from __future__ import annotations

import warnings
import weakref
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints, register_kl

from curvi.distributions._arrays import broadcast, single
from curvi.distributions._carried import CarriedDivergence, CarriedLogDensity, CarriedPoint
from curvi.distributions._constraints import OnManifold
from curvi.distributions._drawn import Drawn, is_variable, versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curvi.manifolds import Hyperbolic

# From this radius on, times sqrt(c), float32 cannot tell points apart well enough to give their tangent vectors.
_RADIUS = 7.0


class WrappedNormal(Distribution):
    r"""A Gaussian in the tangent space at a point of hyperbolic space, wrapped onto the space by geodesics.

    With :math:`v \sim \mathcal{N}(0, \mathrm{diag}(\sigma^2))` in the tangent space at the origin, carried in parallel
    to the location :math:`\mu`, the point is :math:`z = \exp_\mu(v)`, and with respect to the volume of hyperbolic
    space of curvature :math:`-c` and dimension :math:`n`

    .. math::
        \log q(z) = \log \mathcal{N}(v; 0, \mathrm{diag}(\sigma^2))
        - (n - 1) \log \frac{\sinh(\sqrt{c} \lVert v \rVert)}{\sqrt{c} \lVert v \rVert}

    :cite:p:`Nagano2019,Mathieu2019`. The law, and so the density, is the same in every chart.

    A draw remembers the tangent vector that it was made from. Its density under the distribution that it comes from,
    and under others on the same manifold, is computed from that and exact at every radius, as are divergences. For
    points from elsewhere the tangent vector has to be found, which in float32 loses everything beyond a radius of about
    :math:`7 / \sqrt{c}`; the first time that it happens there is a warning (on other devices than the CPU only where
    arguments are checked, for it has to wait for the numbers). A draw that was changed in place, or turned into a leaf
    to differentiate by, counts as a point from elsewhere.

    The divergence between two of them, ``torch.distributions.kl_divergence(q, p)``, has no closed form. It is estimated
    without bias from the last draw of ``q`` (the mean over its sample axes; from a draw of its own where there is
    none), with the closed parts closed, so that it is exact where both lie at the origin and its noise is small for a
    concentrated ``q`` and a ``p`` at the origin.

    ``loc`` is the mode, and by symmetry the Frechet mean. The entropy has no closed form, and the mean in the sense of
    torch is not on the manifold: neither is provided.

    Parameters
    ----------
    manifold
        Hyperbolic space, :class:`~curvi.manifolds.Lorentz` or :class:`~curvi.manifolds.Poincare`.
    loc
        Location :math:`\mu`, points ``(..., ambient_dim)``. Where it comes from tangent coordinates, use
        :meth:`from_tangent`, which inverts nothing.
    scale
        Standard deviations :math:`\sigma > 0` along the axes of the tangent space, ``(..., dim)``, in units of length.
    validate_args
        Whether arguments and values are checked.

    Raises
    ------
    ValueError
        If the last axis of ``loc`` or ``scale`` has the wrong size, or, where arguments are checked, ``loc`` is not on
        the manifold or ``scale`` is not positive.

    Examples
    --------
    >>> from curvi.manifolds import Lorentz
    >>> space = Lorentz(2)
    >>> q = WrappedNormal.from_tangent(space, torch.tensor([30.0, 0.0]), torch.tensor([0.5, 0.5]))
    >>> z = q.rsample((4,))
    >>> z.shape, q.log_prob(z).shape
    (torch.Size([4, 3]), torch.Size([4]))
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "loc": constraints.dependent(is_discrete=False, event_dim=1),
        "scale": constraints.independent(constraints.positive, 1),
    }
    has_rsample = True

    def __init__(self, manifold: Hyperbolic, loc: Tensor, scale: Tensor, *, validate_args: bool | None = None) -> None:
        if loc.ndim < 1 or loc.shape[-1] != manifold.ambient_dim:
            raise ValueError(
                f"`loc` has shape {tuple(loc.shape)}; points of {manifold!r} have {manifold.ambient_dim} "
                "numbers, (..., ambient_dim). For tangent coordinates use `WrappedNormal.from_tangent`."
            )
        if Distribution._validate_args if validate_args is None else validate_args:
            inside, reason = manifold.contains(loc.detach())
            if not inside:
                raise ValueError(f"`loc` does not lie on {manifold!r}: {reason}")
        self._set(manifold, manifold.log0(loc), scale, validate_args)

    @classmethod
    def from_tangent(
        cls, manifold: Hyperbolic, mean: Tensor, scale: Tensor, *, validate_args: bool | None = None
    ) -> WrappedNormal:
        """The distribution whose location has the tangent coordinates ``mean (..., dim)`` at the origin.

        Parameters
        ----------
        manifold, scale, validate_args
            As for the class.
        mean
            Tangent coordinates at the origin, ``(..., dim)``, in units of length.
        """
        if mean.ndim < 1 or mean.shape[-1] != manifold.dim:
            raise ValueError(
                f"`mean` has shape {tuple(mean.shape)}; tangent coordinates of {manifold!r} have "
                f"{manifold.dim} numbers, (..., dim)."
            )
        new = cls.__new__(cls)
        new._set(manifold, mean, scale, validate_args)
        return new

    @classmethod
    def at_origin(cls, manifold: Hyperbolic, scale: Tensor, *, validate_args: bool | None = None) -> WrappedNormal:
        """The distribution around the origin of the manifold, which priors are.

        A divergence from it costs less than from :meth:`from_tangent` of zeros, and has less noise.

        Parameters
        ----------
        manifold, scale, validate_args
            As for the class.
        """
        new = cls.__new__(cls)
        new._set(manifold, None, scale, validate_args)
        return new

    def _set(self, manifold: Hyperbolic, mean: Tensor | None, scale: Tensor, validate_args: bool | None) -> None:
        if scale.ndim < 1 or scale.shape[-1] != manifold.dim:
            raise ValueError(
                f"`scale` has shape {tuple(scale.shape)}; expected one standard deviation an axis of the "
                f"tangent space, (..., {manifold.dim})."
            )
        self._around_origin = mean is None
        if mean is None:
            mean = torch.zeros_like(scale)
        elif mean.dtype != scale.dtype:
            dtype = torch.promote_types(mean.dtype, scale.dtype)
            mean, scale = mean.to(dtype), scale.to(dtype)
        shape = broadcast(mean.shape, scale.shape)
        self.manifold = manifold
        self.tangent_loc = mean if mean.shape == shape else mean.expand(shape)
        self.scale = scale if scale.shape == shape else scale.expand(shape)
        self._last: _Remembered | None = None
        Distribution.__init__(self, shape[:-1], Size((manifold.ambient_dim,)), validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: WrappedNormal | None = None) -> WrappedNormal:
        """The same distribution, its parameters broadcast to another batch shape; it remembers no draw."""
        new = self._get_checked_instance(WrappedNormal, _instance)
        shape = Size(batch_shape)
        new.manifold, new._around_origin, new._last = self.manifold, self._around_origin, None
        new.tangent_loc = self.tangent_loc.expand(shape + self.tangent_loc.shape[-1:])
        new.scale = self.scale.expand(shape + self.scale.shape[-1:])
        Distribution.__init__(new, shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def __getstate__(self) -> dict[str, Any]:
        # A copy has not drawn what this one remembers.
        return {**self.__dict__, "_last": None}

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self) -> constraints.Constraint:
        """Points of the manifold."""
        return OnManifold(self.manifold)

    @property
    def loc(self) -> Tensor:
        """The location, points ``(..., ambient_dim)``."""
        return self.manifold.exp0(self.tangent_loc)

    @property
    def mode(self) -> Tensor:
        """The location, points ``(..., ambient_dim)``; the Frechet mean too."""
        return self.loc

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draws ``(*sample_shape, ..., ambient_dim)``, differentiable in location, scale and a learned curvature."""
        noise = self._noise(Size(sample_shape))
        tangent = CarriedPoint.apply(self.tangent_loc, self.scale, self.manifold.curvature, noise)
        z = self.manifold.exp0(tangent)
        self._last = _Remembered(_reference(z), self._state(z), noise, tangent)
        _ORIGINS.remember(z, _Origin(weakref.ref(self.manifold), tangent))
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of points ``value (..., ambient_dim)`` with respect to the hyperbolic volume, shape ``(...)``."""
        last = self._last
        if last is not None and _refers(last.points, value) and last.state == self._state(value):
            v = self.scale * last.noise.to(self.scale.dtype)
        else:
            t = known_coordinates(self.manifold, value)
            if t is None:
                t = self._found(value)
            v = t if self._around_origin else self.manifold.translate0(-self.tangent_loc, t)
        return CarriedLogDensity.apply(v, self.scale, self.manifold.curvature)

    def _found(self, value: Tensor) -> Tensor:
        """Tangent coordinates at the origin of points from elsewhere, ``(..., dim)``."""
        if self._validate_args:
            self._validate_sample(value)
        t = self.manifold.log0(value)
        looks = self._validate_args or value.device.type == "cpu"
        if looks and value.dtype != torch.float64 and not torch.compiler.is_compiling():
            _warn_of_far_points(t.detach(), self.manifold.curvature.detach())
        return t

    def _noise(self, sample_shape: Size) -> Tensor:
        shape, like = sample_shape + self.scale.shape, self.scale
        return torch.randn(shape, dtype=single(like.dtype), device=like.device)

    def _state(self, *tensors: Tensor) -> tuple[int | None, ...]:
        """Changes whenever these tensors or the parameters do."""
        if torch.compiler.is_compiling():
            return ()
        learned = self.manifold.parameters() if self.manifold.curvature.requires_grad else ()
        return versions(*tensors, self.tangent_loc, self.scale, *learned)


class _Remembered(NamedTuple):
    """The last draw of a distribution."""

    points: Any
    """Refers to the points, without keeping them."""
    state: tuple[int | None, ...]
    """What the points and the parameters were at that time."""
    noise: Tensor
    """The tangent vectors in units of the scale, ``(*sample_shape, ..., dim)``."""
    tangent: Tensor
    """The coordinates of the points at the origin, with their gradient, ``(*sample_shape, ..., dim)``."""


class _Origin(NamedTuple):
    """The tangent coordinates at the origin that points were made from, with their gradient."""

    manifold: Any
    """Refers to the manifold, without keeping it."""
    tangent: Tensor


_ORIGINS: Drawn[_Origin] = Drawn()


def tangent_coordinates(manifold: Hyperbolic, points: Tensor) -> Tensor:
    """Tangent coordinates at the origin, ``(..., dim)``; of draws of :class:`WrappedNormal` those they were made from.

    The same as ``manifold.log0(points)`` for all other points, and in graphs that are compiled; for draws it is exact
    at every radius in every chart, and its gradient does not pass through the points.

    Parameters
    ----------
    manifold
        The manifold of the points.
    points
        ``(..., ambient_dim)``.

    Examples
    --------
    >>> from curvi.manifolds import Poincare
    >>> space = Poincare(2)
    >>> z = WrappedNormal.from_tangent(space, torch.tensor([60.0, 0.0]), torch.full((2,), 1e-3)).sample()
    >>> tangent_coordinates(space, z).round(), bool(space.log0(z).norm() < 20)
    (tensor([60.,  0.]), True)
    """
    known = known_coordinates(manifold, points)
    return manifold.log0(points) if known is None else known


def known_coordinates(manifold: Hyperbolic, points: Tensor) -> Tensor | None:
    origin = _ORIGINS.recall(points)
    return None if origin is None or origin.manifold() is not manifold else origin.tangent


def _reference(points: Tensor) -> Any:
    return points if torch.compiler.is_compiling() else weakref.ref(points)


def _refers(reference: Any, points: Tensor) -> bool:
    return (reference() if isinstance(reference, weakref.ref) else reference) is points and not is_variable(points)


def _warn_of_far_points(t: Tensor, curvature: Tensor) -> None:
    global _warned
    if _warned or t.numel() == 0:
        return
    farthest = float(torch.linalg.vector_norm(t.float(), dim=-1).max() * curvature.sqrt())
    if farthest > _RADIUS:
        _warned = True
        warnings.warn(
            f"log_prob at points that no WrappedNormal drew, up to sqrt(c) d(origin, z) = {farthest:.3g} from the "
            f"origin: beyond {_RADIUS:g} float32 cannot tell points apart, and log-densities may be wrong. Evaluate "
            "draws as they come from rsample(), or compute in float64. (Said once.)",
            UserWarning,
            stacklevel=4,
        )


_warned = False


@register_kl(WrappedNormal, WrappedNormal)
def _wrapped_wrapped(q: WrappedNormal, p: WrappedNormal) -> Tensor:
    space = q.manifold
    if p.manifold is not space and p.manifold.config() != space.config():
        raise ValueError(f"a divergence needs two distributions on one space; got {space!r} and {p.manifold!r}.")
    curvature, last = space.curvature, q._last
    noise = q._noise(Size()) if last is None else last.noise
    if (
        last is not None
        and last.state[1:] == q._state()
        and (last.tangent.requires_grad or not torch.is_grad_enabled())
    ):
        t = last.tangent
    else:
        # The same draw, but of parameters that have changed since, or without the gradient that is wanted now.
        t = CarriedPoint.apply(q.tangent_loc, q.scale, curvature, noise)
    samples = noise.ndim - q.scale.ndim
    shape = broadcast(q.batch_shape, p.batch_shape)
    if p._around_origin and shape == q.batch_shape:
        kl = CarriedDivergence.apply(t, q.tangent_loc, q.scale, p.scale, curvature, noise)
    else:
        kl = CarriedLogDensity.apply(q.scale * noise.to(q.scale.dtype), q.scale, curvature)
        # The squares of the noise have a known mean.
        kl = kl + ((noise.square() - 1).sum(-1) / 2).to(kl.dtype)
        missing = (1,) * (len(shape) - len(q.batch_shape))
        kl, t = (x.reshape(noise.shape[:samples] + missing + x.shape[samples:]) for x in (kl, t))
        if not p._around_origin:
            t = space.translate0(-p.tangent_loc, t)
        kl = kl - CarriedLogDensity.apply(t, p.scale, curvature)
    return kl.mean(tuple(range(samples))) if samples else kl
