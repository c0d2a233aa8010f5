"""Fully connected encoders and decoders."""

from __future__ import annotations

import pytest
import torch

from curvi.nn import MLP, MLPDecoder

NO_LEVELS = torch.zeros(6, 0, dtype=torch.int64)


def test_draws_in_front_are_decoded_like_one_draw():
    torch.manual_seed(0)
    decoder = MLPDecoder(MLP(3, 2 * 11, [8, 16], n_per_level=[4]), n_params=2).eval()
    z, levels = torch.randn(5, 6, 3), torch.randint(4, (6, 1))
    raw = decoder(z, levels)
    assert raw.shape == (5, 6, 2, 11)
    torch.testing.assert_close(raw[2], decoder(z[2], levels))


def test_no_hidden_layer_is_linear_and_still_sees_the_levels():
    torch.manual_seed(0)
    net = MLP(5, 3, [], n_per_level=[2])
    x, y, levels = torch.randn(6, 5), torch.randn(6, 5), torch.zeros(6, 1, dtype=torch.int64)
    zero = net(torch.zeros(6, 5), levels)
    torch.testing.assert_close(net(x + y, levels) - zero, (net(x, levels) - zero) + (net(y, levels) - zero))
    assert not torch.allclose(net(x, levels), net(x, levels + 1))


@pytest.mark.parametrize(("deep", "shifted"), [(True, [True, True]), (False, [True, False])])
def test_covariates_enter_every_layer_or_the_first(deep, shifted):
    net = MLP(5, 3, [8, 8], n_per_level=[2], deeply_inject_covariates=deep)
    assert [block.shift is not None for block in net.blocks] == shifted


def test_without_levels_there_are_no_tables():
    assert not any("table" in name for name, _ in MLP(5, 3, [8]).named_parameters())


def test_normalisation_may_follow_the_activation():
    names = [type(step).__name__ for step in MLP(5, 3, [8], activation="elu", norm_first=False).blocks[0].steps]
    assert names == ["ELU", "BatchNorm1d"]


@pytest.mark.parametrize(
    ("argument", "message"), [("activation", "'relu'"), ("normalization", "'batch', 'layer', 'none'")]
)
def test_unknown_names_list_the_known(argument, message):
    with pytest.raises(ValueError, match=f"unknown {argument} 'x'; the known names are .*{message}"):
        MLP(5, 3, [8], **{argument: "x"})


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    net = MLP(5, 3, [8, 4], n_per_level=[2, 3], n_continuous=1)
    levels = torch.tensor([[0, 0], [1, 1], [0, 2], [1, 0], [0, 1], [1, 2]])
    net(torch.randn(6, 5), levels, torch.randn(6, 1)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
