"""Dropout from a compiled mask."""

from __future__ import annotations

import pytest
import torch

from curvi.nn._dropout import Dropout


def drawn(rate, shape=(400, 500), seed=0):
    torch.manual_seed(seed)
    return Dropout(rate)(torch.ones(shape))


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_units_are_lost_at_the_rate_and_the_others_scaled(rate):
    found = drawn(rate)
    lost = (found == 0).double()
    torch.testing.assert_close(found[found != 0].unique(), torch.tensor([1 / (1 - rate)]))
    error = (rate * (1 - rate)) ** 0.5
    assert abs(lost.mean() - rate) < 5 * error / 200_000**0.5
    # Along both axes, too, so that no unit and no cell is favoured.
    assert (lost.mean(0) - rate).abs().max() < 5 * error / 400**0.5
    assert (lost.mean(1) - rate).abs().max() < 5 * error / 500**0.5


def test_units_are_lost_independently():
    lost = (drawn(0.5) == 0).double() - 0.5
    for a, b in [
        (lost[:, :-1], lost[:, 1:]),
        (lost[:-1], lost[1:]),
        (lost, (drawn(0.5, seed=1) == 0).double() - 0.5),
    ]:
        assert abs((a * b).mean()) < 5 * 0.25 / a.numel() ** 0.5


def test_a_seed_says_what_is_lost_whatever_the_threads():
    before = torch.get_num_threads()
    found = []
    for n_threads in (1, 3):
        torch.set_num_threads(n_threads)
        found.append(drawn(0.3))
    torch.set_num_threads(before)
    assert torch.equal(*found)
    assert not torch.equal(found[0], drawn(0.3, seed=1))
    dropout = Dropout(0.3)
    assert not torch.equal(dropout(torch.ones(5, 50)), dropout(torch.ones(5, 50)))


def test_the_gradient_is_that_of_the_same_units():
    x = torch.randn(20, 30, requires_grad=True)
    torch.manual_seed(0)
    y = Dropout(0.4)(x)
    (grad,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(grad, drawn(0.4, (20, 30)))


@pytest.mark.parametrize("x", [torch.ones(3, 4, dtype=torch.float64), torch.ones(3), torch.ones(2, 3, 4)])
def test_other_numbers_go_torchs_way(x):
    torch.manual_seed(0)
    expected = torch.nn.functional.dropout(x, 0.5)
    torch.manual_seed(0)
    assert torch.equal(Dropout(0.5)(x), expected)


def test_nothing_is_lost_in_evaluation_or_at_rate_0():
    x = torch.ones(3, 4)
    assert Dropout(0.5).eval()(x) is x
    assert torch.equal(Dropout(0.0)(x), x)
    assert torch.equal(Dropout(1.0)(x), torch.zeros(3, 4))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_fewer_digits_lose_the_same_units(dtype):
    torch.manual_seed(0)
    found = Dropout(0.5)(torch.ones(40, 50, dtype=dtype))
    assert found.dtype == dtype
    assert torch.equal(found.float(), drawn(0.5, (40, 50)))
