# SPDX-License-Identifier: GPL-3.0-or-later
"""The network: patches and back, the paper's layers, and rounding that is really on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mapreel.core.nirvana.config import FitConfig, NetworkConfig
from mapreel.core.nirvana.decode import tiles_of
from mapreel.core.nirvana.fit import fit_group
from mapreel.core.nirvana.network import (
    basis_images,
    centroids,
    cut_patches,
    features_of,
    join_patches,
    patches_from,
    temporal_encoding,
)
from mapreel.core.nirvana.profile import PictureShape
from mapreel.core.nirvana.quantise import FIXED_STEPS, CodedGroup, QuantisedWeights, straight_through
from mapreel.core.nirvana.start import (
    _linear_convolutions,
    _places,
    _principal_map,
    feature_targets,
    first_start,
    linear_map,
)

CONFIG = NetworkConfig(hidden=5)


def some_group(config=CONFIG, seed=0):
    rng = np.random.default_rng(seed)
    symbols = {layer.name: rng.integers(-9, 10, layer.shape).astype(np.int32) for layer in config.layers}
    steps = {layer.name: 0.02 if layer.is_latent else FIXED_STEPS[layer.name] for layer in config.layers}
    return CodedGroup(symbols, steps)


def plain_network(config, weights, at):
    """The layers one after the other, as the paper has them."""
    x = torch.sin(config.w0 * F.linear(at, weights["sine0.weight"], weights["sine0.bias"]))
    x = torch.sin(config.w0 * F.linear(x, weights["sine1.weight"], weights["sine1.bias"]))
    shared = F.linear(x, weights["out.weight"], weights["out.bias"]).view(-1, config.features, 16, 16)
    shown = []
    for frame, code in enumerate(temporal_encoding(config)):
        first = slice(frame * 32, frame * 32 + 32)
        y = F.conv2d(
            shared + code[None, :, None, None], weights["conv0.weight"][first], weights["conv0.bias"][first], padding=1
        )
        y = F.gelu(F.pixel_shuffle(y, 2))
        second = slice(frame * 3, frame * 3 + 3)
        shown.append(F.conv2d(y, weights["conv1.weight"][second], weights["conv1.bias"][second] + 0.5, padding=1))
    return torch.cat(shown, dim=1)


@pytest.mark.parametrize(("frames", "features"), [(1, 16), (3, 16), (4, 6)])
def test_joined_form_equals_the_papers_layers(frames, features):
    config = NetworkConfig(hidden=5, group_frames=frames, features=features)
    weights = some_group(config).weights()
    at = centroids(70, 40)
    basis = basis_images(config, weights, temporal_encoding(config), torch.float32)
    ours = patches_from(config, weights, features_of(config, weights, at), basis)
    assert ours.shape == (6, frames * 3, 32, 32)
    torch.testing.assert_close(ours, plain_network(config, weights, at), rtol=1e-3, atol=1e-3)


def test_each_frame_sees_all_sixteen_features():
    weights = some_group().weights()
    weights["out.bias"].requires_grad_()
    at = centroids(32, 32)
    for frame in range(3):
        basis = basis_images(CONFIG, weights, temporal_encoding(CONFIG), torch.float32)
        shown = patches_from(CONFIG, weights, features_of(CONFIG, weights, at), basis)
        (slope,) = torch.autograd.grad(shown[:, frame * 3 : frame * 3 + 3].square().sum(), weights["out.bias"])
        assert (slope.view(16, -1).abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("size", [(1, 1), (31, 33), (32, 32), (65, 7), (256, 512)])
def test_patches_and_back(size):
    frames = torch.rand(3, 3, *size)
    patches = cut_patches(frames, CONFIG)
    assert torch.equal(join_patches(patches, *size), frames)
    padding = patches.numel() - frames.numel()
    assert int((patches == 0).sum()) >= padding  # zero-padded


def test_centroids_lie_in_the_middle_of_patches():
    assert torch.allclose(centroids(32, 64), torch.tensor([[0.0, -0.5], [0.0, 0.5]]))


def test_rounding_is_on_and_transparent_to_gradients():
    x = torch.tensor([0.4, 0.6, -1.7], requires_grad=True)
    rounded = straight_through(x)
    assert rounded.tolist() == [0.0, 1.0, -2.0]
    rounded.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


def test_trained_weights_are_the_coded_ones_to_the_last_bit():
    trained = QuantisedWeights(CONFIG, some_group(), torch.device("cpu"))
    with torch.no_grad():
        for tensor in trained.tensors():
            tensor.add_(torch.rand_like(tensor) * 0.3)
    coded = trained.coded().weights()
    for name, weight in trained.weights().items():
        assert torch.equal(weight.detach(), coded[name]), name


def decoded(config: NetworkConfig, group: CodedGroup, height: int, width: int) -> np.ndarray:
    """Small pictures [3, height, width, 3], which are one tile."""
    shape = PictureShape(height=height, width=width, group_frames=config.group_frames)
    (tile,) = tiles_of(config, group, shape, 3, torch.device("cpu"))
    return tile.pixels.clamp(0, 1).numpy()


def test_what_was_measured_is_what_is_coded():
    rows, cols = torch.meshgrid(torch.linspace(0, 1, 40), torch.linspace(0, 1, 64), indexing="ij")
    frames = torch.stack([torch.stack([rows, cols, (rows + cols + t / 5) / 3]) for t in range(3)])
    fit = FitConfig(first_iterations=25, next_iterations=5, first_search=40)
    start = first_start(CONFIG, fit, frames, seed=0)
    fitted = fit_group(CONFIG, fit, start, frames, iterations=25, seed=0)
    shown = decoded(CONFIG, fitted.coded, 40, 64)
    seen = float(np.mean((shown - frames.permute(0, 2, 3, 1).numpy()) ** 2))
    assert seen == pytest.approx(fitted.mse, rel=0.1)
    assert seen < float(frames.var())


def test_linear_start_passes_pictures_through():
    """Flat colours that differ by place and frame lie in six directions, so features hold them and come back."""
    config = NetworkConfig(hidden=3, features=6)
    frames = torch.rand(3, 3, 1, 1).expand(3, 3, 32, 64) * torch.linspace(0.2, 1, 64)
    through = _principal_map(config, frames)
    targets = feature_targets(config, frames, through)
    assert targets.shape == (2, 6 * 256)
    places = targets.view(2, 6, 256).permute(0, 2, 1).reshape(-1, 6) @ through.t()
    assert float((places - _places(config, frames)).abs().max()) < 0.03
    convolutions = _linear_convolutions(config, through, torch.Generator().manual_seed(0))
    torch.testing.assert_close(linear_map(config, convolutions), through)


def test_solved_start_shows_the_frames():
    frames = torch.rand(1, 3, 1, 1).expand(3, 3, 96, 96) * torch.linspace(0, 1, 96)
    fit = FitConfig(first_iterations=1, next_iterations=1, first_search=60)
    start = first_start(NetworkConfig(hidden=9, features=6), fit, frames.contiguous(), seed=0)
    config = NetworkConfig(hidden=9, features=6)
    shown = decoded(config, start, 96, 96)
    assert np.abs(shown - frames.permute(0, 2, 3, 1).numpy()).mean() < 0.05


def test_early_stop_and_masking_of_missing_frames():
    frames = torch.full((2, 3, 20, 20), 0.5)  # the group lacks its third frame, the patch most of its pixels
    fit = FitConfig(first_iterations=50, next_iterations=5, first_search=10)
    start = first_start(CONFIG, fit, frames, seed=0)
    fitted = fit_group(CONFIG, fit, start, frames, iterations=50, seed=0, target_mse=1e-3)
    assert fitted.iterations < 50
    assert fitted.mse <= 1e-3
