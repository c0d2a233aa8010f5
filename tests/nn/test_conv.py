"""Convolutional encoders and decoders."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from curvi.nn import ConvDecoder, ConvEncoder

SHAPES = [(1, 1, 1), (1, 9, 1), (2, 2, 3), (7, 5, 3), (8, 8, 1), (28, 28, 1), (33, 17, 2), (64, 48, 3)]
N = 4
NO_LEVELS = torch.zeros(N, 0, dtype=torch.int64)


def n_pixels(shape: tuple[int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [[4], [4, 6, 8]])
def test_any_size_is_encoded_and_decoded(shape, channels):
    torch.manual_seed(0)
    x = torch.rand(N, n_pixels(shape))
    code = ConvEncoder(shape, 5, channels, n_dense=8)(x, NO_LEVELS)
    assert code.shape == (N, 5)
    raw = ConvDecoder(shape, 5, 2, channels[::-1], n_dense=8, activation="elu")(code, NO_LEVELS)
    assert raw.shape == (N, 2, n_pixels(shape))
    # No border was filled in: every pixel depends on the latent point.
    assert (raw.std(0) > 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_pixel_is_seen(shape):
    torch.manual_seed(0)
    x = torch.rand(N, n_pixels(shape), requires_grad=True)
    ConvEncoder(shape, 3, [4, 8], n_dense=8, activation="elu")(x, NO_LEVELS).square().sum().backward()
    assert (x.grad.abs().sum(0) > 0).all()


@pytest.mark.parametrize("n_latent", [1, 2, 37])
@pytest.mark.parametrize("n_dense", [0, 8])
def test_draws_in_front_are_decoded_like_one_draw(n_latent, n_dense):
    torch.manual_seed(0)
    decoder = ConvDecoder((7, 5, 3), n_latent, 2, [8, 4], n_dense=n_dense, n_per_level=[4], n_continuous=1).eval()
    z, levels, continuous = torch.randn(5, 2, N, n_latent), torch.randint(4, (N, 1)), torch.randn(N, 1)
    raw = decoder(z, levels, continuous)
    assert raw.shape == (5, 2, N, 2, 105)
    torch.testing.assert_close(raw[2, 1], decoder(z[2, 1], levels, continuous))


def test_a_decoder_reproduces_pixels_in_their_order():
    torch.manual_seed(0)
    shape = (9, 6, 3)
    # No two pixels are alike, so that a flip, a transposition or a swap of channels or parameters would show.
    image = torch.rand(2, 2 * n_pixels(shape))
    decoder = ConvDecoder(shape, 2, 2, [16, 8], normalization="none", activation="elu")
    optimiser = torch.optim.Adam(decoder.parameters(), lr=0.01)
    z = torch.eye(2)
    for _ in range(100):
        optimiser.zero_grad()
        loss = functional.mse_loss(decoder(z, NO_LEVELS[:2]).flatten(1), image)
        loss.backward()
        optimiser.step()
    assert loss < 0.1 * image.var()


def test_pixels_that_touch_in_the_image_share_their_maps():
    # A decoder that only mixes what touches: the maps of one corner move that corner of the image alone.
    torch.manual_seed(0)
    decoder = ConvDecoder((16, 12, 2), 3, 1, [4, 4], normalization="none", n_blocks=0)
    reached = []
    for row, column in [(0, 0), (0, -1), (-1, 0)]:
        maps = torch.zeros(1, 4, 4, 3)
        maps[..., row, column] = 1
        for layer in decoder.layers:
            maps = layer(maps, NO_LEVELS[:1], None)
        image = decoder.head(maps).permute(0, 2, 3, 1)[0, ..., 0]
        reached.append(torch.nonzero(image).float().mean(0))
    top_left, top_right, bottom_left = reached
    assert top_right[1] - top_left[1] > 4
    assert bottom_left[0] - top_left[0] > 8


@pytest.mark.parametrize("side", [6, 7, 12, 21])
def test_sampling_is_symmetric_about_the_centre(side):
    torch.manual_seed(0)
    shape = (side, side, 1)
    encoder = ConvEncoder(shape, 3, [4, 4], normalization="none")
    with torch.no_grad():
        for layer in encoder.layers:
            for conv in (module for module in layer.modules() if isinstance(module, torch.nn.Conv2d)):
                conv.weight.copy_((conv.weight + conv.weight.flip(-1)) / 2)
    maps = torch.rand(1, 1, side, side)
    mirrored = maps.flip(-1)
    for layer in encoder.layers:
        maps, mirrored = layer(maps, NO_LEVELS[:1], None), layer(mirrored, NO_LEVELS[:1], None)
    torch.testing.assert_close(mirrored, maps.flip(-1))


@pytest.mark.parametrize("normalization", ["batch", "layer", "none"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 3)])
def test_every_parameter_gets_a_gradient(normalization, shape):
    torch.manual_seed(0)
    seen = {"n_per_level": [2, 3], "n_continuous": 1, "normalization": normalization, "activation": "elu"}
    encoder, decoder = ConvEncoder(shape, 3, [4, 8], **seen), ConvDecoder(shape, 3, 2, [8, 4], **seen)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    levels = torch.tensor([[0, 0], [1, 1], [0, 2], [1, 0], [0, 1], [1, 2]])
    x, continuous = torch.rand(6, n_pixels(shape)), torch.randn(6, 1)
    optimiser = torch.optim.SGD(parameters, lr=1e-3)
    # The second convolution of a residual block starts at zero, and lets its first learn after one step.
    for _ in range(2):
        optimiser.zero_grad()
        decoder(encoder(x, levels, continuous), levels, continuous).square().sum().backward()
        optimiser.step()
    assert all(p.grad is not None and p.grad.isfinite().all() and (p.grad != 0).any() for p in parameters)


@pytest.mark.parametrize("deep", [True, False])
def test_covariates_shift_every_layer_or_the_first(deep):
    encoder = ConvEncoder((8, 8, 1), 3, [4, 8], n_per_level=[2], deeply_inject_covariates=deep)
    decoder = ConvDecoder((8, 8, 1), 3, 1, [8, 4], n_per_level=[2], deeply_inject_covariates=deep)
    n_tables = [sum("tables" in name for name, _ in net.named_parameters()) for net in (encoder, decoder)]
    # Encoder: two strided layers, two residual blocks, a dense layer. Decoder: dense, two blocks, one transposed.
    assert n_tables == ([5, 4] if deep else [1, 1])


@pytest.mark.parametrize("n_dense", [0, 8])
@pytest.mark.parametrize("deep", [True, False])
def test_levels_and_continuous_covariates_act_cell_by_cell(deep, n_dense):
    torch.manual_seed(0)
    seen = {
        "n_per_level": [2, 3],
        "n_continuous": 1,
        "deeply_inject_covariates": deep,
        "n_dense": n_dense,
        "activation": "elu",
    }
    encoder = ConvEncoder((7, 5, 3), 3, [4, 8], **seen).eval()
    decoder = ConvDecoder((7, 5, 3), 3, 1, [8, 4], **seen).eval()
    levels, continuous = torch.zeros(N, 2, dtype=torch.int64), torch.zeros(N, 1)
    other_levels, other_continuous = levels.clone(), continuous.clone()
    other_levels[1, 0], other_levels[2, 1], other_continuous[3] = 1, 2, 1.0
    for net, given in [(encoder, torch.rand(1, 105).expand(N, -1)), (decoder, torch.randn(1, 3).expand(N, -1))]:
        moved = (net(given, levels, continuous) - net(given, other_levels, other_continuous)).abs().flatten(1).amax(1)
        assert moved[0] == 0
        assert (moved[1:] > 1e-4).all()


def test_without_levels_there_are_no_tables():
    assert not any("table" in name for name, _ in ConvDecoder((8, 8, 1), 3, 1, [4]).named_parameters())


@pytest.mark.parametrize("normalization", ["batch", "layer", "none"])
def test_maps_keep_their_size_through_layers_at_the_start(normalization):
    torch.manual_seed(0)
    encoder = ConvEncoder((64, 64, 3), 10, [16, 32, 32, 32, 32], n_blocks=3, normalization=normalization)
    decoder = ConvDecoder((64, 64, 3), 10, 1, [32, 32, 32, 32, 16], n_blocks=3, normalization=normalization)
    levels = torch.zeros(16, 0, dtype=torch.int64)
    code = encoder(torch.randn(16, 64 * 64 * 3), levels)
    raw = decoder(torch.randn(16, 10), levels)
    assert 0.05 < code.std() < 2
    assert 0.05 < raw.std() < 2


def test_a_residual_block_starts_as_nothing_added():
    torch.manual_seed(0)
    with_blocks = ConvEncoder((7, 7, 1), 3, [4], n_blocks=2)
    without = ConvEncoder((7, 7, 1), 3, [4], n_blocks=0)
    without.load_state_dict(
        {key: value for key, value in with_blocks.state_dict().items() if key in without.state_dict()}
    )
    x = torch.rand(N, 49)
    torch.testing.assert_close(with_blocks(x, NO_LEVELS), without(x, NO_LEVELS))


def test_an_image_row_is_read_without_a_copy():
    seen = []
    encoder = ConvEncoder((6, 5, 3), 2, [4])
    encoder.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = torch.rand(N, 90)
    encoder(x, NO_LEVELS)
    assert seen[0].data_ptr() == x.data_ptr()
    torch.testing.assert_close(seen[0][0, 2, 4, 1], x[0, (4 * 5 + 1) * 3 + 2], rtol=0, atol=0)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    encoder = ConvEncoder((6, 5, 3), 2, [4], dropout_rate=0.5, normalization="none")
    x = torch.rand(N, 90)
    assert not torch.equal(encoder(x, NO_LEVELS), encoder(x, NO_LEVELS))
    encoder.eval()
    assert torch.equal(encoder(x, NO_LEVELS), encoder(x, NO_LEVELS))


def test_the_whole_network_is_one_graph():
    torch.manual_seed(0)
    encoder = ConvEncoder((7, 5, 3), 3, [4, 8], n_per_level=[2]).eval()
    decoder = ConvDecoder((7, 5, 3), 3, 1, [8, 4], n_per_level=[2]).eval()

    def both(x: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        return decoder(encoder(x, levels), levels)

    x, levels = torch.rand(N, 105), torch.zeros(N, 1, dtype=torch.int64)
    compiled = torch.compile(both, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, levels), both(x, levels))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (8, 8)}, r"`shape` is \(8, 8\); it must be \(height, width, channels\)"),
        ({"shape": (8, 0, 1)}, r"each at least 1"),
        ({"channels": []}, "`channels` is empty"),
        ({"activation": "x"}, "unknown activation 'x'; the known names are 'relu'"),
        ({"normalization": "x"}, "unknown normalization 'x'; the known names are 'batch', 'layer', 'none'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvEncoder(**{"shape": (8, 8, 1), "n_out": 2, "channels": [4]} | arguments)
    with pytest.raises(ValueError, match=message):
        ConvDecoder(**{"shape": (8, 8, 1), "n_in": 2, "n_params": 1, "channels": [4]} | arguments)


def test_running_figures_follow_within_a_hundred_steps():
    torch.manual_seed(0)
    encoder = ConvEncoder((7, 5, 3), 3, [4, 8])
    x = 1 + torch.rand(64, 105)
    levels = torch.zeros(64, 0, dtype=torch.int64)
    for _ in range(100):
        code = encoder(x, levels)
    torch.testing.assert_close(encoder.eval()(x, levels), code, rtol=0.05, atol=0.02)
