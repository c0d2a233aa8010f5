from __future__ import annotations

import pytest
import torch

from curvi.likelihoods import CountMean


def test_softmax_shares_out_the_size():
    torch.manual_seed(0)
    size = torch.tensor([[10.0], [2000.0]])
    mean = CountMean()(torch.randn(5, 2, 8), size)
    assert (mean > 0).all()
    torch.testing.assert_close(mean.sum(-1, keepdim=True), size.expand(5, 2, 1))


def test_softplus_multiplies_the_size():
    raw, size = torch.tensor([[0.0, 3.0], [0.0, 3.0]]), torch.tensor([[1.0], [2.5]])
    expected = torch.nn.functional.softplus(raw) * size
    torch.testing.assert_close(CountMean("softplus")(raw, size), expected)


@pytest.mark.parametrize("activation", ["softmax", "softplus"])
def test_never_zero(activation):
    assert (CountMean(activation)(torch.tensor([[0.0, -1e4]]), torch.ones(1, 1)) > 0).all()


def test_unknown_name():
    with pytest.raises(ValueError, match="unknown `mean_activation` 'exp'; the known names are 'softmax', 'softplus'"):
        CountMean("exp")
