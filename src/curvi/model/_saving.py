"""Saved models: onto any device, and across versions."""

from __future__ import annotations

import logging
import re
import warnings
from contextlib import contextmanager
from importlib.metadata import version
from inspect import signature
from typing import TYPE_CHECKING, Any, Self

import torch
from scvi.data import _download
from scvi.model._utils import parse_device_args
from scvi.model.base._save_load import _initialize_model, _load_saved_files

from curvi.data import check_genes
from curvi.model._registration import RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike

    from anndata import AnnData
    from torch import Tensor, nn

VERSION = version("curvi")


class SavingMixin(RegisteredModel):
    """The :meth:`load` of :class:`curvi.CurviVAE`."""

    @classmethod
    def load(
        cls,
        dir_path: str | PathLike[str],
        adata: AnnData | bool | None = None,
        accelerator: str = "auto",
        device: int | str = "auto",
        prefix: str | None = None,
        backup_url: str | None = None,
        allowed_classes_names_list: Sequence[str] | None = None,
        *,
        map_location: str | torch.device | None = None,
    ) -> Self:
        """Load a model that :meth:`save` wrote.

        Parameters
        ----------
        dir_path
            The folder.
        adata
            Data with the model's genes in the model's order, minified or not, whichever the model had when it was
            saved; None takes the data saved with the model, False none.
        accelerator, device
            Where the model lives from now on, in the host's words: ``"cpu"``, or ``"gpu"`` and the number of one; by
            default wherever it is fastest.
        prefix
            What the names of the files begin with.
        backup_url
            Where to download the files from if they are not there.
        allowed_classes_names_list
            Names of other classes whose models are taken.
        map_location
            The same as ``accelerator`` and ``device`` in the words of torch: ``"cpu"``, ``"cuda"``, ``"cuda:1"``,
            ``"mps"`` or a ``torch.device``.

        Raises
        ------
        ValueError
            If both ways of naming a device are used, or there is no such device here; if the model was written by
            another class, or by a newer version with arguments that this one does not know; if the genes of ``adata``
            are not those of the model, a batch level has categories that it does not know, or minified data are those
            of another model.

        Warns
        -----
        UserWarning
            If a newer version wrote the model.

        Examples
        --------
        >>> import tempfile, curvi
        >>> adata = curvi.datasets.synthetic(n_obs=100, n_vars=20, levels={"patient": 2})
        >>> curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
        >>> model = curvi.CurviVAE(adata)
        >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(folder, overwrite=True, save_anndata=True)
        ...     again = curvi.CurviVAE.load(folder, map_location="cpu")
        >>> bool((again.get_latent_representation() == model.get_latent_representation()).all())
        True
        """
        folder, target = str(dir_path), _device(map_location, accelerator, device)
        with _unsaid():
            attributes, _, state, saved = _load_saved_files(
                folder, adata is None, map_location=target, prefix=prefix, backup_url=backup_url
            )
        adata = adata if saved is None else saved
        registry = attributes.pop("registry_")
        written_by = registry.get("model_name", cls.__name__)
        if written_by not in (cls.__name__, *(allowed_classes_names_list or ())):
            raise ValueError(f"{folder!r} holds a model of the class {written_by!r}; this is {cls.__name__!r}.")
        check_saved(cls, attributes, folder)
        has_data = adata is not None and adata is not False
        if has_data:
            setup, name = registry["setup_args"], registry.get("setup_method_name", "setup_anndata")
            check_genes(adata, registry)
            getattr(cls, name)(adata, source_registry=registry, **setup)
        model: Self = _initialize_model(cls, adata if has_data else None, registry, attributes, None)
        state.pop("pyro_param_store", None)
        model.module.load_state_dict(completed(state, model.module, folder))
        model.to_device(target)
        model.module.eval()
        if has_data:
            model._validate_anndata(adata)
            model._check_posteriors(adata)
        return model


def check_saved(cls: type, attributes: dict[str, Any], folder: str) -> None:
    """Warn of a model that a newer version wrote, and raise if it was built with arguments that are not known here.

    Takes the version out of ``attributes``: a model that is saved again is written by this one.
    """
    written = attributes.pop("curvi_version_", None)
    if written is not None and _numbers(written) > _numbers(VERSION):
        warnings.warn(
            f"the model in {folder!r} was written by curvi {written}, which is newer than this one, {VERSION}; what it "
            "says may differ from what it said there. Update curvi.",
            UserWarning,
            stacklevel=3,
        )
    known = signature(cls).parameters
    foreign = [name for name in attributes["init_params_"]["non_kwargs"] if name not in known]
    if foreign:
        raise ValueError(
            f"the model in {folder!r} was built with {', '.join(map(repr, foreign))}, which {cls.__name__} of curvi "
            f"{VERSION} does not take; it was written by curvi {written or 'of unknown version'}. Update curvi."
        )


def completed(state: dict[str, Tensor], module: nn.Module, folder: str) -> dict[str, Tensor]:
    """A saved state with the buffers of the module that did not exist when it was saved.

    Raises
    ------
    ValueError
        If weights are missing, or there are some that the module does not have.
    """
    buffers = {name: value for name, value in module.named_buffers() if name in module.state_dict()}
    whole = buffers | state
    missing, foreign = sorted(module.state_dict().keys() - whole), sorted(whole.keys() - module.state_dict())
    if missing or foreign:
        what = f"lacks {missing[0]!r}" if missing else f"has {foreign[0]!r}, which the model has not"
        raise ValueError(
            f"the weights in {folder!r} are not those of the model they were saved with: the file {what} "
            f"({len(missing)} missing, {len(foreign)} unknown). It was written by another version; see its changelog."
        )
    return whole


@contextmanager
def _unsaid() -> Iterator[None]:
    """The host calls a file that is where it should be downloaded already; that is left out."""
    logger = logging.getLogger(_download.__name__)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _device(map_location: str | torch.device | None, accelerator: str, device: int | str) -> torch.device:
    if map_location is None:
        _, _, found = parse_device_args(
            accelerator=accelerator, devices=device, return_device="torch", validate_single_device=True
        )
        return found
    if accelerator != "auto" or device != "auto":
        raise ValueError(
            f"`map_location` is {map_location!r}, but `accelerator` or `device` was given too; name the device once."
        )
    try:
        target = torch.device(map_location)
        # What is not there says so here.
        torch.empty(0, device=target)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"`map_location` is {str(map_location)!r}, and there is no such device here; pass 'cpu', or leave it out."
        ) from error
    return target


def _numbers(written: str) -> tuple[int, ...]:
    """The numbers at the beginning of a version, for comparison."""
    found = re.match(r"\d+(\.\d+)*", written)
    return tuple(int(part) for part in found.group().split(".")) if found else ()
