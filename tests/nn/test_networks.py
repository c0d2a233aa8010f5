"""Kinds of networks by name."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from curvi._compressed import compressed_counts
from curvi.nn import ConvNetworks, Layers, Networks


@pytest.mark.parametrize("name", Networks.names())
@pytest.mark.parametrize("n_per_level", [(), (2, 3)])
def test_every_kind_makes_networks_that_fit_each_other_and_the_data(name, n_per_level):
    torch.manual_seed(0)
    networks = Networks.named(name)(4 * 5 * 3, (4, 5, 3))
    layers = Layers(n_per_level, 1, activation="elu")
    widths = networks.default_widths(2)
    assert len(widths) == 2
    encoder = networks.encoder(3, widths, layers, 0.0)
    decoder = networks.decoder(3, 2, widths[::-1], layers)
    levels = torch.randint(2, (6, len(n_per_level)))
    continuous = torch.randn(6, 1)
    code = encoder(torch.rand(6, 60), levels, continuous)
    assert code.shape == (6, 3)
    raw = decoder(code.expand(4, 6, 3), levels, continuous)
    assert raw.shape == (4, 6, 2, 60)
    raw.square().sum().backward()
    parameters = [*encoder.parameters(), *decoder.parameters()]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)


@pytest.mark.parametrize("name", Networks.names())
def test_minibatches_below_each_other_are_encoded_as_each_by_itself(name):
    torch.manual_seed(0)
    first = Networks.named(name)(4 * 5 * 3, (4, 5, 3)).encoder(3, [8, 8], Layers((2, 3), 1, activation="elu"), 0.0)
    x, levels, continuous = torch.poisson(torch.rand(12, 60)), torch.randint(2, (12, 2)), torch.randn(12, 1)
    x[6:] *= 5
    for given in [x, compressed_counts(x)] if first.takes_sparse else [x]:
        encoder, again = deepcopy(first), deepcopy(first)
        together = encoder.encode_apart(given, levels, continuous, n_groups=2)
        apart = [again(*(part[half] for part in (x, levels, continuous))) for half in (slice(6), slice(6, 12))]
        torch.testing.assert_close(together, torch.cat(apart))
        for got, true in zip(encoder.buffers(), again.buffers(), strict=True):
            torch.testing.assert_close(got, true)
        assert not torch.allclose(together, encoder(x, levels, continuous))


@pytest.mark.parametrize(
    ("shape", "n_layers", "widths"),
    [
        ((28, 28, 1), None, [16, 32]),
        ((8, 8, 1), None, [16]),
        ((9, 2, 1), None, [16]),
        ((1, 1, 3), None, [16]),
        ((64, 200, 3), None, [16, 32, 64, 128, 128]),
        ((28, 28, 1), 3, [16, 32, 64]),
    ],
)
def test_stages_by_the_size_of_images(shape, n_layers, widths):
    assert ConvNetworks(shape[0] * shape[1] * shape[2], shape).default_widths(n_layers) == widths
