from __future__ import annotations

import torch

from curvi.likelihoods._fold import fold


def test_the_product_of_logit_and_value():
    torch.manual_seed(0)
    logits, value = 10 * torch.randn(50, dtype=torch.float64), torch.rand(50, dtype=torch.float64)
    size, away = fold(logits, value)
    assert (size >= 0).all()
    assert ((away >= 0) & (away <= 1)).all()
    torch.testing.assert_close(-size * away, logits * value - logits.clamp(min=0))


def test_a_logit_of_zero_has_a_gradient():
    logits = torch.zeros(1, requires_grad=True)
    fold(logits, torch.tensor([0.25]))[0].backward()
    assert logits.grad == 1.0
