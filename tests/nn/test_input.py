"""The linear map of features: of compressed rows what it is of dense ones, in value and gradient."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn

from curvi._compressed import compressed_counts
from curvi.nn import MLP
from curvi.nn._input import InputLinear

ROUNDING = 6e-8


def features(n, width, density):
    torch.manual_seed(n)
    return torch.rand(n, width) * (torch.rand(n, width) < density)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(
    ("n", "n_in", "n_out"), [(1, 5, 3), (40, 300, 128), (7, 33, 1), (130, 200, 17), (30, 50, 64), (30, 50, 200)]
)
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
def test_value_and_gradients_are_those_of_double_precision(n, n_in, n_out, density, n_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    x, layer, weight = features(n, n_in, density), InputLinear(n_in, n_out), torch.randn(n, n_out)
    found = layer(compressed_counts(x))
    in_weight, in_bias = torch.autograd.grad((weight * found).sum(), (layer.by_feature, layer.bias))
    torch.set_num_threads(before)
    exact = x.double() @ layer.by_feature.double() + layer.bias.double()
    size = x.double() @ layer.by_feature.double().abs() + layer.bias.double().abs()
    assert ((found.double() - exact).abs() <= 20 * ROUNDING * size).all()
    exact, size = x.double().t() @ weight.double(), x.double().t() @ weight.double().abs()
    assert ((in_weight.double() - exact).abs() <= 20 * ROUNDING * size).all()
    torch.testing.assert_close(in_bias, weight.sum(0), rtol=1e-5, atol=1e-5)


def test_it_starts_and_computes_as_the_usual_layer():
    torch.manual_seed(0)
    usual = nn.Linear(9, 4)
    torch.manual_seed(0)
    ours = InputLinear(9, 4)
    torch.testing.assert_close(ours.weight, usual.weight, rtol=0, atol=0)
    torch.testing.assert_close(ours.bias, usual.bias, rtol=0, atol=0)
    x = torch.randn(2, 5, 9)
    torch.testing.assert_close(ours(x), usual(x))
    assert ours.out_features == 4


def test_gradients_only_where_they_are_asked_for():
    layer, x = InputLinear(9, 4), compressed_counts(features(6, 9, 0.5))
    layer.by_feature.requires_grad_(False)
    (alone,) = torch.autograd.grad(layer(x).sum(), layer.bias)
    torch.testing.assert_close(alone, torch.full((4,), 6.0))
    layer.requires_grad_(False)
    assert not layer(x).requires_grad


def test_copies_and_files_keep_it():
    layer = InputLinear(9, 4)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other = InputLinear(9, 4)
    other.load_state_dict(torch.load(file))
    for each in (copy.deepcopy(layer), other):
        torch.testing.assert_close(each.by_feature, layer.by_feature, rtol=0, atol=0)


@pytest.mark.parametrize("n_hidden", [[], [16]])
def test_a_network_reads_compressed_rows(n_hidden):
    torch.manual_seed(0)
    net = MLP(40, 3, n_hidden, n_per_level=[2])
    x, levels = features(25, 40, 0.2), torch.randint(0, 2, (25, 1))
    torch.testing.assert_close(net(compressed_counts(x), levels), net(x, levels), rtol=1e-4, atol=1e-5)
