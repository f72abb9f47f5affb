# SPDX-License-Identifier: GPL-3.0-or-later
"""The border between the container and the codecs: what a codec of groups is, and which ones there are.

The container keeps chunks, sizes, frame numbers, depth, alpha and colour space to itself. A codec (profile) turns the
payload of a group into pictures of codes 0..1, and knows nothing of files. Loads no torch until one is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from mapreel.core.nirvana.bitstream import damaged, unsupported

if TYPE_CHECKING:
    import torch

State = Any  # what a group hands to the next one; only its own codec looks into it
TILE_PX = 8  # tiles begin at multiples of it, in pixels of the whole frame


@dataclass(frozen=True, kw_only=True)
class PictureShape:
    """Size of the pictures of one plane set, and the longest group."""

    height: int
    width: int
    group_frames: int


@dataclass(frozen=True, kw_only=True)
class View:
    """What of each picture is asked for. A codec may show more, or at full size: the container takes its part of it.

    window: x, y, width, height in pixels of the whole frame; None: all. scale: 1, 2, 4 or 8, the divisor of both sides.
    frames: indices in the group; None: all.
    """

    window: tuple[int, int, int, int] | None = None
    scale: int = 1
    frames: frozenset[int] | None = None


WHOLE = View()


@dataclass(frozen=True)
class Tile:
    """A rectangle of some pictures that follow one another.

    pixels: [t, h, w, C] float32 codes, C = 3, 1 (grey) or 4 (the last is of no use); what lies beyond 0..1 is clamped
    by the container.
    frame: index in the group of the first of them. top, left: in pixels of the frame divided by `scale`; at scale 1
    multiples of TILE_PX. scale: 1, or that of the view. A frame of H rows has ceil(H / scale) of them.
    """

    pixels: torch.Tensor
    frame: int
    top: int
    left: int
    scale: int = 1


Show = Callable[[Tile], None]


class GroupDecoder(Protocol):
    """One for each open archive and plane set; keeps settings, and of groups only what `expect` began."""

    def expect(self, payload: bytes, number: int, frames: int, intra: bool) -> None:
        """Told before a group is decoded, what the next one will be: some of it may be done at the same time."""
        ...

    def decode(
        self,
        payload: bytes,
        number: int,
        previous: State | None,
        frames: int,
        device: torch.device,
        show: Show | None,
        view: View,
    ) -> State:
        """Read group `number` of `frames` pictures and give what the next group leans on.

        previous: the state that the group before gave; None exactly for intra groups. show: takes tiles, in any order,
        each place of each picture once; None: only the state is wanted. Raises DamagedArchiveError naming the group
        for a payload that the writer cannot have written, whatever its bytes are; the checksum of its symbols is
        compared in here.
        """
        ...

    def symbols_crc(self, state: State) -> int:
        """CRC-32 of the exact numbers of the group that gave this state: the same on every machine."""
        ...


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A codec as the file names it.

    open: settings (payload of PSET) and shape -> decoder; describe: the same -> figures for `archive info`, without
    torch. Both raise UnsupportedArchiveError or DamagedArchiveError for settings that cannot be.
    """

    number: int
    name: str
    open: Callable[[bytes, PictureShape], GroupDecoder]
    describe: Callable[[bytes, PictureShape], dict[str, int | float | str]]
    means_every: int = 1  # one block in so many has its mean stored


def _open_nirvana(settings: bytes, shape: PictureShape) -> GroupDecoder:
    from mapreel.core.nirvana.decode import NirvanaDecoder

    return NirvanaDecoder.from_settings(settings, shape)


def _describe_nirvana(settings: bytes, shape: PictureShape) -> dict[str, int | float | str]:
    from mapreel.core.nirvana.config import read_settings

    network = read_settings(settings, shape)
    return {"latents": network.latents, "other_parameters": network.other_parameters}


def _open_reel(settings: bytes, shape: PictureShape) -> GroupDecoder:
    from mapreel.core.nirvana.reel.decode import ReelDecoder

    return ReelDecoder.from_settings(settings, shape)


def _describe_reel(settings: bytes, shape: PictureShape) -> dict[str, int | float | str]:
    if shape.group_frames > 1 and shape.group_frames * shape.height * shape.width > _MAX_REEL_GROUP_PX:
        raise unsupported("its groups of frames are larger than this Mapreel reads")
    if len(settings) != _FINGERPRINT_BYTES:
        raise damaged("the settings", "they name no prior network")
    return {"prior": settings.hex()}


_FINGERPRINT_BYTES = 8  # of the prior network that an archive of profile reel starts from
_MAX_REEL_GROUP_PX = 1 << 25  # a short file cannot ask for much memory
REEL_MEANS_EVERY = 127
_CODECS = (
    Profile(number=1, name="nirvana", open=_open_nirvana, describe=_describe_nirvana),
    Profile(number=2, name="reel", open=_open_reel, describe=_describe_reel, means_every=REEL_MEANS_EVERY),
)
PROFILES: Mapping[int, Profile] = MappingProxyType({profile.number: profile for profile in _CODECS})


def profile_named(name: str) -> Profile:
    """Raises UnsupportedArchiveError for a name that no codec has."""
    for profile in PROFILES.values():
        if profile.name == name:
            return profile
    raise unsupported(f"this Mapreel has no codec “{name}”")
