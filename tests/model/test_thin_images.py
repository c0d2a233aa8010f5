"""Images of mostly black pixels are trained on as compressed rows, with the same result."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from anndata import AnnData

import curvi
from curvi.data import _loader

QUIET = {"enable_progress_bar": False, "enable_model_summary": False}
RNG = np.random.default_rng(0)
BYTES = (RNG.integers(1, 256, (200, 30)) * (RNG.random((200, 30)) < 0.2)).astype(np.uint8)


def trained(likelihood):
    torch.manual_seed(0)
    adata = AnnData(BYTES, uns={"curvi_images": {"height": 6, "width": 5, "channels": 1}})
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(adata, latent="normal", n_latent=2, likelihood=likelihood, n_hidden=[16, 8])
    seen = []
    model.module.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].layout))
    model.train(3, batch_size=50, train_size=0.9, shuffle_set_split=False, check_val_every_n_epoch=1, **QUIET)
    found = {name: frame.iloc[:, 0].to_numpy(float) for name, frame in model.history_.items()}
    return found | {"embedding": model.get_latent_representation()}, set(seen)


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli", "normal"])
def test_compressed_rows_train_the_same_model(likelihood, monkeypatch):
    thin, layouts = trained(likelihood)
    assert layouts == {torch.sparse_csr}
    monkeypatch.setattr(_loader, "_THIN", 0.0)
    dense, layouts = trained(likelihood)
    assert layouts == {torch.strided}
    for name, values in thin.items():
        np.testing.assert_allclose(values, dense[name], rtol=2e-3, atol=2e-4, err_msg=name)
