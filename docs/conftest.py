"""The examples of the documentation define parts of their own; their names end with the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from curvi._named import Named

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _forget_names() -> Iterator[None]:
    known = {family: dict(family._known) for family in Named.__subclasses__()}
    yield
    for family in Named.__subclasses__():
        family._known = known.get(family, {})
