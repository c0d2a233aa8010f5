"""Denoising: noise on what the encoder sees in training, never on what is to be reconstructed."""

from __future__ import annotations

import anndata
import numpy as np
import pytest
import torch

from curvi import CurviVAE, presets


@pytest.fixture
def plane() -> anndata.AnnData:
    """Clean points of a plane in 30 dimensions."""
    rng = np.random.default_rng(0)
    return anndata.AnnData((rng.standard_normal((1000, 2)) @ rng.standard_normal((2, 30)) / 2).astype(np.float32))


def test_a_denoising_autoencoder_removes_noise(plane, quiet):
    CurviVAE.setup_anndata(plane)
    model = CurviVAE(plane, **presets.denoising, n_latent=2, corruption_kwargs={"scale": 0.5})
    model.train(max_epochs=60, plan_kwargs={"lr": 3e-3}, **quiet)
    noisy = plane.copy()
    noisy.X = plane.X + 0.5 * np.random.default_rng(1).standard_normal(plane.shape).astype(np.float32)
    restored = model.decode(model.get_latent_representation(noisy))
    before, after = ((x - plane.X) ** 2 for x in (noisy.X, restored))
    # Of 30 directions the noise keeps 2.
    assert after.mean() < 0.3 * before.mean()


def test_only_training_is_corrupted(cells, quiet):
    CurviVAE.setup_anndata(cells)
    model = CurviVAE(cells, corruption="dropout", corruption_kwargs={"rate": 0.9})
    model.train(max_epochs=1, **quiet)
    np.testing.assert_array_equal(model.get_latent_representation(), model.get_latent_representation())


@pytest.mark.parametrize("corruption", [None, "dropout"])
def test_a_thinned_copy_is_encoded_as_if_alone(cells, monkeypatch, corruption):
    CurviVAE.setup_anndata(cells)
    module = CurviVAE(cells, thinning_weight=1.0, dropout_rate=0.0, corruption=corruption).module.train()
    x, levels = torch.as_tensor(cells.X[:50].toarray()), torch.empty(50, 0, dtype=torch.int64)
    monkeypatch.setattr(module.thinning, "forward", lambda counts: (counts - 1).clamp_min(0))
    if corruption:
        monkeypatch.setattr(module.corruption, "forward", lambda counts: 2 * counts)
    outputs = module.inference(x, levels)
    torch.testing.assert_close(outputs["qz"].loc, module.encode(2 * x if corruption else x, levels).loc)
    thinned = module.latent.location(module.encode((x - 1).clamp_min(0), levels))
    torch.testing.assert_close(outputs["thinned_loc"], thinned)
    assert "thinned_loc" not in module.eval().inference(x, levels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"corruption": "blur"}, "unknown corruption 'blur'; the known names are 'thinning'"),
        ({"corruption": "gaussian"}, "corruption 'gaussian' does not go with likelihood 'nb'.*'thinning', 'dropout'"),
        ({"corruption": "thinning", "likelihood": "normal"}, "'thinning' does not go with likelihood 'normal'"),
        ({"corruption": "dropout", "corruption_kwargs": {"scale": 1.0}}, "corruption 'dropout' does not take 'scale'"),
        ({"corruption": "dropout", "corruption_kwargs": {"rate": 2.0}}, "`rate` is 2.0"),
        ({"corruption_kwargs": {"rate": 0.5}}, "`corruption_kwargs` was given without `corruption`"),
    ],
)
def test_bad_corruptions(cells, arguments, message):
    CurviVAE.setup_anndata(cells)
    with pytest.raises(ValueError, match=message):
        CurviVAE(cells, **arguments)
