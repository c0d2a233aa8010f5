"""Adam in one call: the numbers of torch's own, to the last bit, whatever happens on the way."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.optim import optimizer as every_optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from curvi.model import _adam

KINDS = [(torch.optim.Adam, _adam.Adam), (torch.optim.AdamW, _adam.AdamW)]
each_kind = pytest.mark.parametrize(("theirs", "ours"), KINDS, ids=["Adam", "AdamW"])


def parameters(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = [(7, 5), (5,), (), (3, 1, 2)]
    return [torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype)) for shape in shapes]


def grouped(values):
    return [{"params": values[:2]}, {"params": values[2:], "weight_decay": 0.0, "lr": 0.03, "betas": (0.8, 0.95)}]


def give_gradients(values, step, left_out=()):
    generator = torch.Generator().manual_seed(step)
    for place, value in enumerate(values):
        gradient = torch.randn(value.shape, generator=generator, dtype=value.dtype)
        value.grad = None if place in left_out else gradient


def assert_same(one, other):
    """Parameters and states of two optimisers are the same to the last bit."""
    of_one, of_other = ([p for group in each.param_groups for p in group["params"]] for each in (one, other))
    for a, b in zip(of_one, of_other, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    one, other = one.state_dict(), other.state_dict()
    assert one["param_groups"] == other["param_groups"]
    assert one["state"].keys() == other["state"].keys()
    for place, state in one["state"].items():
        assert state.keys() == other["state"][place].keys()
        for name, value in state.items():
            torch.testing.assert_close(value, other["state"][place][name], rtol=0, atol=0)


def both(theirs, ours, groups=list, dtype=torch.float32, **options):
    return [kind(groups(parameters(dtype)), fused=True, **options) for kind in (theirs, ours)]


def values_of(optimizer):
    return [value for group in optimizer.param_groups for value in group["params"]]


@each_kind
@pytest.mark.parametrize("groups", [list, grouped])
@pytest.mark.parametrize(
    "options",
    [{}, {"weight_decay": 0.1, "eps": 1e-3}, {"maximize": True}, {"amsgrad": True}, {"lr": torch.tensor(0.01)}],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_steps_are_those_of_torch(theirs, ours, groups, options, dtype):
    pair = both(theirs, ours, groups, dtype, **options)
    for step in range(50):
        for each in pair:
            give_gradients(values_of(each), step)
            each.step()
    assert_same(*pair)


@each_kind
def test_parameters_without_gradients_stay_and_their_steps_are_not_counted(theirs, ours):
    pair = both(theirs, ours, grouped)
    for step in range(30):
        for each in pair:
            give_gradients(values_of(each), step, left_out={step % 7, 1 if step < 10 else 9})
            each.step()
    assert_same(*pair)
    assert {float(state["step"]) for state in pair[1].state.values()} == {17.0, 25.0, 26.0}


@each_kind
def test_a_schedule_moves_the_rate(theirs, ours):
    pair = both(theirs, ours, grouped)
    schedules = [CosineAnnealingLR(each, 40) for each in pair]
    for step in range(40):
        for each, schedule in zip(pair, schedules, strict=True):
            give_gradients(values_of(each), step)
            each.step()
            schedule.step()
    assert pair[1].param_groups[0]["lr"] == 0
    assert_same(*pair)


def _loaded(optimizer):
    new = type(optimizer)([{"params": group["params"]} for group in optimizer.param_groups], fused=True)
    new.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    return new


def _pickled(optimizer):
    return pickle.loads(pickle.dumps(optimizer))


@each_kind
@pytest.mark.parametrize("way", [_loaded, _pickled, copy.deepcopy])
def test_a_copy_goes_on_with_the_same_steps_and_leaves_the_first_alone(theirs, ours, way):
    pair = both(theirs, ours, grouped)
    for step in range(20):
        if step == 10:
            first = pair[1]
            counts = [float(state["step"]) for state in first.state.values()]
            pair = [way(each) for each in pair]
        for each in pair:
            give_gradients(values_of(each), step)
            each.step()
    assert type(pair[1]) is ours
    assert_same(*pair)
    assert [float(state["step"]) for state in first.state.values()] == counts == [10.0] * 4


@each_kind
def test_states_go_from_one_class_to_the_other(theirs, ours, tmp_path):
    pair = both(theirs, ours)
    for step in range(5):
        for each in pair:
            give_gradients(values_of(each), step)
            each.step()
    for number, each in enumerate(pair):
        torch.save(each.state_dict(), tmp_path / str(number))
    # Each goes on from what the other has left.
    for number, each in enumerate(pair):
        each.load_state_dict(torch.load(tmp_path / str(1 - number), weights_only=True))
    for step in range(5, 10):
        for each in pair:
            give_gradients(values_of(each), step)
            each.step()
    assert_same(*pair)


@each_kind
def test_a_parameter_can_come_later_and_a_state_can_be_cleared(theirs, ours):
    pair = both(theirs, ours)
    late = [torch.nn.Parameter(torch.ones(4)) for _ in pair]
    for step in range(15):
        for each, value in zip(pair, late, strict=True):
            if step == 5:
                each.add_param_group({"params": [value], "fused": True})
            if step == 10:
                each.state.pop(values_of(each)[0])
            give_gradients(values_of(each), step)
            each.step()
    assert_same(*pair)


def test_the_closure_is_run_with_gradients_and_its_loss_comes_back():
    pair = both(*KINDS[0])

    def closure():
        optimizer.zero_grad()
        loss = sum((value**2).sum() for value in values_of(optimizer))
        loss.backward()
        return loss

    losses = []
    for optimizer in pair:
        with torch.no_grad():
            losses.append([float(optimizer.step(closure).detach()) for _ in range(10)])
    assert losses[0] == losses[1]
    assert losses[1][-1] < losses[1][0]
    assert_same(*pair)


@pytest.mark.parametrize("fresh", [True, False])
def test_hooks_are_called_once_a_step(fresh):
    # Torch changes its own class when the first object of it is made.
    theirs = type("Adam", (torch.optim.Adam,), {}) if fresh else torch.optim.Adam
    pair = both(theirs, _adam.Adam)
    calls = {id(each): [] for each in pair}
    for each in pair:
        each.register_step_pre_hook(lambda optimizer, *_: calls[id(optimizer)].append("before"))
        each.register_step_post_hook(lambda optimizer, *_: calls[id(optimizer)].append("after"))
    removed = every_optimizer.register_optimizer_step_pre_hook(
        lambda optimizer, *_: calls[id(optimizer)].append("everywhere")
    )
    try:
        for step in range(3):
            for each in pair:
                give_gradients(values_of(each), step)
                each.step()
    finally:
        removed.remove()
    assert calls[id(pair[1])] == ["everywhere", "before", "after"] * 3 == calls[id(pair[0])]
    assert_same(*pair)


def test_sparse_gradients_are_refused_as_by_torch():
    table = torch.nn.Embedding(5, 2, sparse=True)
    optimizer = _adam.Adam(table.parameters(), fused=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="does not support sparse gradients"):
        optimizer.step()


def test_gradients_are_let_go_of_or_made_zero():
    optimizer = _adam.Adam(parameters(), fused=True)
    give_gradients(values_of(optimizer), 0)
    optimizer.zero_grad(set_to_none=False)
    assert all(not value.grad.any() for value in values_of(optimizer))
    optimizer.zero_grad()
    assert all(value.grad is None for value in values_of(optimizer))


def test_the_usual_step_is_not_taken_without_need(monkeypatch):
    optimizer = _adam.Adam(parameters(), fused=True)
    give_gradients(values_of(optimizer), 0)
    optimizer.step()
    monkeypatch.setattr(torch.optim.Adam, "step", None)
    before = [value.detach().clone() for value in values_of(optimizer)]
    optimizer.step()
    assert all((value != old).all() for value, old in zip(values_of(optimizer), before, strict=True))
