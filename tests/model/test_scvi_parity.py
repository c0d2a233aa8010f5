"""With ``latent="normal"`` the model is scVI: the same weights give the same posterior, likelihood and divergence."""

from __future__ import annotations

import numpy as np
import pytest
import scvi
import torch
from torch import Tensor, nn

import curvi


def split_columns(linear: nn.Linear, n_in: int) -> tuple[Tensor, Tensor]:
    """The weight of the input, and of the one-hot columns behind it."""
    return linear.weight[:, :n_in], linear.weight[:, n_in:]


@torch.no_grad()
def copy_block(block: nn.Module, host: nn.Module, n_in: int) -> None:
    weight, one_hot = split_columns(host[0], n_in)
    block.linear.weight.copy_(weight)
    block.linear.bias.copy_(host[0].bias)
    block.steps[0].load_state_dict(host[1].state_dict())
    if block.shift is not None:
        start = 0
        for table in block.shift.tables:
            table.copy_(one_hot[:, start : start + len(table)].T)
            start += len(table)


@torch.no_grad()
def copy_weights(model: curvi.CurviVAE, host: scvi.model.SCVI, n_genes: int, n_latent: int) -> None:
    ours, theirs = model.module, host.module
    encoder, decoder = ours.encoder.network, ours.decoder.network
    for blocks, layers, first in (
        (encoder.blocks, theirs.z_encoder.encoder.fc_layers, n_genes),
        (decoder.blocks, theirs.decoder.px_decoder.fc_layers, n_latent),
    ):
        n_in = first
        for block, layer in zip(blocks, layers, strict=True):
            copy_block(block, layer, n_in)
            n_in = block.linear.out_features
    heads = [theirs.z_encoder.mean_encoder, theirs.z_encoder.var_encoder]
    encoder.head.weight.copy_(torch.cat([head.weight for head in heads]))
    encoder.head.bias.copy_(torch.cat([head.bias for head in heads]))
    heads = [theirs.decoder.px_scale_decoder[0], theirs.decoder.px_dropout_decoder][: ours.likelihood.n_params]
    decoder.head.weight.copy_(torch.cat([head.weight for head in heads]))
    decoder.head.bias.copy_(torch.cat([head.bias for head in heads]))
    dispersion = list(ours.likelihood.parameters())
    assert len(dispersion) == 1
    dispersion[0].copy_(theirs.px_r.reshape(dispersion[0].shape))


@pytest.mark.parametrize("likelihood", ["nb", "zinb"])
@pytest.mark.parametrize("encode_covariates", [False, True])
def test_equal_weights_give_equal_terms_of_the_elbo(cells, likelihood, encode_covariates):
    torch.manual_seed(0)
    architecture = {"n_latent": 4, "n_layers": 2, "n_hidden": 16, "encode_covariates": encode_covariates}
    scvi.model.SCVI.setup_anndata(cells, batch_key="patient", categorical_covariate_keys=["condition"])
    host = scvi.model.SCVI(cells, gene_likelihood=likelihood, **architecture)
    curvi.CurviVAE.setup_anndata(cells, batch_key=["patient", "condition"])
    model = curvi.CurviVAE(cells, latent="normal", likelihood=likelihood, **architecture)
    copy_weights(model, host, cells.n_vars, 4)

    tensors = next(iter(model._make_data_loader(cells, batch_size=240)))
    host.module.eval()
    model.module.eval()
    with torch.inference_mode():
        torch.manual_seed(1)
        theirs_in, theirs_out, theirs = host.module(tensors)
        torch.manual_seed(1)
        ours_in, ours_out, ours = model.module(tensors)
    torch.testing.assert_close(ours_in["qz"].mean, theirs_in["qz"].loc, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours_in["qz"].stddev, theirs_in["qz"].scale, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours_out["px"].mean, theirs_out["px"].mean, atol=1e-4, rtol=1e-4)
    for term in ("reconstruction_loss", "kl_local"):
        value, expected = getattr(ours, term), getattr(theirs, term)
        total = sum(expected.values())
        torch.testing.assert_close(sum(value.values()), total, atol=1e-2, rtol=1e-5)
        assert np.isfinite(total.numpy()).all()


@pytest.mark.parametrize("likelihood", ["nb", "zinb"])
def test_equal_weights_and_draws_give_the_same_marginal_likelihood_of_each_cell(cells, likelihood):
    torch.manual_seed(0)
    architecture = {"n_latent": 4, "n_layers": 1, "n_hidden": 16}
    scvi.model.SCVI.setup_anndata(cells, batch_key="patient")
    host = scvi.model.SCVI(cells, gene_likelihood=likelihood, **architecture)
    curvi.CurviVAE.setup_anndata(cells, batch_key="patient")
    model = curvi.CurviVAE(cells, latent="normal", likelihood=likelihood, **architecture)
    copy_weights(model, host, cells.n_vars, 4)
    for each in (host, model):
        each.module.eval()
        each.is_trained_ = True

    minibatches = list(model._make_data_loader(cells, batch_size=100))
    found = {}
    for name, each in (("host", host), ("ours", model)):
        torch.manual_seed(1)
        # In passes of one draw both draw the same numbers.
        found[name] = np.asarray(
            each.get_marginal_ll(dataloader=minibatches, n_mc_samples=30, n_mc_samples_per_pass=1, return_mean=False)
        )
    np.testing.assert_allclose(found["ours"], found["host"], atol=1e-2, rtol=1e-5)

    # Of minibatches of 100, 100 and 40 cells the host takes the mean of three means; here each cell counts the same.
    mean = host.get_marginal_ll(n_mc_samples=300, batch_size=100)
    ours = model.get_marginal_ll(n_mc_samples=300, batch_size=100, return_mean=False)
    assert mean == pytest.approx(np.mean([ours[:100].mean(), ours[100:200].mean(), ours[200:].mean()]), abs=0.3)
    assert model.get_marginal_ll(n_mc_samples=300, batch_size=100) == pytest.approx(ours.mean(), abs=0.3)


def test_equal_weights_and_draws_give_the_same_elbo_of_each_cell_and_in_the_mean(cells):
    torch.manual_seed(0)
    architecture = {"n_latent": 4, "n_layers": 1, "n_hidden": 16}
    scvi.model.SCVI.setup_anndata(cells, batch_key="patient")
    host = scvi.model.SCVI(cells, gene_likelihood="nb", **architecture)
    curvi.CurviVAE.setup_anndata(cells, batch_key="patient")
    model = curvi.CurviVAE(cells, latent="normal", likelihood="nb", **architecture)
    copy_weights(model, host, cells.n_vars, 4)
    chosen = np.arange(0, cells.n_obs, 3)
    minibatches = list(model._make_data_loader(cells, indices=chosen, batch_size=32))
    found = {}
    for name, each in (("host", host), ("ours", model)):
        each.module.eval()
        each.is_trained_ = True
        for mean in (False, True):
            torch.manual_seed(1)
            found[name, mean] = np.asarray(each.get_elbo(dataloader=minibatches, return_mean=mean))
    assert found["ours", False].shape == (len(chosen),)
    assert (found["ours", False] < 0).all()
    np.testing.assert_allclose(found["ours", False], found["host", False], atol=1e-2, rtol=1e-5)
    np.testing.assert_allclose(found["ours", True], found["host", True], rtol=1e-5)
