from __future__ import annotations

import pytest
import torch

from curvi.likelihoods import Dispersion


def _evaluate(dispersion, n, n_features):
    maps = [torch.zeros(n, n_features)] * dispersion.n_params
    return dispersion(maps, torch.arange(2 * n).reshape(n, 2) % 3)


@pytest.mark.parametrize("name", Dispersion.names())
def test_contract(name):
    dispersion = Dispersion.named(name)(4, [3, 3], level=1, start=0.5)
    value = _evaluate(dispersion, 6, 4)
    torch.testing.assert_close(value.expand(6, 4), torch.full((6, 4), 0.5))
    assert torch.broadcast_shapes(value.shape, (6, 4)) == (6, 4)


@pytest.mark.parametrize("name", ["gene", "gene-batch"])
@pytest.mark.parametrize("log_value", [-1e4, 1e4])
def test_stays_in_range(name, log_value):
    dispersion = Dispersion.named(name)(4, [3, 3])
    torch.nn.init.constant_(dispersion.log_value, log_value)
    value = _evaluate(dispersion, 6, 4)
    assert ((value >= 0.999e-7) & (value <= 1.001e7)).all()


@pytest.mark.parametrize("name", ["gene", "gene-cell"])
@pytest.mark.parametrize("shape", [(5,), (0,), (3, 7000)])
def test_values_and_slopes_are_those_of_more_digits(name, shape):
    torch.manual_seed(0)
    numbers = 8 * torch.randn(shape)
    numbers.view(-1)[:4] = torch.tensor([torch.inf, -torch.inf, 0.0, 20.0])[: numbers.numel()]
    made = []
    for dtype in (torch.float32, torch.float64):
        dispersion = Dispersion.named(name)(shape[-1])
        given = numbers.to(dtype).requires_grad_()
        if name == "gene":
            dispersion.log_value = torch.nn.Parameter(given.detach())
            given = dispersion.log_value
        value = dispersion([given] * dispersion.n_params)
        (slope,) = torch.autograd.grad((value * torch.arange(shape[-1])).sum(), given)
        made.append((value, slope))
    for single, double in zip(*made, strict=True):
        torch.testing.assert_close(single.double(), double, rtol=1e-6, atol=1e-12)


def test_what_is_no_number_stays_none():
    value = Dispersion.named("gene-cell")(3)([torch.tensor([[1.0, torch.nan, 0.0]])])
    assert value.isnan().tolist() == [[False, True, False]]


def test_jitter_spreads_the_first_values():
    torch.manual_seed(0)
    log_value = Dispersion.named("gene")(20_000, start=2.0, jitter=1.0)([]).log()
    torch.testing.assert_close(log_value.mean().exp(), torch.tensor(2.0), rtol=0.05, atol=0)
    torch.testing.assert_close(log_value.std(), torch.tensor(1.0), rtol=0.03, atol=0)


def test_categories_have_rows_of_their_own():
    dispersion = Dispersion.named("gene-batch")(4, [3, 5], level=1, jitter=1.0)
    assert dispersion.log_value.shape == (5, 4)
    levels = torch.tensor([[0, 4], [2, 1], [1, 4]])
    value = dispersion([], levels)
    torch.testing.assert_close(value, dispersion.log_value.exp()[levels[:, 1]])
    value[1].sum().backward()
    assert (dispersion.log_value.grad.abs().sum(1) > 0).tolist() == [False, True, False, False, False]


def test_a_category_that_no_row_exists_for():
    with pytest.raises(IndexError):
        Dispersion.named("gene-batch")(4, [3])([], torch.tensor([[3]]))


@pytest.mark.parametrize(("n_per_level", "level"), [([], 0), ([2], 1), ([2], -1)])
def test_missing_level(n_per_level, level):
    with pytest.raises(
        ValueError, match=rf"`dispersion_level` is {level}, but there are {len(n_per_level)} batch levels"
    ):
        Dispersion.named("gene-batch")(4, n_per_level, level=level)


def test_missing_levels():
    with pytest.raises(ValueError, match="`levels` is missing"):
        Dispersion.named("gene-batch")(4, [2])([])


@pytest.mark.parametrize("name", Dispersion.names())
@pytest.mark.parametrize("start", [0.0, -1.0, 1e9, float("nan")])
def test_start_out_of_range(name, start):
    with pytest.raises(ValueError, match="must lie in"):
        Dispersion.named(name)(4, [2], start=start)


def test_unknown_name():
    with pytest.raises(
        ValueError, match="unknown dispersion 'cell'; the known names are 'gene', 'gene-batch', 'gene-cell'"
    ):
        Dispersion.named("cell")


def test_what_is_not_learned_is_no_parameter():
    assert not list(Dispersion.named("fixed")(4).parameters())
    assert list(Dispersion.named("fixed")(4).state_dict()) == ["value"]
