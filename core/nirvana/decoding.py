# SPDX-License-Identifier: GPL-3.0-or-later
"""Decode as a job: frames of an archive into a folder or a movie; what is damaged costs its own frames only."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mapreel.core.contract.errors import (
    DamagedArchiveError,
    FramesLostError,
    InputError,
    OutputError,
    OutputExistsError,
    disk_error,
)
from mapreel.core.contract.frames import FrameRange, frame_name
from mapreel.core.contract.progress import JobContext, Progress, RemainingTime
from mapreel.core.contract.requests import DecodeFormat, DecodeRequest
from mapreel.core.contract.takes import is_file_take, write_atomically
from mapreel.core.device import pick_device
from mapreel.core.media.images import picture_size, write_exr, write_png
from mapreel.core.media.moviewriter import MovieWriter
from mapreel.core.media.plates import exr_attributes
from mapreel.core.nirvana.archive import Archive
from mapreel.core.nirvana.convert import as_pixels, file_format
from mapreel.core.nirvana.metadata import Notes, read_notes
from mapreel.core.nirvana.samples import Samples

if TYPE_CHECKING:
    from mapreel.core.contract.strict_json import JSON

SIDECAR = "mapreel.json"
SIDECAR_FORMAT = "mapreel-decoded"
SIDECAR_VERSION = 1
MAP_FOLDERS = ("labels", "instances")


def run_decode(request: DecodeRequest, take: Path, ctx: JobContext) -> dict[str, JSON]:
    """Decode frames into the folder `take` as NUMBER.png or NUMBER.exr, or into the movie `take`; frames that stand
    there are kept when the side-car says that they are of the same archive.

    A damaged group costs its own frames and those that lean on it: all others are written, then FramesLostError names
    the lost ones. Raises InputError for frame numbers that the archive does not hold, ArchiveError when no frame can
    be read, UsageError, OutputError.
    """
    started = time.monotonic()
    with Archive(request.archive, pick_device()) as archive:
        decode = _Decode(archive, request, take, ctx)
        decode.run()
        size = decode.size
    pixels = len(decode.wanted) * size[0] * size[1]
    result: dict[str, JSON] = {"take": str(take), "frames": len(decode.wanted), "pixels": pixels}
    result["format"] = "mp4" if is_file_take(take) else decode.format.value
    if request.maps:
        result["maps"] = decode.maps
    return {**result, "seconds": time.monotonic() - started}


@dataclass
class _Decode:
    """One decode: what is wanted of which archive, and what was lost on the way."""

    archive: Archive
    request: DecodeRequest
    take: Path
    ctx: JobContext
    lost: dict[int, DamagedArchiveError] = field(default_factory=dict)
    maps: int = 0

    def __post_init__(self) -> None:
        asked, held = self.request.frames, self.archive.numbers
        self.wanted = FrameRange.parse(asked).numbers if asked is not None else held
        unknown = sorted(set(self.wanted) - set(held))
        if unknown:
            listed = FrameRange.from_numbers(held)
            raise InputError(f"the archive holds no frame {unknown[0]}", f"ask for some of {listed}", frame=unknown[0])
        self.format = file_format(self.request.image_format, self.archive.header.pictures)
        self.size = self.archive.view_size(region=self.request.region, scale=self.request.scale)
        self.notes = read_notes(self.archive.container)
        self._remaining = RemainingTime()

    def run(self) -> None:
        if is_file_take(self.take):
            self._movie()
        else:
            self._frames()
        if self.lost:
            raise self._loss()

    def _loss(self) -> Exception:
        first = next(iter(self.lost.values()))
        if len(self.lost) == len(self.wanted):
            return first
        listed = FrameRange.from_numbers(sorted(self.lost))
        many = f"frame {listed} is" if len(self.lost) == 1 else f"{len(self.lost)} frames ({listed}) are"
        held = " (the movie holds the frame before)" if is_file_take(self.take) else ""
        why = sorted({str(error) for error in self.lost.values()})
        return FramesLostError(
            f"{many} lost{held}, the other {len(self.wanted) - len(self.lost)} are written: {first.what}",
            "copy the archive again or encode these frames again",
            detail="\n".join(why),
            file=self.request.archive,
        )

    def _picture(self, number: int) -> Samples | None:
        """A frame, or None when it is lost."""
        try:
            return self.archive.frame(number, region=self.request.region, scale=self.request.scale)
        except DamagedArchiveError as error:
            self.lost[number] = error
            return None

    def _report(self, done: int) -> None:
        total = len(self.wanted)
        self.ctx.report(Progress(done, total, "decode", self._remaining.update(done, total)))

    def _frames(self) -> None:
        self.take.mkdir(parents=True, exist_ok=True)
        suffix = ".exr" if self.format in (DecodeFormat.EXR, DecodeFormat.EXR32) else ".png"
        paths = {number: self.take / f"{frame_name(number, 4)}{suffix}" for number in self.wanted}
        note, story = self.take / SIDECAR, self._story()
        _refuse_strangers(self.take, story)
        self.archive.expect(number for number, path in paths.items() if not path.exists())
        for done, (number, path) in enumerate(paths.items(), start=1):
            self.ctx.check()
            if not path.exists():
                picture = self._picture(number)
                if picture is not None:
                    if not note.exists():  # before the first picture, but not where there will be none
                        write_atomically(note, story)
                    self._write(path, number, picture)
            self._report(done)
        self._write_maps()
        for number, path in paths.items():  # a finished job means that every planned frame re-reads
            if number not in self.lost and picture_size(path, frame=number) != self.size:
                raise OutputError(
                    f"{path.name} has another size", "decode into an empty folder", file=str(path), frame=number
                )

    def _write(self, path: Path, number: int, picture: Samples) -> None:
        head = self.archive.header
        pixels = as_pixels(picture, head.pictures, self.format)
        if path.suffix == ".png":
            write_png(path, pixels)
            return
        code = self.notes.timecode
        if code is not None:
            code = code.later(self.archive.numbers.index(number), head.fps)
        channels = ("R", "G", "B", "A")[: pixels.shape[2]]
        attributes = exr_attributes(
            _light_space(head.pictures.colour_space), head.pictures.pixel_aspect, head.fps, str(code) if code else None
        )
        full = self.format is DecodeFormat.EXR32
        write_exr(path, pixels, channels=channels, full=full, attributes=attributes)

    def _movie(self) -> None:
        head = self.archive.header
        rate = head.fps
        self.archive.expect(self.wanted)
        shown: npt.NDArray[Any] = np.zeros((*self.size, 3), np.uint8)
        with MovieWriter(self.take, self.size, Fraction(rate)) as movie:
            for done, number in enumerate(self.wanted, start=1):
                self.ctx.check()
                picture = self._picture(number)
                if picture is not None:
                    shown = as_pixels(picture, head.pictures, DecodeFormat.PNG)[..., :3]
                movie.write(np.ascontiguousarray(shown))
                self._report(done)
            if len(self.lost) == len(self.wanted):
                raise self._loss()

    def _write_maps(self) -> None:
        """Label and instance maps as grey PNG in folders of their own, names and recipe as JSON."""
        if not self.request.maps or len(self.lost) == len(self.wanted):
            return
        for folder, read in zip(MAP_FOLDERS, (self.archive.labels, self.archive.instances), strict=True):
            for number in self.wanted:
                self.ctx.check()
                self._write_map(self.take / folder / f"{frame_name(number, 4)}.png", number, read)
        for name, value in _told(self.notes).items():
            data = json.dumps(value, indent=2, ensure_ascii=False).encode()
            write_atomically(self.take / name, data)

    def _write_map(self, path: Path, number: int, read: Any) -> None:
        try:
            ids = read(number)
        except DamagedArchiveError as error:
            self.lost.setdefault(number, error)
            return
        if ids is None:
            return
        if ids.dtype == np.uint32:  # PNG has 16 bits; more are only kept for who reads the archive itself
            raise OutputError(f"frame {number} has ids beyond 65535", "read them with Archive.labels", frame=number)
        path.parent.mkdir(exist_ok=True)
        write_png(path, ids)
        self.maps += 1

    def _story(self) -> bytes:
        """What the pictures of a take were made from, as its side-car has it."""
        with self.archive.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        frames = str(FrameRange.from_numbers(self.wanted))
        story: dict[str, JSON] = {"format": SIDECAR_FORMAT, "version": SIDECAR_VERSION}
        story |= {"archive_sha256": sha256, "frames": frames}
        if self.format is not DecodeFormat.PNG:
            story["files"] = self.format.value
        if self.request.region is not None:
            story["region"] = list(self.request.region)
        if self.request.scale != 1:
            story["scale"] = self.request.scale
        return json.dumps(story, indent=2).encode()


def _light_space(name: str) -> str:
    return "lin_rec709" if name == "srgb" else name


def _told(notes: Notes) -> dict[str, JSON]:
    """Files beside the maps: names of the labels, and the recipe."""
    told: dict[str, JSON] = {}
    if notes.classes:
        told["label_names.json"] = {str(number): name for number, name in notes.classes.items()}
    if notes.recipe is not None:
        told["recipe.json"] = notes.recipe
    return told


def _refuse_strangers(take: Path, story: bytes) -> None:
    """Pictures that stand in the take are kept only when they are of this archive. Raises OutputExistsError."""
    note = take / SIDECAR
    try:
        same = (
            note.read_bytes() == story if note.exists() else not any(any(take.glob(f"*{s}")) for s in (".png", ".exr"))
        )
    except OSError as error:
        raise disk_error(error, note) from error
    if not same:
        raise OutputExistsError(
            f"{take} holds pictures of another archive, of other frames or of nobody knows what",
            "decode into another folder",
            file=str(take),
        )
