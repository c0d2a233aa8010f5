"""Curved variational inference: spherical, hyperbolic and Euclidean latent spaces for single-cell data."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curvi import (
        data,
        datasets,
        distributions,
        explore,
        latent,
        likelihoods,
        manifolds,
        metrics,
        model,
        nn,
        pipeline,
        pl,
        presets,
    )
    from curvi.model import CurviVAE

__version__ = version("curvi")

__all__ = [
    "CurviVAE",
    "data",
    "datasets",
    "distributions",
    "explore",
    "latent",
    "likelihoods",
    "manifolds",
    "metrics",
    "model",
    "nn",
    "pipeline",
    "pl",
    "presets",
]


def __getattr__(name: str) -> Any:
    # Parts are imported when they are first asked for: the densities need no single-cell library, the command line's
    # help needs none of it.
    if name not in __all__:
        raise AttributeError(f"module 'curvi' has no attribute {name!r}")
    return import_module("curvi.model").CurviVAE if name == "CurviVAE" else import_module(f"curvi.{name}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
