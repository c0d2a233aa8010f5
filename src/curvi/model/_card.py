"""A model card: a page beside a saved model that says what it is, what it was trained on and how to load it."""

from __future__ import annotations

import json
import platform
import re
from importlib.metadata import version
from inspect import Parameter, signature
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scvi.data._utils import _get_adata_minify_type
from torch import nn

from curvi import pl
from curvi.data import as_keys, value_blocks
from curvi.model._registration import RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike

_PAGE, _PICTURE, _HUB = "README.md", "training.png", "_scvi_required_metadata.json"
_TAGS = ("biology", "genomics", "single-cell", "variational-autoencoder")
_MOST_CATEGORIES = 40
_CURVES = {
    "ELBO, training cells": "elbo_train",
    "ELBO, validation cells": "elbo_validation",
    "KL divergence, training cells": "kl_local_train",
    "KL divergence, validation cells": "kl_local_validation",
}


class CardMixin(RegisteredModel):
    """The model card of :class:`curvi.CurviVAE`."""

    def write_card(
        self,
        dir_path: str | PathLike[str],
        *,
        description: str | None = None,
        scores: Mapping[str, float] | None = None,
        license: str | None = None,
        tags: Sequence[str] = (),
        overwrite: bool = False,
    ) -> Path:
        """Write a model card into the folder of a saved model: ``README.md`` as the Hugging Face Hub shows it.

        It says how to load the model, its setup, parts, data and training, with the curves as ``training.png``. The
        names of all batch categories are in it. A third file lets :class:`scvi.hub.HubModel` find the class.

        Parameters
        ----------
        dir_path
            The folder that :meth:`save` wrote the model into, without a prefix.
        description
            What the model is for, in Markdown.
        scores
            Figures to show, by name, such as those of :mod:`curvi.metrics`.
        license
            The licence of the model as the Hub names it, such as ``"cc-by-4.0"``.
        tags
            Words to find the model by, besides those of its kind.
        overwrite
            Whether to replace a ``README.md`` that is no model card of this package.

        Returns
        -------
        The path of the card.

        Raises
        ------
        FileNotFoundError
            If there is no model in the folder.
        FileExistsError
            If there is a ``README.md`` of another kind and ``overwrite`` is False.
        TypeError
            If a score is not a number.

        Examples
        --------
        >>> import tempfile
        >>> import curvi
        >>> adata = curvi.datasets.synthetic(n_obs=100, n_vars=20, levels={"patient": 2})
        >>> curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
        >>> model = curvi.CurviVAE(adata)
        >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(folder, overwrite=True)
        ...     card = model.write_card(folder, scores={"label accuracy": 0.93}).read_text()
        >>> "| label accuracy | 0.93 |" in card
        True
        """
        folder = Path(dir_path)
        if not (folder / "model.pt").is_file():
            raise FileNotFoundError(
                f"`dir_path` is {str(folder)!r}, where there is no file 'model.pt'; save the model there first, "
                "without a prefix."
            )
        page = folder / _PAGE
        if not overwrite and page.exists() and "\nlibrary_name: curvi\n" not in page.read_text(encoding="utf-8"):
            raise FileExistsError(
                f"{str(page)!r} is there already and is no model card of curvi; move it, or pass `overwrite=True`."
            )
        values = [(name, _number(name, value)) for name, value in (scores or {}).items()]
        sections = [
            _front_matter(license, [*_TAGS, self.module.latent.name, self.module.likelihood.name, *tags]),
            f"# {type(self).__name__} with the latent space {_escaped(self.module.latent.name)}",
            description or "",
            "## How to load it\n\nIn the folder above that of the model, with curvi installed:",
            self._loading(folder),
            "## Setup and architecture",
            _fenced(f"{self._call('setup_anndata', 'adata')}\nmodel = {self._call('', 'adata')}"),
            _table(["part", "what", "parameters"], self._parts()),
            "## Data",
            _table(["", ""], self._data_facts()),
            *self._categories(),
            "## Training",
            *self._training(folder),
            *(["## Scores", _table(["score", "value"], values)] if values else []),
            "## Versions\n\nThose that the card was written with:",
            _table(["package", "version"], [*_versions().items()]),
        ]
        page.write_text("\n\n".join(section for section in sections if section) + "\n", encoding="utf-8")
        found_by = {
            "scvi_version": self.registry["scvi_version"],
            "anndata_version": version("anndata"),
            "model_cls_name": type(self).__name__,
            "training_data_url": None,
            "model_parent_module": self._public_module(),
        }
        (folder / _HUB).write_text(json.dumps(found_by, indent=4), encoding="utf-8")
        return page

    def _public_module(self) -> str:
        return type(self).__module__.split("._")[0]

    def _loading(self, folder: Path) -> str:
        """Code that loads the model and embeds cells."""
        name, where = type(self).__name__, folder.resolve().name
        start = f"from {self._public_module()} import {name}\n\n"
        if (folder / "adata.h5ad").is_file():
            return _fenced(
                f"{start}model = {name}.load({where!r})  # with the cells that are saved beside it\n"
                'model.adata.obsm["X_curvi"] = model.get_latent_representation()'
            )
        needed = f"  # with the columns {', '.join(map(repr, self._levels.names))}" if self._levels.names else ""
        return _fenced(
            f'import anndata\n{start}adata = anndata.read_h5ad("cells.h5ad"){needed}\n'
            f"{name}.prepare_query_anndata(adata, {where!r})  # brings them to the genes of the model\n"
            f"model = {name}.load({where!r}, adata=False)\n"
            'adata.obsm["X_curvi"] = model.get_latent_representation(adata)'
        )

    def _call(self, method: str, *given: str) -> str:
        """The call of the constructor or of the setup that made this model, without what is the default."""
        if method:
            arguments, known = self.registry["setup_args"], signature(getattr(type(self), method)).parameters
        else:
            # The host keeps arguments of `**kwargs` apart, by the name of that parameter.
            kept = self.init_params_
            arguments = {**kept["non_kwargs"], **{k: v for more in kept["kwargs"].values() for k, v in more.items()}}
            known = signature(type(self)).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in arguments.items()
            if value != (known[name].default if name in known else Parameter.empty)
        ]
        one_line = f"{type(self).__name__}{'.' if method else ''}{method}({', '.join([*given, *changed])})"
        if len(one_line) <= 100:
            return one_line
        return one_line[: one_line.index("(")] + "".join(
            ["(\n", *(f"    {argument},\n" for argument in [*given, *changed]), ")"]
        )

    def _parts(self) -> list[tuple[str, str, str]]:
        """The parts of the model with the numbers that training moves."""
        module, network = self.module, self.init_params_["non_kwargs"]["network"]
        rows: list[tuple[str, str, nn.Module]] = [
            ("latent space", f"{module.latent.name}: {_described(module.latent.manifold.config())}", module.latent),
            ("encoder", f"{network}, {_dense_layers(module.encoder)}", module.encoder),
            ("decoder", f"{network}, {_dense_layers(module.decoder)}", module.decoder),
            ("likelihood", f"{module.likelihood.name} of {module.likelihood.n_features} features", module.likelihood),
            ("all", "", module),
        ]
        return [(name, what, f"{sum(p.numel() for p in part.parameters()):,}") for name, what, part in rows]

    def _data_facts(self) -> list[tuple[str, str]]:
        setup, stats = self.registry["setup_args"], self.summary_stats
        rows = [
            ("cells", f"{stats['n_cells']:,}"),
            ("genes", f"{stats['n_vars']:,}"),
            ("matrix", "X" if setup["layer"] is None else f"layer {setup['layer']}"),
            ("batch levels", _listed(f"{name} ({len(known)})" for name, known in self._levels.categories.items())),
            ("continuous covariates", _listed(as_keys(setup["continuous_covariate_keys"]))),
            ("cell types", setup["labels_key"] or "none"),
            ("size factor", setup["size_factor_key"] or "none but the data's own"),
        ]
        counted = self.module.likelihood.observations.are_counts
        # Minified data have no counts left.
        if counted and self.adata is not None and _get_adata_minify_type(self.adata) is None:
            totals = [np.asarray(block.sum(1)).ravel() for _, block in value_blocks(self.adata, setup["layer"])]
            rows.append(("median of the counts of a cell", f"{np.median(np.concatenate(totals)):,g}"))
        return rows

    def _categories(self) -> Iterable[str]:
        """A table of the categories of each batch level and of the labels, with their cells where there are data."""
        named: dict[str, Sequence[Any]] = dict(self._levels.categories)
        label = self.registry["setup_args"]["labels_key"]
        if self.adata is not None and label is not None:
            named[label] = self.adata.obs[label].unique().tolist()
        for name, known in named.items():
            if self.adata is None:
                rows = [(str(category), "") for category in known]
            else:
                counts = self.adata.obs[name].value_counts()
                found = sorted(((int(counts.get(category, 0)), category) for category in known), key=lambda r: -r[0])
                rows = [(str(category), f"{n:,}") for n, category in found]
            left = rows[_MOST_CATEGORIES:]
            yield f"### {_escaped(name)}"
            yield _table(["category", "cells"], rows[:_MOST_CATEGORIES])
            if left:
                yield f"And {len(left)} more."

    def _training(self, folder: Path) -> Iterable[str]:
        """The last figures of the training, and its curves in a picture."""
        curves = {
            name.removesuffix("_epoch"): frame.iloc[:, 0].astype(float).dropna()
            for name, frame in (self.history or {}).items()
        }
        epochs = curves.get("elbo_train")
        if epochs is None or not len(epochs):
            yield "The model was saved without the history of a training."
            return
        rows = [("epochs", str(len(epochs)))]
        for what, name in _CURVES.items():
            if len(curve := curves.get(name, ())):
                # The trainer minimises the negative ELBO.
                value = -curve.iloc[-1] if name.startswith("elbo") else curve.iloc[-1]
                rows.append((f"{what}, last epoch", f"{value:.2f} nats a cell"))
        for what, cells in {"training": self.train_indices, "validation": self.validation_indices}.items():
            if cells is not None:
                rows.append((f"{what} cells", f"{len(cells):,}"))
        yield _table(["", ""], rows)
        pl.history(self, show=False, save=folder / _PICTURE)
        yield f"![Losses by the epoch]({_PICTURE})"


def _described(config: Mapping[str, Any]) -> str:
    """A manifold in words, from its plain values."""
    if "parts" in config:
        return " × ".join(_described(part) for part in config["parts"].values())
    learned = " (learned)" if config.get("learn_curvature") else ""
    curvature = f", curvature parameter {config['curvature']:.4g}{learned}" if "curvature" in config else ""
    return f"{config['name']} of dimension {config['dim']}{curvature}"


def _dense_layers(network: nn.Module) -> str:
    widths = [part.out_features for part in network.modules() if isinstance(part, nn.Linear)]
    return f"dense layers of {_listed(widths)} units"


def _listed(items: Iterable[Any]) -> str:
    return ", ".join(map(str, items)) or "none"


def _number(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`scores` has {value!r} for {name!r}; expected a number.")
    return f"{value:.4g}"


def _front_matter(license: str | None, tags: Iterable[str]) -> str:
    """The head that the Hub reads; JSON strings are YAML strings."""
    quoted = [json.dumps(str(tag), ensure_ascii=False) for tag in dict.fromkeys(tags)]
    lines = ["---", "library_name: curvi", *([] if license is None else [f"license: {json.dumps(license)}"]), "tags:"]
    return "\n".join([*lines, *(f"- {tag}" for tag in quoted), "---"])


def _versions() -> dict[str, str]:
    packages = ("curvi", "scvi-tools", "torch", "lightning", "anndata", "numpy")
    return {"Python": platform.python_version(), **{package: version(package) for package in packages}}


def _escaped(text: Any) -> str:
    r"""A text as itself in a line of Markdown: what would be markup has a ``\`` before it, lines are joined."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    # An underscore within a word is none.
    return re.sub(r"([\\`*\[\]<>|~&#$!]|\b_|_\b)", r"\\\1", line)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _fenced(code: str) -> str:
    """A block of Python, in a fence that is longer than any in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", code)), default=0))
    return f"{fence}python\n{code}\n{fence}"
