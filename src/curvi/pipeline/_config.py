"""One run as a value: what is read, which model is trained how, and what is written."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self, get_origin, get_type_hints

from curvi import presets
from curvi.pipeline._toml import to_toml


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A run from counts to embedding, and its two-way translation to a TOML file.

    What is ``None`` or empty is left to the model's own defaults; paths are relative to the working directory.

    Attributes
    ----------
    input
        The data: ``.h5ad``, ``.zarr``, 10x ``.h5``, or a 10x matrix folder.
    layer
        The layer that holds the data; ``.X`` by default.
    batch_key
        Columns of ``.obs``, the levels of the batch vector.
    labels_key
        A column of cell types; the model does not read it.
    size_factor_key
        A column of positive size factors.
    categorical_covariate_keys
        Further columns that are levels of the batch vector.
    continuous_covariate_keys
        Columns of numbers that shift the layers linearly.
    n_top_genes
        How many variable genes are kept for training, at least 1; all by default.
    preset
        The name of a dictionary of :mod:`curvi.presets`; what is given beside it goes before it.
    latent, n_latent, likelihood
        As in :class:`curvi.CurviVAE`.
    model
        Further arguments of :class:`curvi.CurviVAE`, passed on unchanged.
    train
        Arguments of :meth:`curvi.CurviVAE.train`, passed on unchanged.
    seed
        Of weights, minibatches, draws, the split into training and validation cells, and the clusters.
    key_added
        Key of ``.obsm`` for the embedding.
    concentration_key
        Column of ``.obs`` for the concentration of each cell's posterior, where the latent space has one.
    leiden_resolution
        Of the clusters that are written to ``.obs["leiden"]``; 0 for none.
    out
        The file to write, ``.h5ad`` or ``.zarr``: the data read, with embedding and clusters.
    model_dir
        The folder to save the model to, with this configuration beside it.
    overwrite
        Whether a model that is already in ``model_dir`` may be replaced.
    figures
        A folder for pictures of the embedding and of the course of training.

    Raises
    ------
    ValueError
        If a value is of another type or out of its range, the preset is unknown, or an argument is given twice.

    Examples
    --------
    >>> config = RunConfig(input="cells.h5ad", batch_key=("patient", "disease"), train={"max_epochs": 50})
    >>> print(config.to_toml(), end="")
    input = "cells.h5ad"
    batch_key = ["patient", "disease"]
    <BLANKLINE>
    [train]
    max_epochs = 50
    >>> RunConfig.from_toml(config.to_toml()) == config
    True
    """

    input: str | None = None
    layer: str | None = None
    batch_key: tuple[str, ...] = ()
    labels_key: str | None = None
    size_factor_key: str | None = None
    categorical_covariate_keys: tuple[str, ...] = ()
    continuous_covariate_keys: tuple[str, ...] = ()
    n_top_genes: int | None = None
    preset: str | None = None
    latent: str | None = None
    n_latent: int | None = None
    likelihood: str | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    key_added: str = "X_curvi"
    concentration_key: str | None = None
    leiden_resolution: float = 1.0
    out: str | None = None
    model_dir: str | None = None
    overwrite: bool = False
    figures: str | None = None

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for key in (declared.name for declared in fields(self)):
            object.__setattr__(self, key, _checked(key, getattr(self, key), hints[key]))
        if self.n_top_genes is not None and self.n_top_genes < 1:
            raise ValueError(f"`n_top_genes` is {self.n_top_genes}; it must be at least 1. Leave it out for all genes.")
        if not 0 <= self.leiden_resolution < float("inf"):
            raise ValueError(f"`leiden_resolution` is {self.leiden_resolution}; it must be positive, or 0 for none.")
        known = {name: value for name, value in vars(presets).items() if isinstance(value, dict) and name[0] != "_"}
        if self.preset is not None and self.preset not in known:
            raise ValueError(f"unknown preset {self.preset!r}; the known presets are {', '.join(map(repr, known))}.")
        twice = self._named_arguments().keys() & self.model.keys()
        if twice:
            raise ValueError(f"{_listed(sorted(twice))} is given both by itself and in `model`; give it once.")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """The configuration with these values by field name.

        Raises
        ------
        ValueError
            If a key is not a field; the message lists the fields.
        """
        known = [declared.name for declared in fields(cls)]
        unknown = [key for key in values if key not in known]
        if unknown:
            raise ValueError(
                f"the configuration has unknown keys {_listed(unknown)}; the known keys are {_listed(known)}. "
                "Arguments of the constructor belong into the table `model`, those of training into `train`."
            )
        return cls(**values)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """The configuration that a TOML document describes.

        Raises
        ------
        ValueError
            If the text is not TOML, or a key is unknown.
        """
        return cls.from_mapping(tomllib.loads(text))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """The configuration in a TOML file."""
        return cls.from_mapping(read_toml(path))

    def to_toml(self) -> str:
        """The configuration as a TOML document; what has its default value is left out."""
        given = {}
        for declared in fields(self):
            value = getattr(self, declared.name)
            default = {} if declared.name in ("model", "train") else declared.default
            if value != default:
                given[declared.name] = value
        return to_toml(given)

    def setup_arguments(self) -> dict[str, Any]:
        """The arguments of :meth:`curvi.CurviVAE.setup_anndata`."""
        return {
            "layer": self.layer,
            "batch_key": list(self.batch_key) or None,
            "labels_key": self.labels_key,
            "size_factor_key": self.size_factor_key,
            "categorical_covariate_keys": list(self.categorical_covariate_keys) or None,
            "continuous_covariate_keys": list(self.continuous_covariate_keys) or None,
        }

    def model_arguments(self) -> dict[str, Any]:
        """The arguments of :class:`curvi.CurviVAE`: those of the preset, and before them those given."""
        preset = getattr(presets, self.preset) if self.preset is not None else {}
        return {**preset, **self._named_arguments(), **self.model}

    def _named_arguments(self) -> dict[str, Any]:
        """The arguments of the model that have a field of their own, where given."""
        named = {"latent": self.latent, "n_latent": self.n_latent, "likelihood": self.likelihood}
        return {key: value for key, value in named.items() if value is not None}


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The values in a TOML file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not TOML.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no configuration file {str(file)!r}.")
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(file)!r} is not a TOML file: {error}.") from error


def _checked(key: str, value: Any, kind: Any) -> Any:
    """The value of a field in the form in which the field holds it."""
    if get_origin(kind) is tuple:
        items = (value,) if isinstance(value, str) else value
        if isinstance(items, list | tuple) and all(isinstance(item, str) for item in items):
            return tuple(items)
        raise ValueError(f"`{key}` is {value!r}; expected a string or a list of strings.")
    if get_origin(kind) is Mapping:
        if isinstance(value, Mapping):
            return dict(value)
        raise ValueError(f"`{key}` is {value!r}; expected a table of arguments.")
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # True is an integer to Python, but not to who writes it.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        wanted = str(getattr(kind, "__name__", kind)).removesuffix(" | None")
        raise ValueError(f"`{key}` is {value!r}; expected {_KINDS[wanted]}.")
    return value


_KINDS = {"str": "a string", "int": "an integer", "float": "a number", "bool": "true or false"}


def _listed(names: Any) -> str:
    """Names for a message."""
    return ", ".join(map(repr, names))
