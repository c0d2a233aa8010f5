"""Functions of arrays that numba compiles, kept on disk for the next process where there is a place for them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

_LOGGER = logging.getLogger(__name__)


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function at its first call, and keep the machine code for the next process.

    Where neither the package nor the user's cache can be written to, as in some containers, every process compiles
    anew; the variable ``NUMBA_CACHE_DIR`` names another place.

    Parameters
    ----------
    **options
        Those of :func:`numba.njit`.

    Examples
    --------
    >>> compiled(nogil=True)(lambda x: x + 1)(2)
    3
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError as error:
            _LOGGER.debug("%s is compiled in each process: %s", function.__name__, error)
            return njit(**options)(function)

    return decorate
