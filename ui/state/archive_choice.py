# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist chose for an archive, as requests; pure functions, and the sentences where something cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.frames import FrameRange
from mapreel.core.contract.paths import checked_path
from mapreel.core.contract.pictures import file_spec
from mapreel.core.contract.requests import DecodeFormat, DecodeRequest, EncodeRequest, Preset
from mapreel.ui.text import figure, significant, tr

if TYPE_CHECKING:
    from collections.abc import Callable

SUFFIX = ".nirv"
_FORBIDDEN = frozenset('/\\:*?"<>|')


class Aim(StrEnum):
    """What an encode aims at."""

    QUALITY = "quality"  # PSNR in dB
    BITS = "bits"  # a pixel
    SIZE = "size"  # megabytes in all


@dataclass(frozen=True, kw_only=True)
class EncodeChoice:
    """Everything that an encode is asked with. Empty text: nothing chosen.

    numbers: of the frames that there are. size: width, height in pixels. frames: a range as typed, empty: all. labels,
    instances, recipe: what goes along, empty where it shall not.
    """

    source: str = ""
    numbers: tuple[int, ...] = ()
    size: tuple[int, int] = (0, 0)
    frames: str = ""
    fps: float = 24.0
    aim: Aim = Aim.QUALITY
    psnr_db: float = 38.0
    bits_per_pixel: float = 0.1
    size_mb: float = 5.0
    preset: Preset = Preset.GOOD
    depth: str = ""
    alpha: bool = True
    labels: str = ""
    instances: str = ""
    palette: str = ""
    recipe: str = ""
    colour_space: str = ""
    ocio: str = ""
    folder: str = ""
    name: str = ""

    @property
    def out(self) -> str:
        """The archive, before a version is added."""
        return str(Path(self.folder) / f"{self.name}{SUFFIX}")


@dataclass(frozen=True, kw_only=True)
class DecodeChoice:
    """Everything that a decode is asked with. frames: a range as typed, empty: all. format: one of DECODED."""

    archive: str = ""
    numbers: tuple[int, ...] = ()
    frames: str = ""
    format: str = "auto"
    scale: int = 1
    maps: bool = False
    folder: str = ""
    name: str = ""

    @property
    def out(self) -> str:
        """Folder or movie, before a version is added."""
        return str(Path(self.folder) / f"{self.name}{DECODED[self.format][1]}")


DECODED: dict[str, tuple[DecodeFormat, str]] = {
    "auto": (DecodeFormat.AUTO, ""),
    "png": (DecodeFormat.PNG, ""),
    "png16": (DecodeFormat.PNG16, ""),
    "exr": (DecodeFormat.EXR, ""),
    "exr32": (DecodeFormat.EXR32, ""),
    "tiff": (DecodeFormat.TIFF, ""),
    "h264": (DecodeFormat.H264, ".mp4"),
    "h265": (DecodeFormat.H265, ".mp4"),
    "prores": (DecodeFormat.PRORES, ".mov"),
    "ffv1": (DecodeFormat.FFV1, ".mkv"),
}
"""Files that a decode can end in, and the ending of a movie."""


def planned(choice: EncodeChoice | DecodeChoice) -> tuple[int, ...]:
    """The frames that are asked for. Raises UsageError for what is no range, and for frames that are not there."""
    if not choice.frames.strip():
        return choice.numbers
    wanted = tuple(FrameRange.parse(choice.frames))
    there = set(choice.numbers)
    lost = [number for number in wanted if number not in there]
    if lost:
        known = f"{choice.numbers[0]}-{choice.numbers[-1]}" if choice.numbers else tr("none")
        named = str(FrameRange.from_numbers(lost[:500]))
        raise UsageError(f"frames {named[:80]} are not there", f"choose from {known}")
    return wanted


def target_bytes(choice: EncodeChoice) -> int | None:
    """What the archive will weigh, exactly; None where quality decides. Raises as `planned`."""
    if choice.aim is Aim.SIZE:
        return int(choice.size_mb * 1e6)
    if choice.aim is Aim.BITS:
        width, height = choice.size
        return int(choice.bits_per_pixel * height * width * len(planned(choice)) / 8)
    return None


def target_bits(choice: EncodeChoice) -> float | None:
    """Bits a pixel that come of the target; None where quality decides. Raises as `planned`."""
    width, height = choice.size
    pixels = width * height * len(planned(choice))
    weight = target_bytes(choice)
    return None if weight is None or not pixels else 8 * weight / pixels


def encode_request(choice: EncodeChoice) -> EncodeRequest:
    """The request. Raises UsageError with the sentence of what cannot be."""
    check_source(choice)
    planned(choice)
    check_out(choice.folder, choice.name, choice.out)
    return EncodeRequest(
        source=choice.source,
        out=choice.out,
        frames=choice.frames.strip() or None,
        fps=choice.fps,
        preset=choice.preset,
        psnr_db=choice.psnr_db if choice.aim is Aim.QUALITY else None,
        bits_per_pixel=choice.bits_per_pixel if choice.aim is Aim.BITS else None,
        size_mb=choice.size_mb if choice.aim is Aim.SIZE else None,
        depth=choice.depth or None,
        alpha=choice.alpha,
        labels=choice.labels or None,
        instances=choice.instances or None,
        palette=(choice.palette or None) if choice.labels else None,
        recipe=choice.recipe or None,
        colour_space=choice.colour_space or None,
        ocio=(choice.ocio or None) if choice.colour_space else None,
    )


def decode_request(choice: DecodeChoice) -> DecodeRequest:
    """The request. Raises UsageError with the sentence of what cannot be."""
    planned(choice)
    check_out(choice.folder, choice.name, choice.out)
    kind, suffix = DECODED[choice.format]
    if suffix and choice.maps:
        raise UsageError("a movie holds no maps", "choose pictures, or leave the maps out")
    if suffix:
        file_spec(Path(choice.out), kind.value, None, None)
    return DecodeRequest(
        archive=choice.archive,
        out=choice.out,
        frames=choice.frames.strip() or None,
        image_format=kind,
        scale=choice.scale,
        maps=choice.maps,
    )


def check_source(choice: EncodeChoice) -> None:
    """Raises UsageError when there is nothing to encode."""
    if not choice.source:
        raise UsageError("the shot has no pictures to archive", "render it first, or open a shot with pictures")


def check_out(folder: str, name: str, out: str) -> None:
    """Raises UsageError for a folder or name that cannot be."""
    if not folder.strip():
        raise UsageError("no folder is chosen", "choose where the file shall lie")
    if not name or name != name.strip() or name in (".", "..") or set(name) & _FORBIDDEN:
        raise UsageError(f"“{name[:60]}” is no name for a file", "use letters, digits, - and _")
    checked_path(out, "output")


def encode_problems(choice: EncodeChoice) -> dict[str, str]:
    """What cannot be, by field: source, frames, out, rest."""
    checks: dict[str, Callable[[], object]] = {
        "source": lambda: check_source(choice),
        "frames": lambda: planned(choice),
        "out": lambda: check_out(choice.folder, choice.name, choice.out),
    }
    return _problems(checks, lambda: encode_request(choice))


def decode_problems(choice: DecodeChoice) -> dict[str, str]:
    """What cannot be, by field: frames, out, rest."""
    checks: dict[str, Callable[[], object]] = {
        "frames": lambda: planned(choice),
        "out": lambda: check_out(choice.folder, choice.name, choice.out),
    }
    return _problems(checks, lambda: decode_request(choice))


def _problems(checks: dict[str, Callable[[], object]], whole: Callable[[], object]) -> dict[str, str]:
    from mapreel.ui.state.messages import spoken

    found: dict[str, str] = {}
    for field, check in {**checks, "rest": whole}.items():
        if field == "rest" and found:
            break
        try:
            check()
        except UsageError as error:
            found[field] = spoken(error)
    return found


def meaning(choice: EncodeChoice) -> str:
    """What the aim means, in plain words. Raises as `planned`."""
    if choice.aim is Aim.QUALITY:
        return quality_words(choice.psnr_db)
    bits = target_bits(choice)
    if choice.aim is Aim.BITS:
        return tr(
            "An uncompressed 8-bit pixel has 24 bits: this is one part in {parts}.",
            parts=_parts(24 / choice.bits_per_pixel),
        )
    if bits is None:
        return ""
    return tr(
        "That is {bits} bits a pixel: one part in {parts} of uncompressed 8 bit.",
        bits=significant(bits, 3),
        parts=_parts(24 / bits),
    )


def quality_words(psnr_db: float) -> str:
    """A PSNR in plain words."""
    if psnr_db < 28:
        return tr("Clearly softer than the original: for thumbnails.")
    if psnr_db < 33:
        return tr("Softer in fine texture: for previews and dailies.")
    if psnr_db < 38:
        return tr("Good in motion; a still shows some softness.")
    if psnr_db < 44:
        return tr("Hard to tell from the original, also on a still.")
    return tr("As good as the original to the eye: large files, long encodes.")


def _parts(value: float) -> str:
    return figure(value, 0) if value >= 10 else figure(value, 1)
