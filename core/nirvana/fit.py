# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit the network of one frame group: distortion plus the price of its symbols, on the full batch of patches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mapreel.core.nirvana.config import FitConfig, NetworkConfig
from mapreel.core.nirvana.network import (
    basis_images,
    centroids,
    cut_patches,
    features_of,
    patches_from,
    temporal_encoding,
)
from mapreel.core.nirvana.quantise import CodedGroup, QuantisedWeights, RateModel


@dataclass(frozen=True)
class Fitted:
    """The best state that was measured, and how it measured."""

    coded: CodedGroup
    mse: float
    bits_per_latent: float
    iterations: int


def training_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies it directly, else float32. The decoder always uses float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16") else torch.float32


class _Best:
    """Copies of the parameters at the lowest loss seen, chosen on the device without waiting for it."""

    def __init__(self, tensors: list[Tensor], device: torch.device) -> None:
        self.tensors = tensors
        self.kept = [tensor.detach().clone() for tensor in tensors]
        self.figures = torch.full((3,), math.inf, device=device)  # loss, MSE, bits for a latent

    def offer(self, figures: Tensor) -> None:
        better = figures[0] < self.figures[0]
        self.figures = torch.where(better, figures, self.figures)
        for kept, tensor in zip(self.kept, self.tensors, strict=True):
            torch.where(better, tensor.detach(), kept, out=kept)

    def restore(self) -> None:
        with torch.no_grad():
            for kept, tensor in zip(self.kept, self.tensors, strict=True):
                tensor.copy_(kept)


def fit_group(
    config: NetworkConfig,
    fit: FitConfig,
    start: CodedGroup,
    frames: Tensor,
    *,
    iterations: int,
    seed: int,
    target_mse: float | None = None,
    check: Callable[[int], None] = lambda _: None,
) -> Fitted:
    """Fit frames [G, 3, H, W] (0..1, sRGB; at most config.group_frames of them) from `start`.

    The rounding is on from the first iteration, so the loss of a state is the loss of its symbols; the best state is
    kept. Stops early when a state reaches `target_mse`. `check(done)` is called in every iteration and may raise.
    """
    device = frames.device
    dtype = training_dtype(device)
    weights = QuantisedWeights(config, start, device)
    rate = RateModel(config, start, device)
    optimiser = torch.optim.Adam(
        [
            {"params": list(weights.latents.values()), "lr": fit.base_rate * fit.latent_rate_factor},
            {"params": list(weights.others.values()), "lr": fit.base_rate * fit.other_rate_factor},
            {"params": list(weights.log_scales.values()), "lr": fit.base_rate},
            {"params": rate.tensors(), "lr": fit.prior_rate},
        ],
        fused=True,
    )
    base_rates = [float(group["lr"]) for group in optimiser.param_groups]
    generator = torch.Generator(device).manual_seed(seed)
    at = centroids(frames.shape[2], frames.shape[3]).to(device)
    encoding = temporal_encoding(config).to(device)
    wanted, counted, pixels = _targets(config, frames, dtype)
    best = _Best(weights.tensors(), device)
    done = 0
    for done in range(iterations + 1):
        real = weights.weights()
        basis = basis_images(config, real, encoding, dtype)
        shown = patches_from(config, real, features_of(config, real, at), basis)
        error = (shown - wanted) if counted is None else (shown - wanted) * counted
        mse = error.float().square().sum() / pixels
        bits = rate.bits(weights, generator) / config.latents
        loss = mse + fit.rate_weight * bits
        check(done)
        if done % fit.check_every == 0 or done > iterations - fit.check_every:
            best.offer(torch.stack([loss, mse, bits]).detach())
            if target_mse is not None and float(best.figures[1]) <= target_mse:
                break
        if done == iterations:
            break
        shrink = 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * done / iterations))
        for group, base in zip(optimiser.param_groups, base_rates, strict=True):
            group["lr"] = base * shrink
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    best.restore()
    _, mse_seen, bits_seen = best.figures.tolist()
    return Fitted(weights.coded(), mse_seen, bits_seen, done)


def _targets(config: NetworkConfig, frames: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor | None, int]:
    """Patches to reach, a mask of what counts (None: all of it), and how many values count.

    Padding and frames that a last, shorter group lacks do not count.
    """
    missing = config.group_frames - frames.shape[0]
    whole = torch.cat([frames, frames.new_zeros(missing, *frames.shape[1:])]) if missing else frames
    patches = cut_patches(whole, config).contiguous(memory_format=torch.channels_last).to(dtype)
    if patches.numel() == frames.numel():
        return patches, None, frames.numel()
    ones = torch.ones_like(frames)
    mask = torch.cat([ones, ones.new_zeros(missing, *frames.shape[1:])])
    return patches, cut_patches(mask, config).contiguous(memory_format=torch.channels_last).to(dtype), frames.numel()
