"""Operations that are recorded and run again."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from curvi import _recording
from curvi._program import Line, Name, Program
from curvi._recording import Function, Recorder, UnrecordableError, recorded_whole, shared_in_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Cube(Function):
    """By numpy, with what only its context knows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float, unused: Tensor | None = None) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x)
        ctx.factor, ctx.total = factor, float(x.detach().numpy().sum())
        whole = torch.from_numpy(np.round(x.detach().numpy()))
        ctx.mark_non_differentiable(whole)
        return torch.from_numpy(factor * x.detach().numpy() ** 3), whole

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return 3 * ctx.factor * x**2 * grad + 0 * ctx.total, None, None


class Both(Function):
    """Twice the argument, and thrice it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * x, 3 * x

    @staticmethod
    def backward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        return 2 * first + 3 * second


class Product(Function):
    """Of a variable and what is given, whose gradient is what was given."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, x: Tensor) -> Tensor:
        ctx.x, made = x, (w * x).sum()
        ctx.save_for_backward(made)
        return made

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.x, None


@recorded_whole
def above(x: Tensor, least: float) -> Tensor:
    """The entries above a number, in numpy."""
    return torch.from_numpy(x.detach().numpy()[x.detach().numpy() > least])


def recorded(
    step: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor], lasting: Sequence[Tensor] = ()
) -> Callable[..., Any]:
    """The program of a step, whose first result is differentiated."""
    variables = [each for each in lasting if each.requires_grad]
    recorder = Recorder(inputs, lasting)
    with recorder:
        results = step(*inputs)
        gradients = torch.autograd.grad(results[0], variables, allow_unused=True) if variables else ()
    return recorder.program(results, gradients, variables)


def check(
    step: Callable[..., Sequence[Tensor]], make: Callable[[], list[Tensor]], lasting: Sequence[Tensor] = ()
) -> Any:
    """Compare a program with the step itself, of other inputs and other values of what lasts; returns the program."""
    program = recorded(step, make(), lasting)
    with torch.no_grad():
        for each in lasting:
            if each.is_floating_point():
                each.mul_(1.5)
    inputs, before = make(), [each.detach().clone() for each in lasting]
    torch.manual_seed(1)
    results = step(*inputs)
    variables = [each for each in lasting if each.requires_grad]
    gradients = torch.autograd.grad(results[0], variables, allow_unused=True) if variables else ()
    after, state = [each.detach().clone() for each in lasting], torch.get_rng_state()
    with torch.no_grad():
        for each, value in zip(lasting, before, strict=True):
            each.copy_(value)
    torch.manual_seed(1)
    found, slopes = program(*inputs)
    for a, b in zip([*found, *slopes], [*results, *gradients], strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.equal(a, b)
    assert all(torch.equal(a, b) for a, b in zip(lasting, after, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(each.requires_grad for each in found)
    return program


def rows() -> list[Tensor]:
    return [torch.randn(4, 3)]


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape))


def test_operations_and_their_gradients_are_run_again() -> None:
    w, b = weight(5, 3), weight(5)
    check(lambda x: [functional.linear(x, w, b).tanh().sum()], rows, [w, b])


def test_what_is_written_in_place_is_written_again() -> None:
    total = torch.zeros(3)
    kept = torch.zeros(4, 3)

    def step(x: Tensor) -> list[Tensor]:
        total.add_(x.sum(0))
        kept[1:3].copy_(x[:2]).mul_(2)
        made = x.clone()
        made[:, 0].zero_()
        return [made.sum(), kept.sum()]

    check(step, rows, [total, kept])


def test_views_of_what_lasts_follow_its_values() -> None:
    w = weight(3, 6)

    def step(x: Tensor) -> list[Tensor]:
        upper, lower = w.t().chunk(2)
        return [(x @ upper.t() + x @ w[:, :3]).sum() + lower.reshape(-1)[2]]

    program = check(step, rows, [w])
    assert "chunk" not in program.source
    assert ".t(" not in program.source


def test_views_of_inputs_are_made_in_every_run() -> None:
    w = weight(2)
    check(lambda x: [(x[1:3].t()[0] * w).sum(), x.view(-1)[:2]], rows, [w])


def test_random_operations_keep_their_order_even_if_nothing_reads_them() -> None:
    def step(x: Tensor) -> list[Tensor]:
        torch.rand(2)
        torch.bernoulli(torch.full((3,), 0.5))
        functional.dropout(x, 0.5)
        torch.empty(3).normal_()
        return [x + torch.randn_like(x), torch.bernoulli(torch.full((3,), 0.5))]

    check(step, rows)


def test_what_nothing_reads_is_left_out() -> None:
    def step(x: Tensor) -> list[Tensor]:
        x.exp().mul(3)
        return [x + 1]

    assert len(check(step, rows).source.splitlines()) == 3


def test_memory_is_given_back_after_its_last_use() -> None:
    source = check(lambda x: [(x.exp() * x.sin()).sum()], rows).source.splitlines()
    multiplied = next(i for i, line in enumerate(source) if line.count("v") == 3 and "del" not in line)
    assert source[multiplied + 1].strip().startswith("del v")
    assert "given_0" not in "".join(line for line in source if "del" in line)


def test_a_tensor_from_nowhere_is_refused() -> None:
    outside = torch.ones(3)
    with pytest.raises(UnrecordableError, match=r"a tensor of shape \(3,\) is not made by operations"):
        recorded(lambda x: [x + outside], rows())
    with pytest.raises(UnrecordableError, match="not made by operations"):
        recorded(lambda x: [x + torch.tensor([1.0, 2.0, 3.0])], rows())


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x.sum().item(),
        lambda x: float(x[0, 0]),
        lambda x: bool((x > 0).all()),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.unique(),
        lambda x: torch.equal(x, x + 1),
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: x.data_ptr(),
        lambda x: torch.from_dlpack(x),
        lambda x: x.to_sparse()._nnz(),
    ],
)
def test_whatever_looks_at_values_is_refused(look: Callable[[Tensor], Any]) -> None:
    def step(x: Tensor) -> list[Tensor]:
        look(x)
        return [x + 1]

    with pytest.raises(UnrecordableError):
        recorded(step, rows())
    assert step(*rows())[0].shape == (4, 3)


def test_arrays_and_numbers_of_calls_that_are_recorded_whole_are_refused() -> None:
    take = recorded_whole(lambda x, by: x * torch.as_tensor(by))
    with pytest.raises(UnrecordableError, match="an argument is an array"):
        recorded(lambda x: [take(x, np.ones(3, np.float32))], rows())
    with pytest.raises(UnrecordableError, match="an argument is an array"):
        recorded(lambda x: [take(x, np.float32(2))], rows())
    count = recorded_whole(lambda x: int((x.numpy() > 0).sum()))
    with pytest.raises(UnrecordableError, match="a result is of type int"):
        recorded(lambda x: [x * count(x)], rows())


def test_inputs_that_share_memory_are_refused() -> None:
    (x,) = rows()
    for other in (x, x[:2], x.view(-1)):
        with pytest.raises(UnrecordableError, match="two inputs are one memory"):
            Recorder([x, other], [])
    with pytest.raises(UnrecordableError, match="one memory"):
        Recorder([x[:2]], [x])
    Recorder([x], [torch.ones(2), x.clone()])


def test_gradients_have_memory_of_their_own_laid_out_as_their_variables() -> None:
    a, b, c, d = weight(4, 3), weight(4, 3), weight(3, 4), weight(4, 3)
    unused = weight(2)

    def step(x: Tensor) -> list[Tensor]:
        return [((a + b) * x).sum() + (c.t() * x).sum() + (d * 2).sum()]

    program = check(step, rows, [a, b, c, d, unused])
    _, slopes = program(*rows())
    assert slopes[4] is None
    assert [each.stride() for each in slopes[:4]] == [each.stride() for each in (a, b, c, d)]
    slopes[0].zero_()
    assert slopes[1].abs().sum() > 0


def test_a_gradient_that_is_an_input_is_copied() -> None:
    w = weight(4, 3)
    (x,) = rows()
    program = recorded(lambda x: [Product.apply(w, x)], [x], [w])
    _, (slope,) = program(x)
    torch.testing.assert_close(slope, x)
    slope.zero_()
    assert x.abs().sum() > 0


def test_functions_are_one_line_in_each_pass() -> None:
    w = weight(4, 3)

    def step(x: Tensor) -> list[Tensor]:
        made, whole = Cube.apply(w * x, 2.0)
        return [made.sum() + whole.sum(), whole]

    program = check(step, rows, [w])
    assert sum(each is Cube.forward for each in program._space.values()) == 1


def test_results_without_gradients_count_as_zero() -> None:
    w = weight(4, 3)
    check(lambda x: [Both.apply(w * x)[1].sum()], rows, [w])


def test_calls_that_are_recorded_whole_may_look_at_values() -> None:
    check(lambda x: [above(x, 0.1).exp(), above(x.exp(), 1.0)], rows)


def test_results_and_arguments_may_lie_within_one_another() -> None:
    @recorded_whole
    def nested(parts: list[Tensor], by: dict[str, Tensor]) -> Any:
        return (parts[0] + by["x"], (parts[1], None, [by["x"] * 2]))

    def step(x: Tensor) -> list[Tensor]:
        first, (second, _, (third,)) = nested([x + 1, x + 2], {"x": x.exp()})
        return [first, second, third]

    check(step, rows)


def test_functions_are_the_usual_ones_outside_of_recordings() -> None:
    x = torch.randn(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: Cube.apply(x, 2.0)[0], x)
    assert Cube.apply(x, 2.0)[1].requires_grad is False
    (slope,) = torch.autograd.grad(Both.apply(x**2)[0].sum(), x, create_graph=True)
    torch.testing.assert_close(torch.autograd.grad(slope.sum(), x)[0], torch.full_like(x, 4.0))
    assert above(torch.tensor([1.0, 2.0]), 1.5).tolist() == [2.0]
    assert above.__name__ == "above"


def test_nothing_is_recorded_afterwards_or_after_an_error() -> None:
    recorder = Recorder(rows(), [])
    with recorder:
        assert shared_in_recording() is not None
    assert shared_in_recording() is None
    n = len(recorder._lines)
    above(torch.ones(3) + 1, 0.0)
    with pytest.raises(UnrecordableError), recorder:
        torch.ones(()).item()
    assert shared_in_recording() is None
    torch.ones(2).numpy()
    assert len(recorder._lines) == n + 1


def test_another_thread_is_not_disturbed() -> None:
    seen: list[Any] = []

    def other() -> None:
        w = weight(3)
        made, _ = Cube.apply(w, 2.0)
        made.sum().backward()
        seen.extend([w.grad, shared_in_recording(), above(torch.ones(2), 0.5).tolist(), made.sum().item()])

    recorder = Recorder([], [])
    with recorder:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(seen) == 4
    assert seen[1] is None
    assert recorder._lines == []


def test_what_was_recorded_is_let_go() -> None:
    w = weight(4, 3)

    def step(x: Tensor) -> list[Tensor]:
        made, _ = Cube.apply(w * x, 2.0)
        shared = shared_in_recording()
        if shared is not None:
            shared["made"] = made
        Product.apply(w, x)
        return [made.sum(), above(x, 0.0)]

    recorder = Recorder([x := rows()[0]], [w])
    with recorder:
        results = step(x)
        gradients = torch.autograd.grad(results[0], [w])
    program = recorder.program(results, gradients, [w])
    gone, hidden = ref(recorder), [ref(each) for each in recorder._contexts]
    del recorder, results, gradients
    gc.collect()
    assert gone() is None
    assert all(each() is None for each in hidden)
    assert program(x)[1][0].shape == (4, 3)


def test_a_program_is_its_lines() -> None:
    a, b, c = (Name(text) for text in "abc")
    lines = [
        Line(torch.add, (a, 1), {"alpha": 2.0}, b, only_makes=True),
        Line(torch.mul, (a, a), {}, c, only_makes=True),
        Line(Tensor.mul_, (b, 3.0), {}, b, only_makes=False),
    ]
    program = Program([a], lines, (b, [None, True]), {})
    assert "mul" not in program.source
    made, rest = program(torch.ones(2, requires_grad=True))
    assert made.tolist() == [9.0, 9.0]
    assert not made.requires_grad
    assert rest == [None, True]


def test_operations_are_run_by_functions_that_take_what_they_take() -> None:
    x = torch.randn(4, 3)
    for call, args in [
        (torch.ops.aten.sum.dim_IntList, (x, [0], True)),
        (torch.ops.aten.pow.Scalar, (2.0, x)),
        (torch.ops.aten.where.self, (x > 0, x, -x)),
        (torch.ops.aten.split.Tensor, (x, 2)),
    ]:
        found, known = _recording._quickest(call)(*args), call(*args)
        pairs = zip(found, known, strict=True) if isinstance(known, tuple | list) else [(found, known)]
        assert all(torch.equal(a, b) for a, b in pairs)
