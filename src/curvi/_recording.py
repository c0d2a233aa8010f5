"""Computations whose operations are recorded once and run again, without the calls that led to them.

What modules, distributions and automatic differentiation cost around the operations is lost; the operations are the
same, in the same order, and so are the numbers.
"""

from __future__ import annotations

import inspect
from collections import Counter
from contextlib import contextmanager
from functools import cache, wraps
from threading import local
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from curvi._program import Line, Name, Program, names_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_Made = TypeVar("_Made")

_thread = local()
_LEAVES = frozenset({Tensor.__array__, Tensor.__dlpack__, Tensor.data_ptr, Tensor.numpy, Tensor.tolist})
# What may be left out where nothing reads it, beside views and what goes by the entry.
_MAKERS = frozenset(
    {"empty", "empty_like", "full", "full_like", "mean", "ones", "ones_like", "promote_types", "scalar_tensor", "sum"}
    | {"zeros", "zeros_like"}
)
_LOOKS = frozenset({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape})


class UnrecordableError(RuntimeError):
    """A computation does what its operations do not tell."""


def shared_in_recording() -> dict[Any, Any] | None:
    """What the operations that are being recorded in this thread share, to be filled; None where none are."""
    recorder = _recorder()
    return None if recorder is None else recorder.shared


def _recorder() -> Recorder | None:
    recorder: Recorder | None = getattr(_thread, "recorder", None)
    return None if recorder is None or recorder.paused else recorder


class Function(torch.autograd.Function):
    """A :class:`torch.autograd.Function` that is recorded as a whole.

    Between its arguments and its results it may do what is no operation of torch, and look at the values of tensors.
    Arguments other than tensors, and tuples and lists of them, must be the same in every run.
    """

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run the function."""
        recorder = _recorder()
        return super().apply(*args) if recorder is None else _Noted.apply(recorder, cls, *args)


def recorded_whole(function: Callable[..., _Made]) -> Callable[..., _Made]:
    """Let a function of tensors that has no gradients be recorded as a whole, as a :class:`Function` is."""

    @wraps(function)
    def call(*args: Any) -> _Made:
        recorder = _recorder()
        return function(*args) if recorder is None else recorder.call(function, args)

    return call


class Context:
    """What a :class:`Function` keeps between its two passes, where no graph is made."""

    saved_tensors: tuple[Tensor | None, ...] = ()

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors."""
        self.saved_tensors = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Nothing: of tensors without gradients none is asked."""


class _OuterContext(Context):
    """The context of a function that is being recorded."""

    def __init__(self, outer: Any) -> None:
        super().__init__(outer.needs_input_grad[2:])
        self._outer = outer

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Let the graph know that is made during the recording."""
        self._outer.mark_non_differentiable(*tensors)


class _Noted(torch.autograd.Function):
    """A function in the graph that is made during a recording, which writes both its passes down."""

    @staticmethod
    def forward(ctx: Any, recorder: Recorder, function: type[Function], *args: Any) -> Any:
        ctx.recorder, ctx.function, ctx.inner = recorder, function, _OuterContext(ctx)
        ctx.name = recorder.new_context(ctx.inner)
        return recorder.call(function.forward, args, ctx.inner, ctx.name)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        backward = inspect.unwrap(ctx.function.backward)
        made = ctx.recorder.call(backward, grads, ctx.inner, ctx.name)
        return None, None, *(made if isinstance(made, tuple) else (made,))


class Recorder(TorchDispatchMode):
    """Writes down the operations that run while it is active.

    Operations whose results tell how many or how large values are cannot be recorded, as what depends on that may
    differ in the next run; nor can tensors that none of the operations made.

    Parameters
    ----------
    inputs
        Tensors that each run is given, of which no two may share memory.
    lasting
        Tensors that are there in every run, at the same place in memory.
    """

    def __init__(self, inputs: Sequence[Tensor], lasting: Iterable[Tensor]) -> None:
        super().__init__()
        self.paused = False
        self.shared: dict[Any, Any] = {}
        self._lines: list[Line] = []
        self._names: dict[Any, Name] = {}
        # The memory of whatever has a name stays, so that it is not given to another.
        self._held: list[Any] = []
        self._contexts: list[Context] = []
        self._lasting: dict[str, Any] = {}
        self._count = 0
        lasting = list(lasting)
        for tensor in lasting:
            self._keep(tensor)
        self._inputs = [self._bind(tensor, Name(f"given_{i}")) for i, tensor in enumerate(inputs)]
        self._stays = Counter(_memory(tensor) for tensor in (*lasting, *inputs) if tensor.layout == torch.strided)
        if any(self._stays[_memory(tensor)] > 1 for tensor in inputs if tensor.layout == torch.strided):
            raise UnrecordableError("two inputs are one memory, which need not be so in the next run.")
        self._gate = _Gate(self)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # To leave it out of what it compiles, torch would load its compiler, which takes a second or two.
        return False

    def __enter__(self) -> Recorder:
        _thread.recorder = self
        self._gate.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        _thread.recorder = None
        super().__exit__(*raised)
        self._gate.__exit__(*raised)
        # What they refer to refers to them, where nothing finds out.
        self.shared.clear()
        for context in self._contexts:
            vars(context).clear()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.paused:
            return func(*args, **kwargs)
        if not _LOOKS.isdisjoint(func.tags):
            raise UnrecordableError(f"{func} looks at the values of a tensor.")
        read = self._read(tuple(args)), self._read(kwargs)
        call = _quickest(func)
        try:
            made = call(*args, **kwargs)
        except TypeError:
            call = func._op
            made = call(*args, **kwargs)
        if _is_view(func):
            if self._all_named(made):
                return made
            if self._lasting.keys() >= set(names_in(read)):
                for each in made if isinstance(made, tuple | list) else [made]:
                    self._keep(each)
                return made
        self._lines.append(Line(call, *read, self._written(made), _only_makes(func)))
        return made

    def call(self, function: Callable[..., _Made], args: Sequence[Any], *context: Any) -> _Made:
        """Run a function, whose first argument may be a context, given with its name, and write that down."""
        read = self._read(tuple(args))
        with self._pause():
            made = function(*context[:1], *args)
        self._lines.append(Line(function, (*context[1:], *read), {}, self._written(made), False))
        return made

    def new_context(self, context: Context) -> Name:
        """Write a new context down; returns its name."""
        name = self._new_name()
        self._contexts.append(context)
        self._lines.append(Line(Context, (tuple(context.needs_input_grad),), {}, name, False))
        return name

    def program(self, results: Sequence[Tensor], gradients: Sequence[Tensor | None], of: Sequence[Tensor]) -> Program:
        """What was recorded as a function of the inputs.

        Parameters
        ----------
        results
            What a run returns in its first list.
        gradients, of
            Gradients that it returns in a second list, and what they are gradients of: laid out like that, each with
            memory of its own.
        """
        owners = Counter(_memory(gradient) for gradient in gradients if gradient is not None)
        own: list[Tensor | None] = []
        with self, torch.no_grad():
            for gradient, variable in zip(gradients, of, strict=True):
                shares = gradient is not None and (owners[_memory(gradient)] > 1 or _memory(gradient) in self._stays)
                if gradient is not None and (shares or gradient.stride() != variable.stride()):
                    own.append(torch.empty_like(variable).copy_(gradient))
                else:
                    own.append(gradient)
        returned = self._read((list(results), own))
        program = Program(self._inputs, self._lines, returned, self._lasting)
        # The graph that was made during the recording knows the recorder.
        self._held.clear()
        return program

    @contextmanager
    def _pause(self) -> Iterator[None]:
        self.paused = True
        try:
            yield
        finally:
            self.paused = False

    def _new_name(self) -> Name:
        self._count += 1
        return Name(f"v{self._count}")

    def _bind(self, tensor: Tensor, name: Name) -> Name:
        self._names[_place(tensor)] = name
        self._held.append(tensor.untyped_storage() if tensor.layout == torch.strided else tensor)
        return name

    def _keep(self, tensor: Tensor) -> None:
        """Name a tensor that is there in every run."""
        name = self._bind(tensor, self._new_name())
        self._lasting[name.text] = tensor.detach()

    def _all_named(self, made: Any) -> bool:
        return all(_place(each) in self._names for each in (made if isinstance(made, tuple | list) else [made]))

    def _read(self, value: Any) -> Any:
        """An argument with names in the place of its tensors."""
        if isinstance(value, Tensor):
            name = self._names.get(_place(value))
            if name is None:
                raise UnrecordableError(f"a tensor of shape {tuple(value.shape)} is not made by operations.")
            return name
        if type(value) in (tuple, list):
            return type(value)(self._read(each) for each in value)
        if type(value) is dict:
            return {key: self._read(each) for key, each in value.items()}
        if isinstance(value, np.ndarray | np.generic) or (
            isinstance(value, tuple | list | dict) and any(isinstance(each, Tensor | np.ndarray) for each in value)
        ):
            raise UnrecordableError("an argument is an array, which need not be the same in the next run.")
        return value

    def _written(self, made: Any) -> Any:
        """A result with names in the place of its tensors."""
        if isinstance(made, Tensor):
            return self._names.get(_place(made)) or self._bind(made, self._new_name())
        if isinstance(made, tuple | list):
            return tuple(self._written(each) for each in made)
        if made is None or type(made) is torch.dtype:
            return None
        raise UnrecordableError(
            f"a result is of type {type(made).__name__}, which need not be the same in the next run."
        )


class _Gate(TorchFunctionMode):
    """Refuses what takes the numbers of tensors out of sight of the operations."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _LEAVES and not self._recorder.paused:
            raise UnrecordableError(f"`{func.__name__}` takes the values of a tensor out of torch.")
        return func(*args, **(kwargs or {}))


def _memory(tensor: Tensor) -> int:
    """Which memory a tensor looks at."""
    return int(tensor.untyped_storage()._cdata)


def _place(tensor: Tensor) -> Any:
    """What tensors have in common that are the same numbers at the same place."""
    if tensor.layout != torch.strided:
        return id(tensor)
    return _memory(tensor), tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype


@cache
def _quickest(func: Any) -> Callable[..., Any]:
    """The function of torch that runs an operation; some take half the time of others for the same."""
    name = func._schema.name.removeprefix("aten::")
    for owner in (torch._C._VariableFunctions, torch._C.TensorBase):
        if hasattr(owner, name):
            call: Callable[..., Any] = getattr(owner, name)
            return call
    own: Callable[..., Any] = func._op
    return own


@cache
def _is_view(func: Any) -> bool:
    schema = func._schema
    return not schema.is_mutable and any(each.alias_info is not None for each in schema.returns)


@cache
def _only_makes(func: Any) -> bool:
    """Whether an operation has no effect but its result: not even on the random numbers of the next one."""
    if func._schema.is_mutable or torch.Tag.nondeterministic_seeded in func.tags:
        return False
    name = func._schema.name.removeprefix("aten::")
    makes = name in _MAKERS or name.startswith("new_")
    return makes or _is_view(func) or torch.Tag.pointwise in func.tags
