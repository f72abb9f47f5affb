# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights that are rounded while they are trained, and the learned price of their symbols.

What a layer stores is integers (symbols) and one step: weight = symbol * step. For the sine and linear matrices
step = scale / max|symbol| with a learned scale (Maiya et al., section 3.3); biases and convolutions have a fixed step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mapreel.core.nirvana.config import NetworkConfig

SYMBOL_LIMIT = 1 << 20  # of a symbol's absolute value: exact in float32, residuals of two stay within 32 bits
# Finest useful steps, found by halving until the PSNR no longer fell by 0.02 dB. Phases are multiplied by w0.
FIXED_STEPS = {
    "sine0.bias": 2.0**-13,
    "sine1.bias": 2.0**-13,
    "out.bias": 2.0**-7,
    "conv0.weight": 2.0**-6,
    "conv0.bias": 2.0**-7,
    "conv1.weight": 2.0**-7,
    "conv1.bias": 2.0**-9,
}
_MIXTURE = 2  # logistic components of a layer's learned CDF: one for the many near zero, one for the tails


@dataclass(frozen=True)
class CodedGroup:
    """What is stored of one frame group: symbols (int32) and one step (float32) for each layer, by layer name."""

    symbols: dict[str, npt.NDArray[np.int32]]
    steps: dict[str, float]

    def weights(self, device: torch.device | str = "cpu") -> dict[str, Tensor]:
        """Real weights in float32, the one way in which symbols become numbers."""
        return {
            name: torch.from_numpy(symbols).to(device).float() * np.float32(self.steps[name]).item()
            for name, symbols in self.symbols.items()
        }


def straight_through(x: Tensor) -> Tensor:
    """Round to the nearest integer, passing the gradient on as if nothing had happened."""
    return x + (x.round() - x).detach()


class QuantisedWeights:
    """The trainable real numbers behind a group's symbols."""

    def __init__(self, config: NetworkConfig, start: CodedGroup, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.latents: dict[str, Tensor] = {}
        self.log_scales: dict[str, Tensor] = {}
        self.others: dict[str, Tensor] = {}
        for layer in config.layers:
            symbols = torch.from_numpy(start.symbols[layer.name]).to(device).float()
            if layer.is_latent:
                peak = symbols.abs().max().clamp_min(1.0)
                self.latents[layer.name] = symbols.requires_grad_()
                self.log_scales[layer.name] = torch.log(peak * start.steps[layer.name]).requires_grad_()
            else:
                self.others[layer.name] = symbols.requires_grad_()

    def step_of(self, name: str, symbols: Tensor) -> Tensor:
        peak = symbols.detach().abs().max().clamp_min(1.0)
        return torch.exp(self.log_scales[name]) / peak

    def weights(self) -> dict[str, Tensor]:
        """Rounded weights, differentiable in latents, scales and the rest."""
        result = {}
        for name, latent in self.latents.items():
            symbols = straight_through(latent)
            result[name] = symbols * self.step_of(name, symbols)
        for name, value in self.others.items():
            result[name] = straight_through(value) * FIXED_STEPS[name]
        return result

    def tensors(self) -> list[Tensor]:
        return [*self.latents.values(), *self.log_scales.values(), *self.others.values()]

    def coded(self) -> CodedGroup:
        """The symbols and steps of this very state."""
        symbols: dict[str, npt.NDArray[np.int32]] = {}
        steps: dict[str, float] = {}
        with torch.no_grad():
            for layer in self.config.layers:
                value = self.latents[layer.name] if layer.is_latent else self.others[layer.name]
                rounded = value.round().clamp(-SYMBOL_LIMIT, SYMBOL_LIMIT)
                symbols[layer.name] = rounded.cpu().numpy().astype(np.int32)
                steps[layer.name] = (
                    float(self.step_of(layer.name, rounded)) if layer.is_latent else FIXED_STEPS[layer.name]
                )
        return CodedGroup(symbols, steps)


class RateModel:
    """Learned factorised CDF for each layer of latents, and one for all other layers together.

    Each CDF is a mixture of two logistic functions; a symbol costs -log2 of the mass within half a step of it.
    """

    def __init__(self, config: NetworkConfig, start: CodedGroup, device: torch.device) -> None:
        self.names = [layer.name for layer in config.layers if layer.is_latent] + ["others"]
        self.logits = torch.zeros(len(self.names), _MIXTURE, device=device).requires_grad_()
        self.means = torch.zeros(len(self.names), _MIXTURE, device=device).requires_grad_()
        spread = [float(start.symbols[name].std()) for name in self.names[:-1]] + [1.0]
        scales = torch.log(torch.tensor(spread).clamp_min(0.1) * 0.55)[:, None] + torch.tensor([-0.7, 0.5])
        self.log_scales = scales.to(device).requires_grad_()

    def tensors(self) -> list[Tensor]:
        return [self.logits, self.means, self.log_scales]

    def bits(self, weights: QuantisedWeights, generator: torch.Generator) -> Tensor:
        """Code length in bits of all symbols, with uniform noise in place of rounding."""
        values = [value.reshape(-1) for value in weights.latents.values()]
        values.append(torch.cat([value.reshape(-1) for value in weights.others.values()]))
        total = torch.zeros((), device=weights.device)
        shares = torch.softmax(self.logits, dim=1)
        sharpness = torch.exp(-self.log_scales)
        for row, value in enumerate(values):
            noise = torch.rand(value.shape, generator=generator, device=weights.device) - 0.5
            mass = torch.zeros((), device=weights.device)
            for k in range(_MIXTURE):
                x = (value + noise - self.means[row, k]) * sharpness[row, k]
                half = 0.5 * sharpness[row, k]
                mass = mass + shares[row, k] * (torch.sigmoid(x + half) - torch.sigmoid(x - half))
            total = total - torch.log2(mass.clamp_min(2.0**-24)).sum()
        return total
