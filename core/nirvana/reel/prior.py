# SPDX-License-Identifier: GPL-3.0-or-later
"""What every `reel` archive starts from: the shipped networks, context models and probability tables.

The synthesis networks, context models, gains and tables are part of the format; the analysis is the encoder's.
"""

from __future__ import annotations

import hashlib
import json
import math
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from mapreel.core.contract.errors import ModelError
from mapreel.core.nirvana.entropy import PRECISION_BITS
from mapreel.core.nirvana.reel.coder import Coder
from mapreel.core.nirvana.reel.config import (
    CHANNELS,
    CLAMP,
    CONTEXT_STEPS,
    FRACTIONS,
    HIGHEST_LOG_SCALE,
    LOWEST_LOG_SCALE,
    MOTION_CHANNELS,
    QUALITY_STEPS,
    SCALES,
    tensors_of,
)
from mapreel.core.nirvana.reel.context import (
    BUSY_LIMIT,
    FIRST_BITS,
    HIDDEN_LIMIT,
    OUT_BITS,
    SECOND_BITS,
    UNITS,
    GridContext,
)
from mapreel.core.nirvana.reel.places import Tables
from mapreel.core.nirvana.reel.rate import GridRate, laplace_mass

FORMAT = "mapreel-reel-prior-1"
FILE = Path(__file__).parents[3] / "resources" / "codecs" / "reel" / "prior.safetensors"
_WIDEST = 512  # entries on either side of a mean
_EXACT = 1 << 24
OWN = 25  # features that belong to one channel
_CONTEXTS = ("context", "motion8", "motion16")
_SHAPES = {  # channels, channels of the coarser grid, whether earlier channels count with their sign
    "context": (CHANNELS, 0, False),
    "motion8": (MOTION_CHANNELS, MOTION_CHANNELS, True),
    "motion16": (MOTION_CHANNELS, 0, True),
}


class Prior:
    """The shipped start of every archive, on the processor. `fingerprint` names it in archives."""

    def __init__(self, tensors: dict[str, Tensor], fingerprint: bytes = b"") -> None:
        self.tensors, self.fingerprint = tensors, fingerprint
        starts = np.concatenate([[0], np.cumsum(tensors["tables.sizes"].numpy())])
        counts = tensors["tables.counts"].numpy().astype(np.int64)
        self.tables = Tables(
            tensors["tables.lows"].numpy(),
            tuple(counts[a:b] for a, b in pairwise(starts.tolist())),
        )

    def weights(self, inter: bool) -> dict[str, Tensor]:
        """Synthesis weights, float32, by the names of `config.tensors_of`."""
        return {name: self.tensors[f"{_kind(inter)}.synthesis.{name}"] for name, _ in tensors_of(inter)}

    @cache  # noqa: B019 - one prior lives as long as the process
    def contexts(self, inter: bool) -> tuple[GridContext, ...]:
        """Integer context models: latents, then for frames with references motion at 1/8 and at 1/16."""
        made = []
        for part in _CONTEXTS if inter else _CONTEXTS[:1]:
            first, first_bias, second, second_bias = (
                self.tensors[f"{_kind(inter)}.{part}.{name}"].numpy().astype(np.float32)
                for name in ("first", "first_bias", "second", "second_bias")
            )
            channels, coarser, signed = _SHAPES[part]
            made.append(GridContext(first, first_bias, second, second_bias, channels, coarser, signed))
        return tuple(made)

    @torch.no_grad()
    def gains(self, inter: bool, quality: int) -> Tensor:
        """Symbols for each unit of a latent [1, C, 1, 1]."""
        return self.coder(inter).gains(torch.full((1, 1, 1, 1), quality / QUALITY_STEPS))

    @cache  # noqa: B019
    def coder(self, inter: bool, device: torch.device | None = None) -> Coder:
        """All learned parts as the encoder uses them; the context models are those of the format, as real numbers."""
        with torch.inference_mode(False):  # a decoder may be the first to ask, an encoder in the same process the next
            coder = Coder(inter)
            coder.load_state_dict({name: self._state(name, inter) for name in coder.state_dict()})
        for parameter in coder.parameters():
            parameter.requires_grad_(False)
        return coder.to(device or torch.device("cpu"))

    def _state(self, name: str, inter: bool) -> Tensor:
        kind, (part, *rest) = _kind(inter), name.split(".")
        if part == "synthesis":
            wanted = next(n for n, _ in tensors_of(inter) if n.replace(".", "_") == rest[0])
            return self.tensors[f"{kind}.synthesis.{wanted}"]
        if part == "context":
            return _real(self.tensors, f"{kind}.context", rest[0])
        if part == "motion_contexts":
            return _real(self.tensors, f"{kind}.{_CONTEXTS[1 + int(rest[0])]}", rest[1])
        return self.tensors[f"{kind}.{name}"]


def _real(tensors: dict[str, Tensor], prefix: str, name: str) -> Tensor:
    """One tensor of a GridRate from the whole numbers of the format."""
    if name == "bias":
        return tensors[f"{prefix}.first_bias"].float().reshape(-1) * 2.0**-FIRST_BITS
    if name == "second":
        return tensors[f"{prefix}.second"].float().reshape(-1, UNITS) * 2.0**-SECOND_BITS
    if name == "second_bias":
        return tensors[f"{prefix}.second_bias"].float().reshape(-1) * 2.0**-OUT_BITS
    real = tensors[f"{prefix}.first"].float() * 2.0**-FIRST_BITS
    real[:, :, -1] *= CONTEXT_STEPS
    own, shared = real[:, :, :OWN], real[:, :, OWN:]
    return (own if name == "own" else shared).flatten(0, 1)


def whole_numbers(rate: GridRate) -> dict[str, Tensor]:
    """A trained context model as whole numbers; raises ValueError when sums could leave what float32 holds exactly."""
    channels = rate.channels
    first = torch.cat([rate.own, rate.shared * rate.earlier], dim=1).detach().view(channels, UNITS, -1)
    first[:, :, -1] /= CONTEXT_STEPS
    made = {
        "first": (first * 2**FIRST_BITS).round(),
        "first_bias": (rate.bias.detach().view(channels, UNITS) * 2**FIRST_BITS).round(),
        "second": (rate.second.detach().view(channels, 2, UNITS) * 2**SECOND_BITS).round(),
        "second_bias": (rate.second_bias.detach().view(channels, 2) * 2**OUT_BITS).round(),
    }
    reach = torch.full((first.shape[2],), float(CLAMP + 1))
    reach[16:OWN] = BUSY_LIMIT
    largest_first = float(((made["first"].abs() * reach).sum(2) + made["first_bias"].abs()).max())
    largest_second = float((made["second"].abs().sum(2) * HIDDEN_LIMIT + made["second_bias"].abs()).max())
    if max(largest_first, largest_second) >= _EXACT:
        raise ValueError(f"weights too large for exact sums ({largest_first:.0f}, {largest_second:.0f})")
    return {name: value.to(torch.int32) for name, value in made.items()}


def laplace_tables() -> dict[str, Tensor]:
    """All fixed tables: whole weights that add up to 2^24 less their number; the last entry stands for other values."""
    lows, sizes, counts = [], [], []
    for scale in range(SCALES):
        width = math.exp(LOWEST_LOG_SCALE + scale * (HIGHEST_LOG_SCALE - LOWEST_LOG_SCALE) / (SCALES - 1))
        reach = min(_WIDEST, math.ceil(12 * width) + 1)
        for fraction in range(FRACTIONS):
            at = fraction / FRACTIONS
            mass = [laplace_mass(k - 0.5 - at, k + 0.5 - at, width) for k in range(-reach, reach + 2)]
            mass = [m * (1 - 2.0**-10) + 2.0**-16 for m in mass]
            mass.append(max(1.0 - math.fsum(mass), 2.0**-16))
            free = (1 << PRECISION_BITS) - len(mass)
            whole = [int(free * m / math.fsum(mass)) for m in mass]
            whole[max(range(len(whole)), key=whole.__getitem__)] += free - sum(whole)
            lows.append(-reach)
            sizes.append(len(whole))
            counts += whole
    names = {"lows": lows, "sizes": sizes, "counts": counts}
    return {f"tables.{name}": torch.tensor(values, dtype=torch.int32) for name, values in names.items()}


def prior_tensors(intra: Coder, inter: Coder) -> dict[str, Tensor]:
    """Trained coders -> all tensors of the prior's file."""
    tensors = laplace_tables()
    for coder in (intra, inter):
        kind = _kind(coder.inter)
        for name, value in coder.weights.items():
            tensors[f"{kind}.synthesis.{name}"] = value.detach().clone()
        for part, context in zip(_CONTEXTS, (coder.context, *coder.motion_contexts), strict=False):
            assert isinstance(context, GridRate)
            for name, value in whole_numbers(context).items():
                tensors[f"{kind}.{part}.{name}"] = value
        for name, value in coder.state_dict().items():
            if name.split(".")[0] in ("analysis", "gain", "gain_slope"):
                tensors[f"{kind}.{name}"] = value.detach().clone()
    return tensors


@cache
def load_prior() -> Prior:
    """The shipped prior, read once. Raises ModelError when its file has gone or is another's."""
    return read_prior(FILE)


def read_prior(path: Path) -> Prior:
    """Raises ModelError for a file that is none, or of another version."""
    try:
        data = path.read_bytes()
        tensors = load(data)
        form = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["format"]
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(f"the prior network {path.name} cannot be read", "install Mapreel again") from error
    if form != FORMAT:
        raise ModelError(f"the prior network {path.name} is of another version", "install Mapreel again")
    return Prior(tensors, hashlib.sha256(data).digest()[:8])


def _kind(inter: bool) -> str:
    return "inter" if inter else "intra"
