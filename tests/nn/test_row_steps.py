"""Normalisation and activation of rows in one pass are what torch does in two."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from curvi.nn._dropout import Dropout
from curvi.nn._row_steps import RowSteps, _RowSteps

ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU}


def both(width: int, activation: str = "elu", norm_first: bool = True, **options) -> tuple[RowSteps, nn.Sequential]:
    """The same steps in compiled passes and as torch takes them, with weights and running figures of their own."""
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(width, eps=1e-3, momentum=0.1, **options)
    if norm.affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    steps = [norm, ACTIVATIONS[activation]()]
    ours = RowSteps(*(steps if norm_first else steps[::-1]))
    return ours, nn.Sequential(*deepcopy(list(ours)))


def is_compiled(made: torch.Tensor) -> bool:
    return type(made.grad_fn).__name__ == "_RowStepsBackward"


def passes(steps: nn.Module, x: torch.Tensor, weight: torch.Tensor, *groups: int) -> list[torch.Tensor]:
    """What steps make of rows, all gradients of a weighted sum of it, and the running figures after it."""
    x = x.clone().requires_grad_()
    made = steps(x, *groups)
    gradients = torch.autograd.grad((made * weight).sum(), [x, *steps.parameters()])
    return [made.detach(), *gradients, *(buffer.double() for buffer in steps.buffers())]


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("n", "width"), [(128, 128), (77, 32), (31, 300), (2, 3), (200, 1)])
def test_numbers_are_those_of_torch(activation, norm_first, n, width):
    ours, theirs = both(width, activation, norm_first)
    x, weight = torch.randn(n, width) * 3 + 1, torch.randn(n, width)
    assert is_compiled(ours(x.clone().requires_grad_()))
    theirs(x)
    # The truth has more digits; two rows are normalised to 1 and -1 whatever they are, so their gradient is rounding.
    truth = passes(theirs.double(), x.double(), weight.double())
    for i, (got, true) in enumerate(zip(passes(ours, x, weight), truth, strict=True)):
        small = 1e-3 if n == 2 and i == 1 else 1e-5
        torch.testing.assert_close(got.double(), true, rtol=1e-5, atol=small)


@pytest.mark.parametrize("norm_first", [True, False])
def test_groups_are_what_they_are_one_after_the_other(norm_first):
    ours, theirs = both(20, "elu", norm_first)
    x, weight = torch.randn(3, 16, 20) * torch.tensor([1.0, 2.0, 5.0])[:, None, None], torch.randn(48, 20)
    together = passes(ours, x.flatten(0, 1), weight, 3)
    apart = [passes(ours.__class__(*theirs), group, part) for group, part in zip(x, weight.chunk(3), strict=True)]
    torch.testing.assert_close(together[0], torch.cat([made for made, *_ in apart]))
    torch.testing.assert_close(together[1], torch.cat([each[1] for each in apart]))
    for at in (2, 3):
        torch.testing.assert_close(together[at], sum(each[at] for each in apart))
    for got, true in zip(together[4:], apart[-1][4:], strict=True):
        torch.testing.assert_close(got, true)


def test_groups_that_torch_takes_are_the_same():
    ours, _ = both(5)
    x, weight = torch.randn(12, 5), torch.randn(12, 5)
    again = deepcopy(ours).double()
    for got, true in zip(passes(ours, x, weight, 2), passes(again, x.double(), weight.double(), 2), strict=True):
        torch.testing.assert_close(got.double(), true.double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm_first", [True, False])
def test_the_gradient_is_the_slope_along_a_direction(norm_first):
    # In single precision the difference of two sums has digits enough, those of single numbers have not.
    ours, _ = both(6, "elu", norm_first)
    x, weight, direction = torch.randn(40, 6), torch.randn(40, 6), torch.randn(40, 6)
    _, in_x, *_ = passes(ours, x, weight)
    step = 1e-2
    up, down = ((ours(x + sign * step * direction).detach().double() * weight).sum() for sign in (1, -1))
    assert float((in_x * direction).sum()) == pytest.approx(float(up - down) / (2 * step), rel=1e-3)


def test_slopes_far_below_zero_keep_their_digits():
    x = torch.linspace(-20, -10, 32)[:, None].repeat(1, 2)
    ours, theirs = both(2, norm_first=False)
    weight = torch.randn(32, 2)
    torch.testing.assert_close(
        passes(ours, x, weight)[1], passes(theirs.double(), x.double(), weight.double())[1].float(), rtol=1e-5, atol=0
    )


def test_columns_far_from_zero_and_constant_ones():
    ours, theirs = both(3)
    x = torch.randn(64, 3) * torch.tensor([1.0, 0.0, 1e-3]) + torch.tensor([1e3, 7.0, 0.0])
    torch.testing.assert_close(ours(x).double(), theirs.double()(x.double()), rtol=1e-5, atol=1e-4)


def test_what_is_no_number_stays_none():
    for activation in ACTIVATIONS:
        for norm_first in (True, False):
            ours, _ = both(3, activation, norm_first)
            x = torch.randn(8, 3)
            x[2, 1] = float("nan")
            assert ours(x).isnan().any(0).tolist() == [False, True, False]


def test_dropout_follows():
    ours, _ = both(50)
    torch.manual_seed(1)
    made = RowSteps(*ours, Dropout(0.5))(torch.randn(40, 50))
    assert 0.4 < float((made == 0).float().mean()) < 0.6


def test_evaluation_has_the_running_figures():
    ours, theirs = both(4)
    x = torch.randn(30, 4)
    for _ in range(5):
        ours(x), theirs(x)
    assert not is_compiled(ours.eval()(x))
    torch.testing.assert_close(ours(x), theirs.eval()(x))


def test_names_of_weights_are_those_of_torch():
    ours, theirs = both(4)
    assert ours.state_dict().keys() == theirs.state_dict().keys()


USUAL = {
    "held": lambda steps: steps[0].eval(),
    "hook": lambda steps: steps[1].register_forward_hook(lambda *_: None),
    "double precision": lambda steps: steps.double(),
    "another slope": lambda steps: setattr(steps[1], "alpha", 0.5),
    "no running figures": lambda steps: setattr(steps[0], "track_running_stats", False),
    "mean of all": lambda steps: setattr(steps[0], "momentum", None),
    "another activation": lambda steps: steps.__setitem__(1, nn.GELU()),
    "another norm": lambda steps: steps.__setitem__(0, nn.LayerNorm(4)),
    "norm alone": lambda steps: steps.__delitem__(1),
}


@pytest.mark.parametrize("change", USUAL)
def test_whatever_is_unusual_is_left_to_torch(change, monkeypatch):
    ours, _ = both(4)
    USUAL[change](ours)
    monkeypatch.setattr(_RowSteps, "apply", None)
    x = torch.randn(10, 4, dtype=ours[0].weight.dtype)
    theirs = nn.Sequential(*deepcopy(list(ours)))
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("n_groups", [1, 3])
def test_one_row_has_the_error_of_torch(n_groups):
    ours, _ = both(4)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        ours(torch.randn(n_groups, 4), n_groups)


def test_groups_of_different_sizes_are_refused():
    ours, _ = both(4)
    with pytest.raises(ValueError, match="`n_groups` is 2, but 7 rows"):
        ours(torch.randn(7, 4), 2)


def test_threads_share_the_columns():
    x, weight = torch.randn(30, 700), torch.randn(30, 700)
    before, made = torch.get_num_threads(), []
    for n_threads in (1, 3):
        torch.set_num_threads(n_threads)
        made.append(passes(both(700)[0], x, weight, 2))
    torch.set_num_threads(before)
    for one, several in zip(*made, strict=True):
        assert torch.equal(one, several)
