# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist chose for a render, as a request; pure functions, and the sentences where something cannot be."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapreel.core.contract.errors import MapreelError, UsageError
from mapreel.core.contract.frames import FrameRange, MissingFrames
from mapreel.core.contract.paths import checked_path
from mapreel.core.contract.pictures import file_spec
from mapreel.core.contract.requests import BUILT_IN, ImageFormat, Quality, RenderRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapreel.ui.state.models import ModelFacts

MOST_HANDLES = 1000


class Range(StrEnum):
    """Which frames are rendered."""

    CUT = "cut"
    ALL = "all"
    OWN = "own"


@dataclass(frozen=True)
class OutputFormat:
    """Files that a render can end in. suffix: of a movie, empty for a folder of pictures."""

    name: str
    kind: ImageFormat
    bits: int | None = None
    packing: str | None = None
    suffix: str = ""


FORMATS: dict[str, OutputFormat] = {
    "png8": OutputFormat("PNG 8 bit", ImageFormat.PNG, 8),
    "png16": OutputFormat("PNG 16 bit", ImageFormat.PNG, 16),
    "tiff8": OutputFormat("TIFF 8 bit", ImageFormat.TIFF, 8),
    "tiff16": OutputFormat("TIFF 16 bit", ImageFormat.TIFF, 16),
    "exr-half-zip": OutputFormat("EXR half, ZIP", ImageFormat.EXR, 16, "zip"),
    "exr-half-dwaa": OutputFormat("EXR half, DWAA", ImageFormat.EXR, 16, "dwaa"),
    "exr-float-zip": OutputFormat("EXR float, ZIP", ImageFormat.EXR, 32, "zip"),
    "exr-float-dwaa": OutputFormat("EXR float, DWAA", ImageFormat.EXR, 32, "dwaa"),
    "h264": OutputFormat("MP4 H.264", ImageFormat.H264, 8, None, ".mp4"),
    "h265": OutputFormat("MP4 H.265, 10 bit", ImageFormat.H265, 10, None, ".mp4"),
    "prores-hq": OutputFormat("MOV ProRes 422 HQ", ImageFormat.PRORES, None, "hq", ".mov"),
    "prores-4444": OutputFormat("MOV ProRes 4444", ImageFormat.PRORES, None, "4444", ".mov"),
    "ffv1": OutputFormat("MKV FFV1 (lossless)", ImageFormat.FFV1, 8, None, ".mkv"),
}


@dataclass(frozen=True, kw_only=True)
class RenderChoice:
    """Everything that a render is asked with. Empty text: nothing chosen.

    numbers: of the shot's frames. frames: a range as typed, empty: all. folder, name: where the take shall lie.
    """

    labels: str = ""
    instances: str = ""
    motion: str = ""
    palette: str = ""
    classes: tuple[tuple[str, str], ...] = ()
    references: tuple[tuple[int, str], ...] = ()
    numbers: tuple[int, ...] = ()
    model: str = ""
    quality: Quality = Quality.FULL
    frames: str = ""
    folder: str = ""
    name: str = ""
    format: str = "png8"
    colour_space: str = ""
    ocio: str = ""
    missing: MissingFrames = MissingFrames.ERROR
    fps: float = 24.0

    @property
    def out(self) -> str:
        """Folder or movie, before a version is added."""
        return str(Path(self.folder) / f"{self.name}{FORMATS[self.format].suffix}")


def render_request(choice: RenderChoice, **extra: Any) -> RenderRequest:
    """The request, with more of its fields. Raises UsageError with the sentence of what cannot be."""
    chosen = FORMATS[choice.format]
    check_output(choice)
    check_frames(choice)
    return RenderRequest(
        labels=choice.labels,
        model=choice.model,
        out=choice.out,
        instances=choice.instances or None,
        motion=choice.motion or None,
        frames=choice.frames or None,
        fps=choice.fps,
        quality=choice.quality,
        missing=choice.missing,
        image_format=chosen.kind,
        reference=choice.references,
        bits=chosen.bits,
        compression=chosen.packing,
        colour_space=choice.colour_space or None,
        ocio=(choice.ocio or None) if choice.colour_space else None,
        palette=choice.palette or None,
        classes=choice.classes,
        **extra,
    )


def check_frames(choice: RenderChoice) -> None:
    """Raises UsageError for what is no range, and for frames that the shot has not, unless they are filled."""
    if not choice.frames:
        return
    wanted = FrameRange.parse(choice.frames)
    there = set(choice.numbers)
    lost = [number for number in wanted if number not in there] if there else []
    if len(lost) == len(wanted) and there:
        known = f"{choice.numbers[0]}-{choice.numbers[-1]}"
        raise UsageError(f"the shot has none of the frames {choice.frames}", f"it has {known}")
    if lost and choice.missing is MissingFrames.ERROR:
        named = str(FrameRange.from_numbers(lost[:500]))
        raise UsageError(
            f"the shot has no maps for {named[:80]}", "choose another range, or how missing frames are filled"
        )


def check_output(choice: RenderChoice) -> None:
    """Raises UsageError for a folder or name that cannot be."""
    if not choice.folder.strip():
        raise UsageError("no folder is chosen", "choose where the take shall lie")
    name = choice.name.strip()
    if not name or name != choice.name or name in (".", "..") or set(name) & set('/\\:*?"<>|'):
        raise UsageError(f"“{choice.name}” is no name for a take", "use letters, digits, - and _")
    chosen = FORMATS[choice.format]
    if not chosen.suffix and Path(name).suffix.lower() in {".mp4", ".mov", ".mkv", ".m4v", ".nirv"}:
        raise UsageError(f"“{name}” looks like a movie", "leave the ending out; the format decides it")
    checked_path(choice.out, "output")
    file_spec(Path(choice.out), chosen.kind.value, chosen.bits, chosen.packing)


def check_quality(choice: RenderChoice, model: ModelFacts | None) -> None:
    """Raises UsageError for a quality that the model cannot render in."""
    if model is not None and choice.quality not in model.qualities:
        raise UsageError(f"the model {model.name} does not render in this quality", "choose another one")


def problems(choice: RenderChoice, model: ModelFacts | None) -> dict[str, UsageError]:
    """What cannot be, by field: frames, out, quality, and `rest` for whatever else the request refuses."""
    checks: dict[str, Callable[[], object]] = {
        "frames": lambda: check_frames(choice),
        "out": lambda: check_output(choice),
        "quality": lambda: check_quality(choice, model),
    }
    found: dict[str, UsageError] = {}
    for field, check in checks.items():
        try:
            check()
        except UsageError as error:
            found[field] = error
    if not found and choice.labels and choice.model:
        try:
            render_request(choice)
        except UsageError as error:
            found["rest"] = error
    return found


def with_handles(numbers: tuple[int, ...], first: int, last: int, handles: int) -> str:
    """The cut range and `handles` frames before and after it, as far as there are any; as --frames takes it.

    numbers: ascending.
    """
    inside = numbers[bisect_left(numbers, first - handles) : bisect_right(numbers, last + handles)]
    return str(FrameRange(inside))


def default_output(source: str) -> tuple[str, str]:
    """Folder and name of a shot's first take: beside its maps. Looks on the disk."""
    path = Path(source)
    home = path if path.is_dir() else path.parent
    return str(home / "render"), "beauty"


def studio_config() -> str:
    """The studio's colour config, of `$OCIO`; empty: the pinned one."""
    found = os.environ.get("OCIO", "")
    return found if not found or found.startswith(BUILT_IN) else str(Path(found).expanduser().absolute())


def colour_spaces(ocio: str) -> tuple[str, ...]:
    """The spaces of a colour config by name; opens it, so not for the Qt thread. Raises UsageError."""
    from mapreel.core.media.colour import colour_config

    return colour_config(ocio or None).spaces()


def frame_file(source: str, frame: int) -> str:
    """The file of a frame of a sequence; looks on the disk. Raises UsageError where there is none."""
    from mapreel.core.contract.frames import find_sequence

    path = Path(source)
    if path.is_file() and path.suffix.lower() in {".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v"}:
        raise UsageError(f"{path.name} is a movie, and a reference is one picture", "save that frame as a picture")
    found = find_sequence(source)
    if frame not in found.numbers:
        raise UsageError(f"there is no true picture of frame {frame}", "move the playhead to a frame that has one")
    return str(found.pattern.path(frame).absolute())


def free_bytes(folder: str) -> int | None:
    """Free space on the disk where a folder is or will be; None where nobody knows."""
    import shutil

    place = Path(folder)
    while not place.exists() and place.parent != place:
        place = place.parent
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return None


def next_name(out: str) -> tuple[str, str]:
    """The name of the take that would be written now, and why it cannot be written, if so. Looks on the disk."""
    from mapreel.core.contract.takes import next_take

    path = Path(out)
    try:
        take = next_take(path)
    except MapreelError as error:
        return "", str(error)
    place = path.parent
    while not place.exists() and place.parent != place:
        place = place.parent
    if not place.is_dir():
        return take.name, f"{place} is a file and not a folder; choose another folder."
    if not os.access(place, os.W_OK):
        return take.name, f"{place} may not be written; change its permissions or choose another folder."
    return take.name, ""
