"""Dynamic binarisation: what the module is given in training is black and white, and not twice the same."""

from __future__ import annotations

import pytest
import torch

import curvi
from curvi.model import DynamicBinarization


@pytest.fixture
def digits():
    adata = curvi.datasets.digits()[:300].copy()
    curvi.CurviVAE.setup_anndata(adata)
    return adata


def test_training_sees_draws_of_the_grey_values(digits, quiet, monkeypatch):
    model = curvi.CurviVAE(digits, latent="vmf", n_latent=2, likelihood="bernoulli")
    seen: list[torch.Tensor] = []
    encode = model.module.encode
    monkeypatch.setattr(model.module, "encode", lambda x, *rest: seen.append(x) or encode(x, *rest))
    model.train(max_epochs=40, batch_size=300, train_size=1.0, callbacks=[DynamicBinarization()], **quiet)
    assert all(((x == 0) | (x == 1)).all() for x in seen)
    assert not torch.equal(seen[0].sum(0), seen[1].sum(0))
    grey = torch.as_tensor(digits.X).mean(0)
    torch.testing.assert_close(torch.stack(seen).mean((0, 1)), grey, rtol=0, atol=0.02)


def test_the_data_stay_as_they_are(digits, quiet):
    before = digits.X.copy()
    model = curvi.CurviVAE(digits, latent="vmf", n_latent=2, likelihood="bernoulli")
    model.train(max_epochs=2, check_val_every_n_epoch=1, callbacks=[DynamicBinarization()], **quiet)
    assert (digits.X == before).all()
    assert model.history["elbo_validation"].notna().all().all()
