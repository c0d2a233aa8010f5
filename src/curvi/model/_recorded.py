"""Training steps recorded, compared with what was recorded, and run again without all that led to them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from curvi._recording import Recorder
from curvi.model._plan import Figures, LeanTrainingPlan, is_kept
from curvi.module import VAE
from curvi.nn._row_steps import is_hooked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from curvi._program import Program

_LOGGER = logging.getLogger(__name__)

# A recording costs as much as some ten steps: short trainings are better off without.
_USUAL_STEPS = 8
# The minibatches of an epoch differ by one cell; those of streams may have a few sizes more.
_MOST_SHAPES = 6
_SETTINGS = (bool, int, float, str, type(None))


class _Known(NamedTuple):
    """What is known of minibatches of a shape."""

    program: Program
    names: tuple[str, ...]
    """Those of the figures."""
    n: int
    """The cells of the minibatch."""
    is_compared: bool


class RecordedSteps:
    """The training steps of a module on the processor, made by their operations alone once these are known.

    A step of minibatches of a shape is recorded. The next one is made twice with the same random numbers, in the usual
    way and by the operations. If all figures, gradients, buffers and random numbers to come are the same bit for bit,
    later steps are made by the operations; if not, and if something cannot be recorded, they are made in the usual way.
    """

    _of_modules: WeakKeyDictionary[nn.Module, RecordedSteps] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._known: dict[Any, _Known | None] = {}
        self._settings: Any = None
        self._parameters: list[nn.Parameter] = []
        self._places: list[int] = []
        self._patience = _USUAL_STEPS // 2
        self._waiting = 0

    @classmethod
    def of(cls, module: nn.Module) -> RecordedSteps:
        """Those of a module, with which its next training goes on."""
        found = cls._of_modules.get(module)
        if found is None:
            found = cls._of_modules[module] = cls()
        return found

    def begin(self, plan: LeanTrainingPlan) -> None:
        """Forget what was recorded if anything has changed since but the values of parameters and buffers."""
        settings = tuple(_settings_of(plan))
        if settings != self._settings:
            self._settings = settings
            self._known.clear()
            self._parameters = [each for each in plan.module.parameters() if each.requires_grad]
            self._places = [parameter.data_ptr() for parameter in self._parameters]
            # What changes again and again is not worth the recordings.
            self._patience *= 2
            self._waiting = self._patience

    def run(self, plan: LeanTrainingPlan, batch: Mapping[str, Tensor | None]) -> Figures | None:
        """The figures of a minibatch, with its gradients in the parameters; None where torch has to make them."""
        given: dict[str, Tensor] = {name: x for name, x in batch.items() if x is not None}
        if not all(type(x) is Tensor for x in given.values()):
            return None
        if self._places != [parameter.data_ptr() for parameter in self._parameters]:
            # Some optimisers write their parameters to another place.
            self.begin(plan)
        shape = tuple((name, x.shape, _strides(x), x.dtype) for name, x in given.items())
        known = self._known.get(shape)
        if known is not None and known.is_compared:
            values, gradients = known.program(*given.values(), plan.weigh())
            self._put(gradients)
            return Figures(known.n, dict(zip(known.names, values, strict=True)))
        if self._waiting:
            self._waiting -= 1
            return None
        if known is not None:
            return self._compare(plan, given, shape, known)
        if shape not in self._known and len(self._known) < _MOST_SHAPES:
            self._record(plan, given, shape)
        return None

    def _record(self, plan: LeanTrainingPlan, given: Mapping[str, Tensor], shape: Any) -> None:
        """Record a step, which leaves no traces."""
        module, weight, self._known[shape] = plan.module, plan.weigh(), None
        before = _State(module)
        try:
            recorder = Recorder([*given.values(), weight], [*module.parameters(), *module.buffers()])
            with recorder:
                figures, gradients = self._usual(plan, given)
            program = recorder.program(list(figures.values.values()), gradients, self._parameters)
            self._known[shape] = _Known(program, tuple(figures.values), figures.n, is_compared=False)
        except Exception as error:  # noqa: BLE001
            # Were the step itself wrong, the usual way would raise the error again.
            _tell(str(error))
        before.restore()

    def _compare(self, plan: LeanTrainingPlan, given: Mapping[str, Tensor], shape: Any, known: _Known) -> Figures:
        """A step in the usual way, after one by its operations, which leaves no traces."""
        weight, before = plan.weigh(), _State(plan.module)
        try:
            values, found = known.program(*given.values(), weight)
        except Exception as error:  # noqa: BLE001
            # Something in the step is not what it was.
            _tell(str(error))
            values, found = [], []
        after = _State(plan.module)
        before.restore()
        figures, gradients = self._usual(plan, given)
        if _same([*values, *found], [*figures.values.values(), *gradients]) and after.is_now():
            self._known[shape] = known._replace(is_compared=True)
        else:
            self._known[shape] = None
            _tell("its operations do not give the same numbers")
        self._put(gradients)
        return figures

    def _usual(self, plan: LeanTrainingPlan, batch: Mapping[str, Tensor]) -> tuple[Figures, tuple[Tensor | None, ...]]:
        """The figures and the gradients as torch makes them."""
        figures = plan.figures(batch)
        return figures, torch.autograd.grad(figures.loss, self._parameters, allow_unused=True)

    def _put(self, gradients: Sequence[Tensor | None]) -> None:
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient


class _State:
    """What a step changes beside the gradients: random numbers to come, and buffers."""

    def __init__(self, module: nn.Module) -> None:
        self._buffers = list(module.buffers())
        self._values = self._now()

    def _now(self) -> list[Tensor]:
        return [torch.get_rng_state(), *(buffer.clone() for buffer in self._buffers)]

    def restore(self) -> None:
        """Make all as it was."""
        torch.set_rng_state(self._values[0])
        for buffer, value in zip(self._buffers, self._values[1:], strict=True):
            buffer.copy_(value)

    def is_now(self) -> bool:
        """Whether all is as it was."""
        return _same(self._now(), self._values)


def can_be_recorded(plan: LeanTrainingPlan) -> bool:
    """Whether the parts of a step are known ones on the processor, without hooks."""
    module = plan.module
    usual = plan.record_steps and type(plan) is LeanTrainingPlan and type(module) is VAE
    if not usual or _has_any_global_hook() or torch.is_anomaly_enabled():
        return False
    return all(map(_is_known, module.modules())) and all(map(_is_free, module.parameters()))


def _is_known(part: nn.Module) -> bool:
    own = type(part).__module__.partition(".")[0] in ("curvi", "torch")
    return own and not is_hooked(part) and not _is_patched(part)


def _is_patched(part: nn.Module) -> bool:
    """Whether a method of an object is not that of its class."""
    return any(callable(value) and hasattr(type(part), name) for name, value in vars(part).items())


def _is_free(parameter: nn.Parameter) -> bool:
    """Whether nobody but the optimiser waits for the gradient of a parameter on the processor."""
    hooks = parameter._backward_hooks and not is_kept(parameter)
    return parameter.is_cpu and not hooks and not getattr(parameter, "_post_accumulate_grad_hooks", None)


def _settings_of(plan: LeanTrainingPlan) -> Iterator[Any]:
    """What a step depends on beside the values of parameters, buffers and minibatch."""
    yield torch.get_default_dtype(), torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    yield from _plain(plan.loss_kwargs)
    for part in plan.module.modules():
        # Unlike its number, that of a part that is gone is not the reference of another.
        yield ref(part)
        yield from _plain(vars(part))
    for tensor in (*plan.module.parameters(), *plan.module.buffers()):
        yield id(tensor), tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
        yield tensor.requires_grad, bool(tensor._backward_hooks)


def _plain(values: Mapping[str, Any]) -> Iterator[Any]:
    """The numbers and names among values."""
    for name, value in values.items():
        if isinstance(value, _SETTINGS) or (
            isinstance(value, tuple) and all(isinstance(each, _SETTINGS) for each in value)
        ):
            yield name, value


def _strides(x: Tensor) -> Any:
    return x.stride() if x.layout == torch.strided else x.layout


def _same(found: Sequence[Tensor | None], known: Sequence[Tensor | None]) -> bool:
    """Whether tensors are the same, bit for bit."""
    return len(found) == len(known) and all(
        a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in zip(found, known, strict=True)
    )


def _tell(reason: str) -> None:
    _LOGGER.debug("training steps are not made by their operations alone: %s.", reason.rstrip("."))
