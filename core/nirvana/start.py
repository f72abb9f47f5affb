# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the fit of a group begins: convolutions that pass pictures through, and linear layers that are solved for.

A group's features can be solved for in closed form once the convolutions are fixed. They start as a linear map:
GELU(x) - GELU(-x) = x, so six of a frame's eight full-resolution channels carry +RGB and -RGB exactly. Which map is
found by principal components: a place at half resolution shows four pixels of three colours in each frame, and the
features are its strongest directions. The sine layers are then fitted by variable projection: for any sine layers the
best last layer is a small least-squares problem, so only the sine layers are searched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mapreel.core.nirvana.config import FitConfig, NetworkConfig
from mapreel.core.nirvana.decode import tiles_of
from mapreel.core.nirvana.network import GREY, centroids, cut_patches, features_of, temporal_encoding
from mapreel.core.nirvana.profile import PictureShape
from mapreel.core.nirvana.quantise import FIXED_STEPS, SYMBOL_LIMIT, CodedGroup

Check = Callable[[], None]  # called often; raises when the job shall stop

_COLOUR_WEIGHT = 2.0
RIDGE = 0.3  # keeps the solved weights small: large ones that cancel cost bits
_TARGETS = 512  # directions of the target kept in the search; more cost time and move the optimum by < 0.01 dB
_SEARCH_RATE = 3e-3
_FIRST_FREQUENCY = 2.0  # spread of the first sine layer; below 1 neighbouring patches look alike to the network
_LATENT_STEPS = {"sine0.weight": 2.0**-12, "sine1.weight": 2.0**-11}


def _places(config: NetworkConfig, frames: Tensor) -> Tensor:
    """Frames [G, 3, H, W] in 0..1 -> [N · half · half, G · 12]: colours of four neighbouring pixels in each frame."""
    patches = cut_patches(frames - GREY, config)
    return F.pixel_unshuffle(patches, 2).permute(0, 2, 3, 1).flatten(0, 2)


def _principal_map(config: NetworkConfig, frames: Tensor) -> Tensor:
    """The strongest directions of the group's places, -> [G · 12, features]; an absent frame gets the last's."""
    absent = config.group_frames - frames.shape[0]
    whole = torch.cat([frames, frames[-1:].expand(absent, -1, -1, -1)]) if absent else frames
    # Differences between colours count more than their squares say: by those alone trees came out brown.
    grey = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    weight = grey + _COLOUR_WEIGHT * (torch.eye(3, dtype=torch.float64) - grey)
    weight = torch.kron(torch.kron(torch.eye(config.group_frames, dtype=torch.float64), weight), torch.eye(4))
    places = _places(config, whole).cpu().double() @ weight
    _, vectors = torch.linalg.eigh(places.t() @ places)
    strongest = (torch.linalg.inv(weight) @ vectors.flip(1)[:, : config.features]).float()
    strongest = strongest * torch.sign(strongest.sum(dim=0) + 1e-6)  # eigenvectors have no sign of their own
    return F.pad(strongest, (0, config.features - strongest.shape[1]))


def linear_map(config: NetworkConfig, weights: Mapping[str, Tensor]) -> Tensor:
    """What the convolutions do to first order (kernel centres, GELU(x) = x / 2 + even) -> [G · 12, features]."""
    g, c = config.group_frames, config.features
    first = weights["conv0.weight"][:, :, 1, 1].reshape(g, -1, 4, c)
    second = weights["conv1.weight"][:, :, 1, 1].reshape(g, 3, -1)
    joined: Tensor = 0.5 * torch.einsum("gok,gksc->gosc", second, first)
    return joined.reshape(g * 12, c)


def feature_targets(config: NetworkConfig, frames: Tensor, through: Tensor) -> Tensor:
    """Features that show `frames` best through the linear map `through` -> [N, features · half · half]."""
    seen = through[: frames.shape[0] * 12]
    gram = seen.t() @ seen
    inverse: Tensor = torch.linalg.inv(gram + 1e-3 * torch.eye(len(gram), device=gram.device))
    places: Tensor = _places(config, frames) @ seen @ inverse
    half = config.half_px
    return places.reshape(-1, half, half, config.features).permute(0, 3, 1, 2).flatten(1)


def _linear_convolutions(config: NetworkConfig, through: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Convolutions that are the linear map `through` and have two channels of each frame free to learn."""
    g, c, k = config.group_frames, config.features, config.conv_channels
    first = torch.zeros(g, k // 4, 4, c, 3, 3)
    second = torch.zeros(g, 3, k // 4, 3, 3)
    first[:, 6:] = (torch.rand(first[:, 6:].shape, generator=generator) - 0.5) * 0.2
    first[:, :3, :, :, 1, 1] = through.cpu().reshape(g, 3, 4, c)
    first[:, 3:6] = -first[:, :3]
    for colour in range(3):
        second[:, colour, colour, 1, 1] = 1.0
        second[:, colour, colour + 3, 1, 1] = -1.0
    first = first.reshape(g, k, c, 3, 3)
    bias = -torch.einsum("gkc,gc->gk", first[:, :, :, 1, 1], temporal_encoding(config))
    return {
        "conv0.weight": first.reshape(g * k, c, 3, 3),
        "conv0.bias": bias.reshape(g * k),
        "conv1.weight": second.reshape(g * 3, k // 4, 3, 3),
        "conv1.bias": torch.zeros(g * 3),
    }


def _random_sines(config: NetworkConfig, generator: torch.Generator) -> dict[str, Tensor]:
    def uniform(bound: float, *shape: int) -> Tensor:
        return (torch.rand(shape, generator=generator) * 2 - 1) * bound

    h = config.hidden
    return {
        "sine0.weight": uniform(0.5 * _FIRST_FREQUENCY, h, 2),
        "sine0.bias": uniform(0.5, h),
        "sine1.weight": uniform(math.sqrt(6 / h) / config.w0, h, h),
        "sine1.bias": uniform(1 / math.sqrt(h), h),
    }


def _with_one(features: Tensor) -> Tensor:
    return torch.cat([features, torch.ones_like(features[:, :1])], dim=1)


def _cholesky(x: Tensor) -> Tensor:
    factor: Tensor = torch.linalg.cholesky(x.t() @ x + RIDGE * torch.eye(x.shape[1], device=x.device))
    return factor


def search_sines(
    config: NetworkConfig,
    sines: dict[str, Tensor],
    at: Tensor,
    target: Tensor,
    iterations: int,
    check: Check,
) -> None:
    """Move the sine layers in place so that a least-squares last layer comes as near to `target` [N, D] as it can."""
    n = target.shape[0]
    if n > _TARGETS:
        project = torch.randn(target.shape[1], _TARGETS, generator=torch.Generator().manual_seed(0)) / math.sqrt(
            _TARGETS
        )
        small = target @ project.to(target.device)
    else:
        values, vectors = torch.linalg.eigh((target @ target.t()).cpu().double())  # not every device has doubles
        small = (vectors * values.clamp_min(0).sqrt()).float().to(target.device)
    total = small.square().sum()
    tensors = [tensor.requires_grad_() for tensor in sines.values()]
    optimiser = torch.optim.Adam(tensors, lr=_SEARCH_RATE)
    for iteration in range(iterations):
        check()
        optimiser.param_groups[0]["lr"] = _SEARCH_RATE * (0.5 + 0.5 * math.cos(math.pi * iteration / iterations))
        x = _with_one(features_of(config, sines, at))
        explained = torch.linalg.solve_triangular(_cholesky(x), x.t() @ small, upper=False).square().sum()
        optimiser.zero_grad()
        ((total - explained) / (target.numel())).backward()
        optimiser.step()
    for tensor in tensors:
        tensor.requires_grad_(False)


def solve_last_layer(config: NetworkConfig, sines: dict[str, Tensor], at: Tensor, target: Tensor) -> dict[str, Tensor]:
    """The last linear layer that brings the features nearest to `target` [N, features * half * half]."""
    x = _with_one(features_of(config, sines, at))
    solved = torch.cholesky_solve(x.t() @ target, _cholesky(x))
    return {"out.weight": solved[:-1].t().contiguous(), "out.bias": solved[-1].contiguous()}


def first_start(
    config: NetworkConfig, fit: FitConfig, frames: Tensor, seed: int, check: Check = lambda: None
) -> CodedGroup:
    """Start of a group that leans on no other. frames [G, 3, H, W] in 0..1, sRGB."""
    generator = torch.Generator().manual_seed(seed)
    device = frames.device
    at = centroids(frames.shape[2], frames.shape[3]).to(device)
    sines = {name: tensor.to(device) for name, tensor in _random_sines(config, generator).items()}
    through = _principal_map(config, frames).to(device)
    target = feature_targets(config, frames, through)
    steps = {**_LATENT_STEPS, "out.weight": fit.out_step}
    search_sines(config, sines, at, target, fit.first_search, check)
    _round_sines(sines, steps)
    last = solve_last_layer(config, sines, at, target)
    convolutions = _linear_convolutions(config, through, generator)
    return _rounded(config, {**sines, **last, **convolutions}, steps)


def next_start(
    config: NetworkConfig, fit: FitConfig, previous: CodedGroup, frames: Tensor, check: Check = lambda: None
) -> CodedGroup:
    """Start of a group from the last one's weights: its linear layers solved anew where that shows the frames better.

    Through convolutions that long training has led away from the identity a solved start may be worse than the last
    group as it stands; then that is the start. frames [G, 3, H, W] in 0..1, sRGB.
    """
    device = frames.device
    at = centroids(frames.shape[2], frames.shape[3]).to(device)
    weights = previous.weights(device)
    target = feature_targets(config, frames, linear_map(config, weights))
    sines = {name: weights[name].clone() for name in weights if name.startswith("sine")}
    search_sines(config, sines, at, target, fit.next_search, check)
    _round_sines(sines, previous.steps)
    last = solve_last_layer(config, sines, at, target)
    solved = _rounded(config, {**weights, **sines, **last}, previous.steps)
    return min(solved, previous, key=lambda start: _error(config, start, frames))


@torch.no_grad()
def _error(config: NetworkConfig, start: CodedGroup, frames: Tensor) -> float:
    """Mean square error of what a start shows; infinite for one that shows no picture."""
    shape = PictureShape(height=frames.shape[2], width=frames.shape[3], group_frames=config.group_frames)
    total = torch.zeros((), device=frames.device, dtype=torch.float64)
    for tile in tiles_of(config, start, shape, len(frames), frames.device):
        bottom, right = tile.top + tile.pixels.shape[1], tile.left + tile.pixels.shape[2]
        wanted = frames[:, :, tile.top : bottom, tile.left : right].permute(0, 2, 3, 1)
        total += (tile.pixels.clamp(0.0, 1.0) - wanted).double().square().sum()
    error = float(total) / frames.numel()
    return error if math.isfinite(error) else math.inf


def _round_sines(sines: dict[str, Tensor], steps: Mapping[str, float]) -> None:
    """In place, before the last layer is solved for, so that it makes up for the rounding."""
    for name, tensor in sines.items():
        step = steps.get(name, FIXED_STEPS.get(name, 1.0))
        tensor.copy_((tensor / step).round() * step)


def _rounded(config: NetworkConfig, weights: dict[str, Tensor], steps: dict[str, float]) -> CodedGroup:
    all_steps = {
        layer.name: steps[layer.name] if layer.is_latent else FIXED_STEPS[layer.name] for layer in config.layers
    }
    symbols = {
        layer.name: torch.round(weights[layer.name].cpu().double() / all_steps[layer.name])
        .clamp(-SYMBOL_LIMIT, SYMBOL_LIMIT)
        .numpy()
        .astype(np.int32)
        for layer in config.layers
    }
    return CodedGroup(symbols, all_steps)
