# SPDX-License-Identifier: GPL-3.0-or-later
"""What an encode has to know of each kind of fit: its profile's name, how long groups are, and who fits them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mapreel.core.nirvana.config import FitConfig, network_for
from mapreel.core.nirvana.groupencoder import GroupEncoder, NirvanaEncoder
from mapreel.core.nirvana.header import MAX_GROUP_PX
from mapreel.core.nirvana.profile import PictureShape
from mapreel.core.nirvana.reel import encode as reel
from mapreel.core.nirvana.reel.fit import ReelFit


@dataclass(frozen=True, kw_only=True)
class Kind:
    """group_px: most pixels of all frames of a group. encoder: fit, shape of the pictures and seed -> who fits."""

    profile: str
    group_frames: int
    group_px: int
    intra_interval: int
    encoder: Callable[[Any, PictureShape, int], GroupEncoder]


def _nirvana(fit: FitConfig, shape: PictureShape, seed: int) -> GroupEncoder:
    return NirvanaEncoder(network_for(shape.height, shape.width, shape.group_frames), fit, shape, seed)


_KINDS: Mapping[type, Kind] = MappingProxyType(
    {
        FitConfig: Kind(  # the paper's groups; a frame needs at most eight of them: one second at 24 frames a second
            profile="nirvana", group_frames=3, group_px=MAX_GROUP_PX, intra_interval=8, encoder=_nirvana
        ),
        ReelFit: Kind(
            profile="reel",
            group_frames=reel.GROUP_FRAMES,
            group_px=reel.GROUP_PX,
            intra_interval=reel.INTRA_INTERVAL,
            encoder=reel.ReelEncoder,
        ),
    }
)


def kind_of(fit: FitConfig | ReelFit) -> Kind:
    """The kind that a fit is of."""
    return _KINDS[type(fit)]
