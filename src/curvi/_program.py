"""Straight-line programs: calls of functions with variables between them, which are run as one function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor


class Name(NamedTuple):
    """A variable of a program."""

    text: str


class Line(NamedTuple):
    """A call in a program.

    Attributes
    ----------
    call
        What is called.
    args, kwargs
        Its arguments: variables, tuples and lists of them, and what is the same in every run.
    made
        The variables of its result, in the same way; those that have a name already are not named again.
    only_makes
        Whether the line is not needed if nothing reads what it made.
    """

    call: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    made: Any
    only_makes: bool


def names_in(value: Any) -> Iterator[str]:
    """The variables in an argument or a result."""
    if isinstance(value, Name):
        yield value.text
    elif isinstance(value, tuple | list):
        for each in value:
            yield from names_in(each)
    elif isinstance(value, dict):
        yield from names_in(list(value.values()))


class Program:
    """Lines as one function.

    Parameters
    ----------
    inputs
        The variables that a run is given.
    lines
        The calls in their order.
    returned
        Variables, in tuples and lists, that a run returns.
    lasting
        The values of variables that are the same in every run.

    Attributes
    ----------
    source
        The program as it is compiled.
    """

    def __init__(
        self, inputs: Sequence[Name], lines: Sequence[Line], returned: Any, lasting: Mapping[str, Any]
    ) -> None:
        self._space = dict(lasting)
        self._lasting = frozenset(lasting)
        self.source = "\n    ".join([f"def run({', '.join(names_in(inputs))}):", *self._body(inputs, lines, returned)])
        exec(compile(self.source, "<recorded>", "exec"), self._space)
        self._run = self._space.pop("run")

    def __call__(self, *inputs: Tensor) -> Any:
        """What a run returns, without gradients."""
        with torch.no_grad():
            return self._run(*inputs)

    def _body(self, inputs: Sequence[Name], lines: Sequence[Line], returned: Any) -> list[str]:
        """The lines that are needed, from the last one to the first and turned round."""
        body, read = [f"return {self._text(returned)}"], set(names_in(returned))
        stays = self._lasting.union(names_in(inputs))
        for line in reversed(lines):
            made = set(names_in(line.made))
            if line.only_makes and read.isdisjoint(made):
                continue
            names = made.union(names_in(line.args), names_in(line.kwargs))
            last = sorted(names - read - stays)
            if last:
                # Its memory can be that of the next one.
                body.append(f"del {', '.join(last)}")
            read |= names
            body.append(self._call(line))
        return body[::-1]

    def _call(self, line: Line) -> str:
        """A line as it is written."""
        arguments = [self._text(each) for each in line.args]
        arguments += [f"{key}={self._text(value)}" for key, value in line.kwargs.items()]
        call = f"{self._held(line.call)}({', '.join(arguments)})"
        made = self._target(line.made)
        return f"{made} = {call}" if made else call

    def _target(self, made: Any) -> str:
        """Where a result goes."""
        if isinstance(made, Name):
            return "" if made.text in self._lasting else made.text
        if isinstance(made, tuple) and made:
            parts = "".join(f"{self._target(each) or '_'}, " for each in made)
            return f"({parts})"
        return ""

    def _text(self, value: Any) -> str:
        """An argument as it is written."""
        if isinstance(value, Name):
            return value.text
        if type(value) in (tuple, list):
            parts = "".join(f"{self._text(each)}, " for each in value)
            return f"({parts})" if type(value) is tuple else f"[{parts}]"
        if type(value) is dict:
            return f"{{{''.join(f'{self._held(key)}: {self._text(each)}, ' for key, each in value.items())}}}"
        return repr(value) if value is None or type(value) in (bool, int) else self._held(value)

    def _held(self, value: Any) -> str:
        """The variable of a thing that is the same in every run."""
        name = f"_{id(value)}"
        self._space[name] = value
        return name
