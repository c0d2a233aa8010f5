"""Packages that only some pictures need."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def needed(module: str, purpose: str, extra: str) -> ModuleType:
    """A module of a package that curvi is not always installed with.

    Parameters
    ----------
    module
        Its name.
    purpose
        What needs it, as the beginning of a sentence.
    extra
        The extra of curvi that installs it.

    Raises
    ------
    ImportError
        If it is not there, with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs the package {module.partition('.')[0]!r}; install it with: pip install 'curvi[{extra}]'"
        ) from error
