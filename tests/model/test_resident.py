"""Training with cells held on the device of the model takes the steps of training with minibatches from the host."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import scvi
import torch
from lightning.pytorch.callbacks import Callback
from scipy import sparse

import curvi
from curvi.model._training import CellSplitter
from curvi.module import VAE


@pytest.fixture
def said():
    """The lines of the host's logger."""
    lines, handler = [], logging.Handler(logging.INFO)
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("scvi").addHandler(handler)
    yield lines
    logging.getLogger("scvi").removeHandler(handler)


def _train(adata, data_device, quiet, *, seed=0, epochs=3, **kwargs):
    curvi.CurviVAE.setup_anndata(adata, **kwargs.pop("setup", {}))
    scvi.settings.seed = seed
    model = curvi.CurviVAE(adata, n_hidden=16, **kwargs)
    model.train(epochs, batch_size=32, check_val_every_n_epoch=1, data_device=data_device, **quiet)
    return model


def _assert_same(one, other):
    for (name, a), b in zip(one.module.state_dict().items(), other.module.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    for name, frame in one.history.items():
        np.testing.assert_array_equal(frame.astype(float), other.history[name].astype(float), err_msg=name)


@pytest.mark.parametrize("form", ["compressed", "dense"])
def test_weights_and_history_are_equal(cells, quiet, said, form, monkeypatch):
    # A step of compressed rows has its own rounding.
    monkeypatch.setattr(VAE, "trains_sparse", False)
    counts = cells.X.toarray()
    counts[:, 12:] = 0
    cells.X = counts if form == "dense" else sparse.csr_matrix(counts)
    setup = {"batch_key": ["patient", "condition"], "continuous_covariate_keys": ["age"]}
    models = [_train(cells, place, quiet, setup=setup, thinning_weight=1.0) for place in ("cpu", "model")]
    assert len(said) == 1
    assert f"{form} rows" in said[0]
    _assert_same(*models)
    other = _train(cells, "model", quiet, seed=1, setup=setup, thinning_weight=1.0)
    assert not all(torch.equal(a, b) for a, b in zip(*(m.module.parameters() for m in (models[1], other)), strict=True))


def test_images_too(quiet):
    digits = curvi.datasets.digits()[::6].copy()
    _assert_same(*(_train(digits, place, quiet, likelihood="bernoulli") for place in ("cpu", "model")))


def test_the_device_lets_go_after_training(cells, quiet, monkeypatch):
    held = []

    class Watched(CellSplitter):
        def _hold(self, device):
            super()._hold(device)
            held.append(self.data_loader_kwargs["resident"])

    monkeypatch.setattr(curvi.CurviVAE, "_data_splitter_cls", Watched)
    model = _train(cells, "model", quiet)
    model.train(1, data_device="model", **quiet)
    assert len(held) == 2
    with pytest.raises(RuntimeError, match="stopped"):
        model.train(1, data_device="model", callbacks=[_Stop()], **quiet)
    assert [each._values.nbytes for each in held] == [0, 0, 0]
    # On the CPU nothing is held unless asked for.
    model.train(1, **quiet)
    assert len(held) == 3
    assert model.get_latent_representation().shape == (cells.n_obs, 3)


class _Stop(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        assert batch["X"].shape[1] == 40
        raise RuntimeError("stopped")


def test_one_line_says_where(cells, quiet, said):
    _train(cells, "auto", quiet)
    assert said == []
    _train(cells, "model", quiet)
    assert said == ["The cells are held on cpu: 0.0 MB in dense rows of uint8."]


def test_what_cannot_be_is_said(cells, quiet):
    with pytest.raises(ValueError, match="unknown `data_device` 'gpu'; the known names are 'auto', 'cpu', 'model'"):
        _train(cells, "gpu", quiet)
    curvi.CurviVAE.setup_anndata(cells)
    model = curvi.CurviVAE(cells)
    with pytest.raises(ValueError, match="`data_device` is 'model', but `num_workers` is 2"):
        model.train(1, data_device="model", datasplitter_kwargs={"num_workers": 2}, **quiet)
    with pytest.raises(ValueError, match="`data_device` is 'cpu', but minibatches are those of `datamodule`"):
        model.train(1, data_device="cpu", datamodule=CellSplitter(model.adata_manager), **quiet)


@pytest.mark.gpu
def test_a_gpu_holds_the_cells_by_itself(cells, quiet, said):
    quiet["accelerator"] = "gpu"
    models = [_train(cells, place, quiet) for place in ("cpu", "auto")]
    assert sum("held on cuda:0" in line for line in said) == 1
    for a, b in zip(*(model.module.state_dict().values() for model in models), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
