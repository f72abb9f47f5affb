# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the NIRVANA profile: the shape of a group's network, how it is fitted, and what each preset spends."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from types import MappingProxyType

from mapreel.core.nirvana.bitstream import limit, unsupported
from mapreel.core.nirvana.profile import PictureShape

PATCH_PX = 32
# Latents for each pixel of each frame in the paper's own setting: 2 360 320 / (1920 · 1080 · 3) (Maiya et al. 2023).
LATENTS_PER_PIXEL = 2_360_320 / (1920 * 1080 * 3)
MAX_HIDDEN = 2048
MAX_FEATURES = 64
MAX_JOINED_FLOATS = 1 << 27  # 512 MiB for the largest matrix that a decoder makes of a network
MAX_LATENTS_PERCENT = 38  # of a group's pixels: a small picture cannot ask for a large network
MORE_LATENTS = 1 << 16  # that a group of any size may have besides
_SETTINGS = struct.Struct("<HHHf")
_PAPER_FEATURES = 16
_LEAST_FEATURES = 8


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """One stored tensor: its place in the file is its place in `NetworkConfig.layers`."""

    name: str
    shape: tuple[int, ...]
    is_latent: bool  # latents have a learned scale; the rest a fixed step

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Shape of the network that holds one frame group (Maiya et al., CVPR 2023, section 3)."""

    hidden: int  # width of both sine layers: nearly all latents are `hidden` x 256 x `features`
    group_frames: int = 3  # frames coded by one network; the paper's choice, motion inside a group must be learnt
    features: int = 16  # channels at half resolution that all frames of a group share; even
    conv_channels: int = 32  # channels of a frame before pixel shuffle; a quarter of them reach full resolution
    patch_px: int = PATCH_PX  # side of a patch, no overlap
    w0: float = 30.0  # frequency of both sine layers, as in SIREN

    @property
    def half_px(self) -> int:
        return self.patch_px // 2

    @property
    def layers(self) -> tuple[LayerShape, ...]:
        """All stored tensors in file order."""
        h, g = self.hidden, self.group_frames
        out = self.features * self.half_px**2
        shapes: tuple[tuple[str, tuple[int, ...], bool], ...] = (
            ("sine0.weight", (h, 2), True),
            ("sine0.bias", (h,), False),
            ("sine1.weight", (h, h), True),
            ("sine1.bias", (h,), False),
            ("out.weight", (out, h), True),
            ("out.bias", (out,), False),
            ("conv0.weight", (g * self.conv_channels, self.features, 3, 3), False),
            ("conv0.bias", (g * self.conv_channels,), False),
            ("conv1.weight", (g * 3, self.conv_channels // 4, 3, 3), False),
            ("conv1.bias", (g * 3,), False),
        )
        return tuple(LayerShape(name=n, shape=s, is_latent=latent) for n, s, latent in shapes)

    @property
    def latents(self) -> int:
        return sum(layer.size for layer in self.layers if layer.is_latent)

    @property
    def floats_a_patch(self) -> int:
        """Values of one patch behind the joined matrix: all frames' channels at full resolution."""
        return self.group_frames * (self.conv_channels // 4) * self.patch_px**2

    @property
    def joined_floats(self) -> int:
        """Size of the last linear layer and the first convolution as one matrix (`network.basis_images`)."""
        return (self.hidden + 1) * self.floats_a_patch

    @property
    def other_parameters(self) -> int:
        """Biases, convolutions and one learned scale for each layer of latents."""
        return sum(1 if layer.is_latent else layer.size for layer in self.layers)


def write_settings(network: NetworkConfig) -> bytes:
    """What the file says of a network besides the group length."""
    return _SETTINGS.pack(network.hidden, network.features, network.conv_channels, network.w0)


def read_settings(settings: bytes, shape: PictureShape) -> NetworkConfig:
    """Inverse of `write_settings`. Raises UnsupportedArchiveError for a network that is too large for its pictures."""
    if len(settings) != _SETTINGS.size:
        raise unsupported(f"the archive has {len(settings)} bytes of settings in place of {_SETTINGS.size}")
    hidden, features, conv, w0 = _SETTINGS.unpack(settings)
    limit("network width", hidden, MAX_HIDDEN)
    limit("number of features", features, MAX_FEATURES)
    if features % 2 or conv != 32 or not 0 < w0 <= 1000:
        raise unsupported(f"the archive has a network of {features} and {conv} channels")
    network = NetworkConfig(
        hidden=hidden, group_frames=shape.group_frames, features=features, conv_channels=conv, w0=w0
    )
    most = shape.width * shape.height * shape.group_frames * MAX_LATENTS_PERCENT // 100 + MORE_LATENTS
    limit("number of latents for its size", network.latents, most)
    limit("network for its group length", network.joined_floats, MAX_JOINED_FLOATS)
    return network


def patch_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of patches that cover a frame of `height` x `width` px (the rest is zero-padded)."""
    return -(-height // PATCH_PX), -(-width // PATCH_PX)


def hidden_width(height: int, width: int, group_frames: int, features: int) -> int:
    """Widest network whose latents stay within LATENTS_PER_PIXEL of the frames' pixels; at least 1.

    Solves h² + (2 + 256 · features) · h <= ratio · height · width · group_frames; MAX_HIDDEN and MAX_JOINED_FLOATS
    are kept as well.
    """
    budget = LATENTS_PER_PIXEL * height * width * group_frames
    linear = 2 + features * (PATCH_PX // 2) ** 2
    h = int((math.sqrt(linear * linear + 4 * budget) - linear) / 2)
    while (h + 1) * (h + 1 + linear) <= budget * (1 + 1e-12):
        h += 1
    joined = MAX_JOINED_FLOATS // NetworkConfig(hidden=0, group_frames=group_frames).joined_floats - 1
    return max(1, min(h, MAX_HIDDEN, joined))


def network_for(height: int, width: int, group_frames: int) -> NetworkConfig:
    """The paper's network with both its widths, hidden and features, scaled by one factor to the frame's size.

    1920 x 1080 in groups of three gives the paper's 512 and 16. Below eight features a place could no longer hold
    four pixels of brightness, two numbers of colour and two of change, so the factor ends there for them.
    """
    factor = math.sqrt(height * width * group_frames / (1080 * 1920 * 3))
    features = min(_PAPER_FEATURES, max(_LEAST_FEATURES, 2 * round(_PAPER_FEATURES / 2 * factor)))
    hidden = hidden_width(height, width, group_frames, features)
    return NetworkConfig(hidden=hidden, group_frames=group_frames, features=features)


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How a group is fitted."""

    first_iterations: int  # of a group that starts from nothing
    next_iterations: int  # of a group that starts from the last one
    first_search: int = 600  # steps of variable projection: cheap, each saves tens of full iterations
    next_search: int = 250  # the last group's sine layers are near already
    base_rate: float = 1e-3  # five times the paper's: a solved start and few iterations need longer steps
    latent_rate_factor: float = 100.0  # the paper's; latents are counted in steps, not in weights
    other_rate_factor: float = 30.0  # biases and convolutions are trained in units of their step as well
    prior_rate: float = 1e-2  # of the learned CDFs, which must follow the latents
    rate_weight: float = (
        3e-4  # price of a bit for each latent against MSE; at 24 dB the paper's 1e-3 outweighs the error
    )
    out_step: float = 2.0**-6  # first step of the last linear layer, before its scale is learned
    check_every: int = 10  # iterations between looks at cancel and at the best state


# Seconds on two cores for 24 frames of 512 x 256: about 1 minute, 10 and 30.
PRESETS = MappingProxyType(
    {
        "draft": FitConfig(first_iterations=120, next_iterations=70),
        "good": FitConfig(first_iterations=4000, next_iterations=1000),
        "best": FitConfig(first_iterations=16000, next_iterations=2000),
    }
)
