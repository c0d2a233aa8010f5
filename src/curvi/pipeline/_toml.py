"""Plain values as TOML text, such that reading it back gives the same values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def to_toml(values: Mapping[str, Any]) -> str:
    """A TOML document: first the plain values, then each mapping as a table.

    Raises
    ------
    ValueError
        If a value is none that TOML has: a string, a boolean, an integer, a float, or lists and mappings of them.

    Examples
    --------
    >>> print(to_toml({"seed": 0, "model": {"n_hidden": [128, 64], "dropout_rate": 0.1}}), end="")
    seed = 0
    <BLANKLINE>
    [model]
    n_hidden = [128, 64]
    dropout_rate = 0.1
    """
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    parts = [_lines(plain, "")]
    for key, value in values.items():
        if isinstance(value, Mapping):
            parts.append(f"[{_key(key)}]\n{_lines(value, f'{key}.')}")
    return "\n".join(part for part in parts if part)


def _lines(values: Mapping[str, Any], prefix: str) -> str:
    return "".join(f"{_key(key)} = {_value(value, f'{prefix}{key}')}\n" for key, value in values.items())


def _key(key: str) -> str:
    return key if key and _BARE.issuperset(key) else _string(key)


def _string(text: str) -> str:
    # JSON escapes all that TOML does, but for the one control character beyond ASCII's first 32.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _value(value: Any, name: str) -> str:
    """One value; mappings within a table are written inline."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else str(float(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item, name) for item in value)}]"
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {_value(item, f'{name}.{key}')}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    raise ValueError(
        f"`{name}` is {value!r}, which TOML cannot say; expected a string, a boolean, a number, or lists or tables of "
        "them. Leave it out, or run from Python."
    )
