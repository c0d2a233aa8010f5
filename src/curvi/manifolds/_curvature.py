"""The curvature of a space: a number that is kept, or a parameter that is learned."""

from __future__ import annotations

from math import expm1, isfinite, log
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from curvi._recording import Function, shared_in_recording
from curvi.manifolds._device import is_transforming, working

if TYPE_CHECKING:
    from collections.abc import Callable


class Curvature(nn.Module):
    r"""The magnitude :math:`c > 0` of a constant curvature, saved with the state of the manifold.

    A fixed one is a buffer, and a plain number to the formulas, in which it costs nothing. A learned one is
    :math:`c = \log(1 + e^a)` of a parameter :math:`a`, positive whatever step an optimiser takes.

    Parameters
    ----------
    value
        :math:`c`, or where it is learned its value at the start; positive and finite.
    learn
        Whether it is a parameter.

    Raises
    ------
    ValueError
        If ``value`` is not positive and finite.

    Examples
    --------
    >>> Curvature(0.5, learn=False).at(torch.float32)
    0.5
    >>> Curvature(0.5, learn=True).at(torch.float32)
    tensor(0.5000, grad_fn=<_PowerBackward>)
    """

    raw: Tensor
    value: Tensor

    def __init__(self, value: Tensor | float, learn: bool) -> None:
        super().__init__()
        number = float(value)
        if not (isfinite(number) and number > 0):
            raise ValueError(
                f"`curvature` is {number}; it must be a positive, finite number, the magnitude of the curvature of a "
                "sphere or a hyperbolic space alike."
            )
        self.learned = bool(learn)
        self._number = number
        self._made: dict[Any, Any] = {}
        if self.learned:
            self.raw = nn.Parameter(torch.tensor(_raw(number)))
        else:
            self.register_buffer("value", torch.tensor(number))

    @property
    def is_one(self) -> bool:
        """Whether it is fixed at 1, so that the formulas can leave it out."""
        return not self.learned and self._number == 1

    @property
    def tensor(self) -> Tensor:
        """:math:`c` without dimensions, in the dtype of the module."""
        return self.at(self.raw.dtype) if self.learned else self.value

    def at(self, dtype: torch.dtype) -> Any:
        """:math:`c` for formulas in ``dtype``: the number if it is fixed, else a tensor with a gradient."""
        if not self.learned:
            return self._number
        return self.power(1.0, dtype)

    def power(self, exponent: float, dtype: torch.dtype) -> Any:
        """:math:`c^p` for formulas in ``dtype``, as :meth:`at`; the radius of curvature is that with -1/2.

        On the CPU it is made once for each value of the parameter: a training step asks for it many times.
        """
        if not self.learned:
            return self._number**exponent
        raw = self.raw
        if raw.device.type != "cpu" or torch.compiler.is_compiling() or is_transforming():
            return _power(raw, exponent, dtype)
        shared = shared_in_recording()
        # By the value, which optimisers may change behind the back of whoever counts changes. A run of what is recorded
        # makes it anew, too.
        value, kept = (raw.item(), self._made) if shared is None else (None, shared.setdefault(self, {}))
        now = value, raw.requires_grad and torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        known, maker, made = kept.get((exponent, dtype), (None, None, None))
        if known != now or maker is not raw:
            made = _Power.apply(raw, exponent, dtype)
            kept[exponent, dtype] = now, raw, made
        return made

    def number(self) -> float:
        """:math:`c` now, as the shortest number that gives the same parameter or buffer again."""
        if not self.learned:
            return self._number
        raw = self.raw.detach()
        exact = float(softplus(raw.to(working(raw))))
        short = _shortest(torch.tensor(exact, dtype=torch.float32))
        return short if short > 0 and torch.tensor(_raw(short), dtype=raw.dtype) == raw.cpu() else exact

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": {}}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Curvature:
        # Another dtype of the buffer is a rounding of the number, not of an earlier rounding.
        super()._apply(fn, recurse)
        if not self.learned:
            self.value.fill_(self._number)
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        if not self.learned and not self.value.is_meta:
            stored = self.value.detach().cpu()
            if bool(stored != torch.tensor(self._number, dtype=stored.dtype)):
                self._number = _shortest(stored)


def _power(raw: Tensor, exponent: float, dtype: torch.dtype) -> Tensor:
    # Through float64, so that what is written down as a number gives the same parameter again.
    made = softplus(raw.to(working(raw)))
    return (made if exponent == 1 else made**exponent).to(dtype)


class _Power(Function):
    """:func:`_power`, that can be differentiated again after its graph was freed: it needs its own numbers only."""

    @staticmethod
    def forward(ctx: Any, raw: Tensor, exponent: float, dtype: torch.dtype) -> Tensor:
        ctx.inputs = raw, exponent, dtype
        exact = raw.detach().to(working(raw))
        curvature = softplus(exact)
        ctx.slope = exponent * curvature ** (exponent - 1) * torch.sigmoid(exact)
        return (curvature**exponent).to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None]:
        raw, exponent, dtype = ctx.inputs
        if torch.is_grad_enabled():
            return torch.autograd.grad(_power(raw, exponent, dtype), raw, grad, create_graph=True)[0], None, None
        return (grad * ctx.slope).to(raw.dtype), None, None


def _raw(number: float) -> float:
    """The parameter whose softplus is a number."""
    return number if number > 36 else log(expm1(number))


def _shortest(value: Tensor) -> float:
    """The shortest decimal that a number without dimensions is the rounding of."""
    return float(str((value if value.dtype == torch.float64 else value.float()).numpy()[()]))
