"""The contract of a manifold: points in an ambient vector space, and the maps between points and tangent vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from inspect import signature
from operator import index
from typing import Any

import torch
from torch import Tensor, nn

from curvi._named import Named


class Manifold(Named, nn.Module, ABC, argument="manifold"):
    """A complete Riemannian manifold whose points are vectors ``(..., ambient_dim)``.

    A tangent vector at ``x`` is a vector ``(..., ambient_dim)`` too; *tangent coordinates* at the origin are the
    ``(..., dim)`` numbers of an orthonormal basis there. All methods broadcast over the leading dimensions, keep dtype
    and device, and have finite gradients, coincident points included.

    Tangent coordinates, distances and :meth:`log_det_exp` are in units of length. A tangent vector elsewhere is the
    velocity of a point, as the numbers of the point change; how long it is, the manifold says.

    Attributes
    ----------
    dim
        Intrinsic dimension, at least 1.
    ambient_dim
        How many numbers a point has.
    """

    dim: int
    ambient_dim: int

    @property
    @abstractmethod
    def origin(self) -> Tensor:
        """The point ``(ambient_dim,)`` that tangent coordinates refer to."""

    @abstractmethod
    def project(self, x: Tensor) -> Tensor:
        """The point of the manifold that belongs to any vector ``x (..., ambient_dim)``."""

    @abstractmethod
    def exp(self, x: Tensor, u: Tensor) -> Tensor:
        """Where the geodesic that leaves ``x`` with velocity ``u`` is at time 1, ``(..., ambient_dim)``."""

    @abstractmethod
    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """The shortest tangent vector at ``x`` that :meth:`exp` takes to ``y``, ``(..., ambient_dim)``."""

    @abstractmethod
    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """The tangent vector ``u`` at ``x``, carried to ``y`` in parallel along the geodesic, same shape."""

    @abstractmethod
    def exp0(self, v: Tensor) -> Tensor:
        """The point with tangent coordinates ``v (..., dim)`` at the origin, ``(..., ambient_dim)``."""

    @abstractmethod
    def log0(self, y: Tensor) -> Tensor:
        """The tangent coordinates at the origin of points ``y (..., ambient_dim)``, ``(..., dim)``."""

    @abstractmethod
    def dist(self, x: Tensor, y: Tensor) -> Tensor:
        """Geodesic distance, shape ``(...)``; its gradient at coincident points is 0."""

    @abstractmethod
    def geodesic(self, x: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        """The point ``(..., ambient_dim)`` at time ``t`` on the shortest path from ``x`` (time 0) to ``y`` (time 1).

        ``t`` is a number, or a tensor ``(...)`` that broadcasts against the batch shape of the points: for two single
        points, ``t (n,)`` gives a path ``(n, ambient_dim)``.
        """

    @abstractmethod
    def log_det_exp(self, x: Tensor, u: Tensor) -> Tensor:
        """By how much :meth:`exp` at ``x`` stretches volume near ``u``: the logarithm, shape ``(...)``."""

    @abstractmethod
    def mean(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """The Frechet mean ``(ambient_dim,)`` of points ``x (n, ambient_dim)``: the least mean squared distance.

        ``weights (n,)`` are at least 0 and count relative to their sum. No gradient flows through it.
        """

    @abstractmethod
    def contains(self, x: Tensor, atol: float = 1e-5) -> tuple[bool, str]:
        """Whether all points ``x (..., ambient_dim)`` lie on the manifold up to ``atol``, and if not, why."""

    @abstractmethod
    def config(self) -> dict[str, object]:
        """The manifold as plain values, which :func:`from_config` turns back into it."""

    def __repr__(self) -> str:
        return _described(self.config())


def from_config(config: Mapping[str, Any]) -> Manifold:
    """The manifold that :meth:`Manifold.config` described.

    Parameters
    ----------
    config
        The ``"name"`` of the manifold and the arguments of its constructor, as plain values or as the numpy scalars
        that an ``.h5ad`` file gives back. An argument that is itself a mapping with a name is a manifold; one with the
        keys ``"0"``, ``"1"``, ... is a list of them (files of AnnData hold no lists of mappings).

    Raises
    ------
    ValueError
        If there is no name, or an unknown one.

    Examples
    --------
    >>> from_config({"name": "sphere", "dim": 2})
    Sphere(dim=2)
    """
    if "name" not in config:
        raise ValueError(
            f"`config` has the keys {sorted(config)}; a manifold's needs 'name'. Write it with `.config()`."
        )
    arguments = {key: _value(value) for key, value in config.items() if key != "name"}
    return Manifold.named(str(config["name"]))(**arguments)


def _value(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if "name" in value:
        return from_config(value)
    return [_value(value[key]) for key in sorted(value, key=int)]


def _described(config: Mapping[str, Any]) -> str:
    """A configuration as the call that makes the manifold, without what the call need not say."""
    if "name" not in config:
        return f"[{', '.join(_described(config[key]) for key in sorted(config, key=int))}]"
    made = Manifold.named(str(config["name"]))
    defaults = {key: argument.default for key, argument in signature(made).parameters.items()}
    arguments = [
        f"{key}={_described(value) if isinstance(value, Mapping) else repr(value)}"
        for key, value in config.items()
        if key != "name" and value != defaults.get(key)
    ]
    return f"{made.__name__}({', '.join(arguments)})"


def checked_dim(dim: int) -> int:
    """``dim`` as an ``int``, or a ``ValueError`` where it is below 1."""
    if index(dim) < 1:
        raise ValueError(f"`dim` is {dim}; the intrinsic dimension of a manifold must be at least 1.")
    return index(dim)


def as_times(t: Tensor | float, x: Tensor) -> Tensor:
    """Times on a path as a column ``(..., 1)`` in the dtype and on the device of points ``x``."""
    return torch.as_tensor(t, dtype=x.dtype, device=x.device)[..., None]


def checked_weights(x: Tensor, weights: Tensor | None) -> Tensor:
    """Weights ``(n,)`` of points ``x (n, ambient_dim)`` that sum to 1, in the dtype of ``x``."""
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"`x` has shape {tuple(x.shape)}; a mean needs (n, ambient_dim) with n at least 1.")
    if weights is None:
        return torch.full((len(x),), 1.0 / len(x), dtype=x.dtype, device=x.device)
    weights = torch.as_tensor(weights, dtype=x.dtype, device=x.device)
    if weights.shape != x.shape[:1]:
        raise ValueError(f"`weights` has shape {tuple(weights.shape)}; expected one weight a point, ({len(x)},).")
    if not bool((weights >= 0).all()) or not bool(weights.sum() > 0):
        raise ValueError("`weights` must be at least 0, without nan, and not all 0.")
    return weights / weights.sum()


def contains_finite(x: Tensor, ambient_dim: int) -> tuple[bool, str]:
    """Whether ``x`` has the shape ``(..., ambient_dim)`` and finite entries, and if not, why."""
    if x.ndim == 0 or x.shape[-1] != ambient_dim:
        return False, f"points have shape {tuple(x.shape)}; expected (..., {ambient_dim})."
    if not bool(torch.isfinite(x).all()):
        return False, "points have entries that are nan or infinite."
    return True, ""
