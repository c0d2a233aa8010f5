"""The examples of the documentation define parts of their own; their names end with the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from curvi._named import Named

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _forget_names() -> Iterator[None]:
    yield
    for family in Named.__subclasses__():
        family._known = {name: kind for name, kind in family._known.items() if kind.__module__.startswith("curvi.")}
